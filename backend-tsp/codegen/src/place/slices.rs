//! The slice and bank of every buffer.
//!
//! Before: every buffer has a hemisphere. After: no chain needs one slice twice in a cycle. Installed constants live in
//! the outer slices, sixteen of which feed a plane at once; rows that come and go live in the inner ones, so that installs
//! need not wait for them (both only as far as there is room). Within its region a buffer goes where least is read
//! and written while it is used, and where it fits over its estimated lifetime.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use tspc_machine::Machine;
use tspc_program::{Hemisphere, SLICES};

use super::Place;
use crate::Refusal;
use crate::order::Order;
use crate::problem::{Buffer, BufferId, Chain, Origin, Problem, Write};

/// Streams of a weight load, each from a slice of its own.
pub const STREAMS: usize = 16;

/// What a word that is loaded as weights counts, in words that are read for rows.
const LOAD: u64 = 4;

/// A bit for each slice of a side.
const ALL_SLICES: u128 = (1 << SLICES) - 1;

/// Slices that a plan's reads leave to its writes.
const SPARE: usize = 8;

/// Chains that count as simultaneous in the estimate of traffic and lifetimes.
const BUCKET: usize = 8;

/// The slices of a side that hold no text, innermost first.
pub fn usable(machine: &Machine, hemi: Hemisphere) -> Vec<u8> {
    let text = [&machine.text_slices_west, &machine.text_slices_east][hemi.index()];
    (0..SLICES)
        .filter(|s| !text.contains(&u32::from(*s)))
        .collect()
}

/// Buffers that are loaded as weights and never change.
pub fn installed(problem: &Problem) -> Vec<bool> {
    let mut installed = vec![false; problem.buffers.len()];
    for (_, read) in problem.chains.iter().flat_map(Chain::install_reads) {
        let constant = problem.buffers[read.buffer.0 as usize].origin != Origin::Written;
        installed[read.buffer.0 as usize] = constant;
    }
    installed
}

/// A constant word may be anywhere, so it goes where nothing else happens when its reader gets its time.
pub fn floating(buffer: &Buffer) -> bool {
    buffer.words == 1 && matches!(buffer.origin, Origin::Constant(_))
}

/// When a buffer is used, in buckets of the order of chains.
#[derive(Clone, Debug)]
struct Use {
    /// Bucket and accesses there.
    accesses: Vec<(usize, u64)>,
    /// Words that are read in all.
    reads: u64,
}

/// What a bank holds, in words.
#[derive(Clone, Default, Debug)]
struct Bank {
    forever: u32,
    /// Of written buffers that somebody will still read.
    live: u32,
}

/// What is known of a slice.
#[derive(Clone, Debug)]
struct Slice {
    banks: [Bank; 2],
    /// Accesses of rows per bucket.
    traffic: Vec<u64>,
    /// Words loaded as weights per bucket.
    loads: Vec<u64>,
    /// Words of written buffers that will be read.
    pending: u64,
}

impl Slice {
    fn new(buckets: usize) -> Slice {
        Slice {
            banks: Default::default(),
            traffic: vec![0; buckets],
            loads: vec![0; buckets],
            pending: 0,
        }
    }

    /// Accesses of constants that would meet those of a buffer. A load needs its slices at once, so it counts more.
    fn meets(&self, usage: &Use) -> u64 {
        let meet = |there: &[u64]| usage.accesses.iter().map(|&(b, _)| there[b]).sum::<u64>();
        let all = LOAD * meet(&self.loads) + meet(&self.traffic);
        all / usage.accesses.len().max(1) as u64
    }
}

/// Uses of all buffers, and the number of buckets.
fn uses(problem: &Problem) -> (Vec<Use>, usize) {
    let last = problem.chains.len().saturating_sub(1) / BUCKET;
    let unused = || Use {
        accesses: Vec::new(),
        reads: 0,
    };
    let mut uses: Vec<Use> = problem.buffers.iter().map(|_| unused()).collect();
    for (at, &c) in Order::new(problem).by_tail().iter().enumerate() {
        let chain = &problem.chains[c];
        let bucket = at / BUCKET;
        let rows = chain.row_reads().map(|(r, n)| (r.buffer, n));
        let loads = chain
            .install_reads()
            .map(|(s, r)| (r.buffer, u32::from(s.count)));
        // A strided write keeps its queue from the first word to the last.
        let span = |w: &Write| w.count * w.step;
        let writes = chain.writes.iter().map(|w| (w.buffer, span(w)));
        let reads = rows.chain(loads).map(|(b, n)| (b, n, true));
        for (buffer, n, read) in reads.chain(writes.map(|(b, n)| (b, n, false))) {
            let usage = &mut uses[buffer.0 as usize];
            usage.reads += if read { u64::from(n) } else { 0 };
            let accesses = &mut usage.accesses;
            match accesses.last_mut() {
                Some((b, there)) if *b == bucket => *there += u64::from(n),
                _ => accesses.push((bucket, u64::from(n))),
            }
        }
    }
    (uses, last + 1)
}

/// Groups of buffers that one plan reads, so that no shift in time would part them: the rows of a chain, and each
/// segment of its install. Within a group, buffers of one family are read one after another and may share a slice.
fn groups(chain: &Chain) -> Vec<Vec<(BufferId, usize)>> {
    let planes = chain.planes().enumerate();
    let rows =
        planes.flat_map(|(family, plane)| plane.iter().map(move |p| (p.read.buffer, family)));
    let mut groups: Vec<Vec<(BufferId, usize)>> = vec![rows.collect()];
    for segment in chain.pass.iter().flat_map(|p| &p.install.segments) {
        let reads = segment.streams.iter().chain(&segment.window);
        groups.push(reads.map(|r| r.buffer).zip(0..).collect());
    }
    groups
}

/// A buffer of a group that has its slice.
#[derive(Clone, Copy, Debug)]
struct Member {
    buffer: usize,
    family: usize,
    /// Its bit.
    slice: u128,
}

impl Member {
    fn new(buffer: usize, family: usize, place: Place) -> Member {
        Member {
            buffer,
            family,
            slice: 1 << bit(place.hemi, place.slice),
        }
    }
}

/// What is known of the slices while buffers get their places.
#[derive(Clone, Default, Debug)]
pub struct Rooms {
    sides: Vec<Hemisphere>,
    /// Per group: the slices that its members take.
    used: Vec<Vec<Member>>,
    /// Per buffer, its groups and its family there.
    member: Vec<Vec<(usize, usize)>>,
    /// Per group: families of each side.
    families: Vec<[usize; 2]>,
    uses: Vec<Use>,
    filled: [Vec<Slice>; 2],
    usable: [Vec<u8>; 2],
    bank_words: u32,
}

impl Rooms {
    /// Places what is there at cycle 0: it needs room for ever. Weights in the order of their use, so that those of a
    /// time share sixteen slices; of the others those with the most neighbours first, while there is a choice.
    pub fn new(
        problem: &Problem,
        sides: Vec<Hemisphere>,
        machine: &Machine,
    ) -> Result<(Rooms, Vec<Place>), Refusal> {
        let n = problem.buffers.len();
        let mut sizes: Vec<usize> = Vec::new();
        let mut member = vec![Vec::new(); n];
        let mut families = Vec::new();
        for group in problem.chains.iter().flat_map(groups) {
            let mut sided = BTreeSet::new();
            for &(b, family) in &group {
                member[b.0 as usize].push((sizes.len(), family));
                sided.insert((sides[b.0 as usize].index(), family));
            }
            let of = |h: usize| sided.iter().filter(|f| f.0 == h).count();
            families.push([of(0), of(1)]);
            sizes.push(group.len());
        }
        let (uses, buckets) = uses(problem);
        let slices = || vec![Slice::new(buckets); usize::from(SLICES)];
        let mut rooms = Rooms {
            sides,
            used: vec![Vec::new(); sizes.len()],
            member,
            families,
            uses,
            filled: [slices(), slices()],
            usable: Hemisphere::ALL.map(|h| usable(machine, h)),
            bank_words: machine.mem_words_per_bank,
        };
        let unknown = |&hemi: &Hemisphere| Place {
            hemi,
            slice: 0,
            bank: 0,
        };
        let mut places: Vec<Place> = rooms.sides.iter().map(unknown).collect();
        let weights = installed(problem);
        let there = |b: &usize| {
            problem.buffers[*b].origin != Origin::Written
                && (weights[*b] || !floating(&problem.buffers[*b]))
        };
        let mut order: Vec<usize> = (0..n).filter(there).collect();
        order.sort_by_cached_key(|&b| {
            let first = rooms.uses[b].accesses.first().map_or(0, |a| a.0);
            let neighbours: usize = rooms.member[b].iter().map(|&(g, _)| sizes[g]).sum();
            let turn = if weights[b] { first } else { usize::MAX };
            (turn, Reverse((neighbours, problem.buffers[b].words)), b)
        });
        for b in order {
            let cost = |slice: &Slice, s: u8| match weights[b] {
                true => {
                    let block = u64::from(SLICES - 1 - s) / STREAMS as u64;
                    let words: u32 = slice.banks.iter().map(|bank| bank.forever).sum();
                    (block << 32) + u64::from(words)
                }
                false => slice.meets(&rooms.uses[b]),
            };
            let (_, place) = rooms.choose(problem, b, rooms.taken(b, &[]), |_| Some(0), cost)?;
            rooms.take(b, place, problem.buffers[b].words, true);
            let slice = &mut rooms.filled[place.hemi.index()][usize::from(place.slice)];
            let kind = if weights[b] {
                &mut slice.loads
            } else {
                &mut slice.traffic
            };
            rooms.uses[b]
                .accesses
                .iter()
                .for_each(|&(b, n)| kind[b] += n);
            places[b] = place;
        }
        Ok((rooms, places))
    }

    /// The slice that would suit a buffer best: `wait` tells how long its accesses would have to wait there, if waiting
    /// helps at all; `picked` are the buffers of this chain that have a slice so far.
    pub fn pick(
        &self,
        problem: &Problem,
        buffer: BufferId,
        picked: &[(BufferId, Place)],
        wait: impl Fn(Place) -> Option<i64>,
    ) -> Result<(i64, Place), Refusal> {
        let b = buffer.0 as usize;
        let hemi = self.sides[b];
        let cost = |slice: &Slice, s: u8| {
            let pending = picked
                .iter()
                .filter(|(_, p)| (p.hemi, p.slice) == (hemi, s));
            let pending: u64 = pending.map(|(o, _)| self.uses[o.0 as usize].reads).sum();
            slice.pending + pending + slice.meets(&self.uses[b])
        };
        self.choose(problem, b, self.taken(b, picked), wait, cost)
    }

    /// Whether a buffer has its slice.
    pub fn has(&self, buffer: BufferId) -> bool {
        let b = buffer.0 as usize;
        let mut groups = self.member[b].iter();
        groups.any(|&(g, _)| self.used[g].iter().any(|m| m.buffer == b))
    }

    /// Takes a buffer out of its slice again.
    pub fn leave(&mut self, problem: &Problem, buffer: BufferId, place: Place) {
        let b = buffer.0 as usize;
        let slice = &mut self.filled[place.hemi.index()][usize::from(place.slice)];
        slice.pending -= self.uses[b].reads;
        slice.banks[usize::from(place.bank)].live -= problem.buffers[b].words;
        for &(g, _) in &self.member[b] {
            self.used[g].retain(|m| m.buffer != b);
        }
    }

    /// Places a buffer.
    pub fn settle(&mut self, problem: &Problem, buffer: BufferId, place: Place) {
        let b = buffer.0 as usize;
        let written = problem.buffers[b].origin == Origin::Written;
        self.take(b, place, problem.buffers[b].words, !written);
        if written {
            let slice = &mut self.filled[place.hemi.index()][usize::from(place.slice)];
            slice.pending += self.uses[b].reads;
        }
    }

    /// Notes that `count` words of a buffer have been read; after the last one its words are free.
    pub fn read(&mut self, problem: &Problem, buffer: BufferId, place: Place, count: u32) {
        if problem.buffers[buffer.0 as usize].origin != Origin::Written {
            return;
        }
        let slice = &mut self.filled[place.hemi.index()][usize::from(place.slice)];
        let usage = &mut self.uses[buffer.0 as usize];
        slice.pending -= u64::from(count);
        usage.reads -= u64::from(count);
        if usage.reads == 0 {
            slice.banks[usize::from(place.bank)].live -= problem.buffers[buffer.0 as usize].words;
        }
    }

    /// Slices that a buffer may not have, those of other families of its groups; and those that it should not: a family
    /// that has a slice takes no other one while those that have none yet could need it.
    fn taken(&self, b: usize, picked: &[(BufferId, Place)]) -> (u128, u128) {
        let hemi = self.sides[b];
        let (mut others, mut narrow) = (0u128, 0u128);
        for &(g, family) in &self.member[b] {
            // Those that are about to move do not count where they are.
            let moves = |m: &&Member| picked.iter().any(|(o, _)| o.0 as usize == m.buffer);
            let mut used: Vec<Member> =
                self.used[g].iter().filter(|m| !moves(m)).copied().collect();
            used.retain(|m| m.buffer != b);
            for (o, place) in picked {
                for &(_, family) in self.member[o.0 as usize].iter().filter(|m| m.0 == g) {
                    used.push(Member::new(o.0 as usize, family, *place));
                }
            }
            let of = |own: bool| {
                let used = used.iter().filter(|u| (u.family == family) == own);
                used.fold(0u128, |m, u| m | u.slice)
            };
            let (own, other) = (of(true), of(false));
            others |= other;
            let free = self.usable[hemi.index()].iter();
            let free = free
                .filter(|&&s| (own | other) >> bit(hemi, s) & 1 == 0)
                .count();
            let here = used
                .iter()
                .filter(|u| u.slice >> bit(hemi, 0) & ALL_SLICES != 0);
            let here: BTreeSet<usize> = here.map(|u| u.family).collect();
            let waiting = self.families[g][hemi.index()].saturating_sub(here.len());
            let fair = self.usable[hemi.index()].len().saturating_sub(SPARE);
            let fair = fair / self.families[g][hemi.index()].max(1);
            if own != 0 && (own.count_ones() as usize >= fair || free < waiting + SPARE) {
                narrow |= !own;
            }
        }
        (others, narrow)
    }

    /// The slice and bank for a buffer that make it wait least, and of those the cheapest.
    fn choose(
        &self,
        problem: &Problem,
        b: usize,
        (taken, avoided): (u128, u128),
        wait: impl Fn(Place) -> Option<i64>,
        cost: impl Fn(&Slice, u8) -> u64,
    ) -> Result<(i64, Place), Refusal> {
        let hemi = self.sides[b];
        let words = problem.buffers[b].words;
        let written = problem.buffers[b].origin == Origin::Written;
        // Constants leave room in every bank as long as they can: a buffer with many neighbours needs each slice.
        // A buffer is read some time after its reader got its time, so written ones leave room as well.
        let slack = self.bank_words / if written { 8 } else { 4 };
        let room = &self.filled[hemi.index()];
        let free = self.usable[hemi.index()].iter().copied();
        let choice = free
            .filter(|&s| taken >> bit(hemi, s) & 1 == 0)
            .flat_map(|slice| [0u8, 1].map(|bank| Place { hemi, slice, bank }))
            .filter_map(|place| Some((place, wait(place)?)))
            .map(|(place, wait)| {
                let slice = &room[usize::from(place.slice)];
                let cost = cost(slice, place.slice);
                let there = &slice.banks[usize::from(place.bank)];
                let full = there.forever + there.live + words;
                let avoided = avoided >> bit(hemi, place.slice) & 1;
                let tight = full + slack > self.bank_words;
                (avoided, wait, tight, cost, full, place.slice, place.bank)
            })
            // Only what stays is refused here.
            .filter(|&(_, _, _, _, full, ..)| {
                words <= self.bank_words && (written || full <= self.bank_words)
            })
            .min();
        match choice {
            Some((_, wait, _, _, _, slice, bank)) => Ok((wait, Place { hemi, slice, bank })),
            None => Err(self.no_slice(problem, b, taken)),
        }
    }

    fn take(&mut self, b: usize, place: Place, words: u32, forever: bool) {
        let slice = &mut self.filled[place.hemi.index()][usize::from(place.slice)];
        let bank = &mut slice.banks[usize::from(place.bank)];
        match forever {
            true => bank.forever += words,
            false => bank.live += words,
        }
        for &(g, family) in &self.member[b] {
            self.used[g].push(Member::new(b, family, place));
        }
    }

    fn no_slice(&self, problem: &Problem, b: usize, taken: u128) -> Refusal {
        let hemi = self.sides[b];
        let id = BufferId(b as u32);
        let reads = |c: &&Chain| groups(c).iter().flatten().any(|x| x.0 == id);
        let chain = problem.chains.iter().find(reads);
        let constant = problem
            .buffers
            .iter()
            .filter(|b| b.origin != Origin::Written);
        let words: u64 = constant.map(|b| u64::from(b.words)).sum();
        let slices = self.usable.iter().map(|u| u.len() as u64).sum::<u64>();
        let capacity = slices * 2 * u64::from(self.bank_words);
        let banks = self.filled[hemi.index()].iter().flat_map(|s| &s.banks);
        let side = banks.map(|b| u64::from(b.forever)).sum::<u64>();
        Refusal {
            location: chain.map_or(String::new(), |c| c.location.clone()),
            message: format!(
                "no slice for a buffer of {} words in hemisphere {}: {} of its slices are accessed in the same cycles, \
                 {side} words are filled there for ever; constants and inputs need {words} of {capacity} words \
                 ({} MiB of {} MiB)",
                problem.buffers[b].words,
                hemi.letter(),
                (taken >> bit(hemi, 0) & ALL_SLICES).count_ones(),
                (words * 320) >> 20,
                (capacity * 320) >> 20,
            ),
        }
    }
}

fn bit(hemi: Hemisphere, slice: u8) -> u32 {
    u32::from(slice) + u32::from(SLICES) * hemi.index() as u32
}

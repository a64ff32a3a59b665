//! Which slices have room, and for what.
//!
//! Only inputs get their slice here, before anything has a time. Everything else gets one when a chain that reads or
//! writes it gets its time: schedule asks for the slice in which the accesses wait least, and of those the emptiest. Buffers
//! that one plan reads at once lie in different slices.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use tspc_machine::Machine;
use tspc_program::{Hemisphere, SLICES};

use super::Place;
use crate::Refusal;
use crate::problem::{BufferId, Chain, Origin, Problem};

/// Banks of a slice.
const BANKS: usize = 2;

/// Streams of a weight load, each from a slice of its own.
pub const STREAMS: usize = 16;

/// A bit for each slice of a side.
const ALL_SLICES: u128 = (1 << SLICES) - 1;

/// Slices that a plan's reads leave to its writes.
const SPARE: usize = 8;

/// Cycles after which nobody asks any more what was alive.
const PAST: i64 = 16_384;

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

/// A written buffer in a bank.
#[derive(Clone, Copy, Debug)]
struct Life {
    buffer: usize,
    words: u32,
    /// Cycle of its last read, once all readers have their time.
    end: Option<i64>,
}

/// What a bank holds, in words.
#[derive(Clone, Default, Debug)]
struct Bank {
    /// Of what is there at cycle 0.
    forever: u32,
    lives: Vec<Life>,
    /// The most that was ever alive at once, as far as is known.
    peak: u32,
}

impl Bank {
    /// Words that are alive in a cycle or later.
    fn live(&self, from: i64) -> u32 {
        let alive = self
            .lives
            .iter()
            .filter(|l| l.end.is_none_or(|e| e >= from));
        alive.map(|l| l.words).sum()
    }
}

/// What is known of a slice.
#[derive(Clone, Default, Debug)]
struct Slice {
    banks: [Bank; 2],
    /// Words of written buffers that will be read.
    pending: u64,
}

/// What is still to be read of a buffer.
#[derive(Clone, Copy, Default, Debug)]
struct Use {
    /// Words that are read in all.
    reads: u64,
    /// Cycle of the last read so far.
    last: i64,
}

/// Uses of all buffers.
fn uses(problem: &Problem) -> Vec<Use> {
    let mut uses = vec![Use::default(); problem.buffers.len()];
    for chain in &problem.chains {
        let rows = chain.row_reads().map(|(r, n)| (r.buffer, n));
        let loads = chain
            .install_reads()
            .map(|(s, r)| (r.buffer, u32::from(s.count)));
        for (buffer, n) in rows.chain(loads) {
            uses[buffer.0 as usize].reads += u64::from(n);
        }
    }
    uses
}

/// Groups of buffers that one plan reads, so that no shift in time would part them: the rows of a chain, and each
/// segment of its install. Within a group, buffers of one family are read one after another and may share a slice.
fn groups(chain: &Chain) -> Vec<Vec<(BufferId, usize)>> {
    let planes = chain.planes().enumerate();
    let rows =
        planes.flat_map(|(family, plane)| plane.iter().map(move |p| (p.read.buffer, family)));
    let mut groups: Vec<Vec<(BufferId, usize)>> = vec![rows.collect()];
    for segment in chain.passes.iter().flat_map(|p| &p.install.segments) {
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
    /// Places the inputs, those with the most neighbours first, while there is a choice.
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
        let slices = || vec![Slice::default(); usize::from(SLICES)];
        let mut rooms = Rooms {
            sides,
            used: vec![Vec::new(); sizes.len()],
            member,
            families,
            uses: uses(problem),
            filled: [slices(), slices()],
            usable: Hemisphere::ALL.map(|h| usable(machine, h)),
            bank_words: machine.mem_words_per_bank,
        };
        rooms.constants_fit(problem)?;
        let unknown = |&hemi: &Hemisphere| Place {
            hemi,
            slice: 0,
            bank: 0,
        };
        let mut places: Vec<Place> = rooms.sides.iter().map(unknown).collect();
        let input = |b: &usize| problem.buffers[*b].origin == Origin::Input;
        let mut order: Vec<usize> = (0..n).filter(input).collect();
        order.sort_by_cached_key(|&b| {
            let neighbours: usize = rooms.member[b].iter().map(|&(g, _)| sizes[g]).sum();
            (Reverse((neighbours, problem.buffers[b].words)), b)
        });
        for b in order {
            let buffer = BufferId(b as u32);
            let (_, place) = rooms.pick(problem, buffer, 0, &[], |_| Some(0))?;
            rooms.settle(problem, buffer, place, 0);
            places[b] = place;
        }
        Ok((rooms, places))
    }

    /// What is there at cycle 0 has to fit whatever the schedule will be.
    fn constants_fit(&self, problem: &Problem) -> Result<(), Refusal> {
        let there = |hemi: Hemisphere| -> u64 {
            let buffers = problem.buffers.iter().zip(&self.sides);
            let here = buffers.filter(|(b, side)| b.origin != Origin::Written && **side == hemi);
            here.map(|(b, _)| u64::from(b.words)).sum()
        };
        let room = |hemi: Hemisphere| {
            let slices = self.usable[hemi.index()].len() as u64;
            slices * BANKS as u64 * u64::from(self.bank_words)
        };
        let [west, east] = Hemisphere::ALL;
        if there(west) <= room(west) && there(east) <= room(east) {
            return Ok(());
        }
        let mib = |words: u64| (words * 320) >> 20;
        let (words, capacity) = (there(west) + there(east), room(west) + room(east));
        Err(Refusal {
            location: "memory".to_string(),
            message: format!(
                "constants and inputs need {words} of {capacity} words of 320 bytes in the slices that hold no text \
                 ({} MiB of {} MiB); {} of {} in the West, {} of {} in the East: a smaller model or fewer layers would fit",
                mib(words),
                mib(capacity),
                there(west),
                room(west),
                there(east),
                room(east),
            ),
        })
    }

    /// The slice that would suit a buffer best: `wait` tells how long its accesses would have to wait there, if waiting
    /// helps at all; `picked` are the buffers of this chain that have a slice so far. A written one comes to life at
    /// about `start`.
    pub fn pick(
        &self,
        problem: &Problem,
        buffer: BufferId,
        start: i64,
        picked: &[(BufferId, Place)],
        wait: impl Fn(Place) -> Option<i64>,
    ) -> Result<(i64, Place), Refusal> {
        let b = buffer.0 as usize;
        let hemi = self.sides[b];
        let (taken, avoided) = self.taken(b, picked);
        let words = problem.buffers[b].words;
        let written = problem.buffers[b].origin == Origin::Written;
        // What is there at cycle 0 leaves room for what is alive at any time, and some more.
        let slack = self.bank_words / if written { 8 } else { 4 };
        let room = &self.filled[hemi.index()];
        let free = self.usable[hemi.index()].iter().copied();
        let choice = free
            .filter(|&s| taken >> bit(hemi, s) & 1 == 0)
            .flat_map(|slice| [0u8, 1].map(|bank| Place { hemi, slice, bank }))
            .filter_map(|place| {
                let slice = &room[usize::from(place.slice)];
                let there = &slice.banks[usize::from(place.bank)];
                let live = if written {
                    there.live(start)
                } else {
                    there.peak
                };
                let full = there.forever + live + words;
                (full <= self.bank_words).then_some((place, full))
            })
            .filter_map(|(place, full)| Some((place, full, wait(place)?)))
            .map(|(place, full, wait)| {
                let here = picked
                    .iter()
                    .filter(|(_, p)| (p.hemi, p.slice) == (hemi, place.slice));
                let here: u64 = here.map(|(o, _)| self.uses[o.0 as usize].reads).sum();
                let pending = room[usize::from(place.slice)].pending + here;
                let avoided = avoided >> bit(hemi, place.slice) & 1;
                let tight = full + slack > self.bank_words;
                let pending = if written { pending } else { 0 };
                (avoided, wait, tight, pending, full, place.slice, place.bank)
            })
            .min();
        match choice {
            Some((_, wait, _, _, _, slice, bank)) => Ok((wait, Place { hemi, slice, bank })),
            None => Err(self.no_slice(problem, b, taken)),
        }
    }

    /// Takes a buffer out of its slice again.
    pub fn leave(&mut self, buffer: BufferId, place: Place) {
        let b = buffer.0 as usize;
        let slice = &mut self.filled[place.hemi.index()][usize::from(place.slice)];
        slice.pending -= self.uses[b].reads;
        slice.banks[usize::from(place.bank)]
            .lives
            .retain(|l| l.buffer != b);
        for &(g, _) in &self.member[b] {
            self.used[g].retain(|m| m.buffer != b);
        }
    }

    /// Places a buffer; a written one comes to life at `start`.
    pub fn settle(&mut self, problem: &Problem, buffer: BufferId, place: Place, start: i64) {
        let b = buffer.0 as usize;
        let words = problem.buffers[b].words;
        let slice = &mut self.filled[place.hemi.index()][usize::from(place.slice)];
        let bank = &mut slice.banks[usize::from(place.bank)];
        if problem.buffers[b].origin == Origin::Written {
            bank.lives
                .retain(|l| l.end.is_none_or(|e| e + PAST >= start));
            bank.lives.push(Life {
                buffer: b,
                words,
                end: None,
            });
            bank.peak = bank.peak.max(bank.live(start));
            slice.pending += self.uses[b].reads;
        } else {
            bank.forever += words;
        }
        for &(g, family) in &self.member[b] {
            self.used[g].push(Member::new(b, family, place));
        }
    }

    /// Whether a chain still has to read a buffer.
    pub fn will_be_read(&self, buffer: BufferId) -> bool {
        self.uses[buffer.0 as usize].reads > 0
    }

    /// Notes that `count` words of a buffer have been read until cycle `last`; after the last one its words are free.
    pub fn read(
        &mut self,
        problem: &Problem,
        buffer: BufferId,
        place: Place,
        count: u32,
        last: i64,
    ) {
        let b = buffer.0 as usize;
        if problem.buffers[b].origin != Origin::Written {
            return;
        }
        let slice = &mut self.filled[place.hemi.index()][usize::from(place.slice)];
        let usage = &mut self.uses[b];
        slice.pending -= u64::from(count);
        usage.reads -= u64::from(count);
        usage.last = usage.last.max(last);
        if usage.reads == 0 {
            let lives = &mut slice.banks[usize::from(place.bank)].lives;
            lives
                .iter_mut()
                .filter(|l| l.buffer == b)
                .for_each(|l| l.end = Some(usage.last));
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

    fn no_slice(&self, problem: &Problem, b: usize, taken: u128) -> Refusal {
        let hemi = self.sides[b];
        let id = BufferId(b as u32);
        let reads = |c: &&Chain| groups(c).iter().flatten().any(|x| x.0 == id);
        let chain = problem.chains.iter().find(reads);
        let banks = || self.filled[hemi.index()].iter().flat_map(|s| &s.banks);
        let forever: u64 = banks().map(|b| u64::from(b.forever)).sum();
        let live: u64 = banks().map(|b| u64::from(b.peak)).sum();
        let capacity = self.usable[hemi.index()].len() as u64 * 2 * u64::from(self.bank_words);
        Refusal {
            location: chain.map_or(String::new(), |c| c.location.clone()),
            message: format!(
                "no slice for a buffer of {} words in hemisphere {}: {} of its slices are accessed in the same cycles; of its \
                 {capacity} words {forever} hold constants and inputs, up to {live} more rows: a shorter sequence or fewer \
                 layers would fit",
                problem.buffers[b].words,
                hemi.letter(),
                (taken >> bit(hemi, 0) & ALL_SLICES).count_ones(),
            ),
        }
    }
}

fn bit(hemi: Hemisphere, slice: u8) -> u32 {
    u32::from(slice) + u32::from(SLICES) * hemi.index() as u32
}

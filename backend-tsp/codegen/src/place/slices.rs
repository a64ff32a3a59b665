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
        let rows = chain.row_reads().map(|r| (r.buffer, chain.rows));
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

/// Groups of buffers that are accessed in the same cycles: those that a chain reads with those that it writes at one
/// row, those of each install segment.
fn simultaneous(chain: &Chain) -> Vec<Vec<BufferId>> {
    let reads: Vec<BufferId> = chain.row_reads().map(|r| r.buffer).collect();
    // Writes of one result to a slice happen in the order of its rows, so only those whose rows meet exclude each
    // other; results leave the VXM at different times, so those of another result always do.
    let last = |w: &Write| w.first + (w.count - 1) * w.step;
    let moments: BTreeSet<(u32, u32)> = chain.writes.iter().map(|w| (w.output, w.first)).collect();
    let mut groups: Vec<Vec<BufferId>> = moments
        .into_iter()
        .map(|(output, row)| {
            let meets = |w: &&Write| w.output != output || (w.first <= row && row <= last(w));
            let writes = chain.writes.iter().filter(meets).map(|w| w.buffer);
            reads.iter().copied().chain(writes).collect()
        })
        .collect();
    if let Some(pass) = &chain.pass {
        groups.extend(
            pass.install
                .segments
                .iter()
                .map(|s| s.streams.iter().map(|r| r.buffer).collect()),
        );
    }
    groups
}

/// What is known of the slices while buffers get their places.
#[derive(Clone, Default, Debug)]
pub struct Rooms {
    sides: Vec<Hemisphere>,
    /// Groups of buffers that are accessed in the same cycles: the slices that they take.
    used: Vec<u128>,
    /// Per buffer, its groups.
    member: Vec<Vec<usize>>,
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
        for group in problem.chains.iter().flat_map(simultaneous) {
            for b in &group {
                let of: &mut Vec<usize> = &mut member[b.0 as usize];
                if of.last() != Some(&sizes.len()) {
                    of.push(sizes.len());
                }
            }
            sizes.push(group.len());
        }
        let (uses, buckets) = uses(problem);
        let slices = || vec![Slice::new(buckets); usize::from(SLICES)];
        let mut rooms = Rooms {
            sides,
            used: vec![0; sizes.len()],
            member,
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
            let neighbours: usize = rooms.member[b].iter().map(|&g| sizes[g]).sum();
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
            let place = rooms.choose(problem, b, cost)?;
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

    /// Places a buffer when its writer, or the reader of a floating one, gets its time: `wait` tells how long a slice
    /// would make it wait.
    pub fn timed(
        &mut self,
        problem: &Problem,
        buffer: BufferId,
        wait: impl Fn(Hemisphere, u8) -> i64,
    ) -> Result<Place, Refusal> {
        let b = buffer.0 as usize;
        let hemi = self.sides[b];
        let cost = |slice: &Slice, s: u8| {
            let constants = slice.meets(&self.uses[b]);
            4 * wait(hemi, s) as u64 + slice.pending + constants
        };
        let place = self.choose(problem, b, cost)?;
        let written = problem.buffers[b].origin == Origin::Written;
        self.take(b, place, problem.buffers[b].words, !written);
        let slice = &mut self.filled[hemi.index()][usize::from(place.slice)];
        if problem.buffers[b].origin == Origin::Written {
            slice.pending += self.uses[b].reads;
        }
        Ok(place)
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

    /// The cheapest slice and bank for a buffer.
    fn choose(
        &self,
        problem: &Problem,
        b: usize,
        cost: impl Fn(&Slice, u8) -> u64,
    ) -> Result<Place, Refusal> {
        let hemi = self.sides[b];
        let taken = self.member[b].iter().fold(0u128, |m, &g| m | self.used[g]);
        let words = problem.buffers[b].words;
        let written = problem.buffers[b].origin == Origin::Written;
        // Constants leave room in every bank as long as they can: a buffer with many neighbours needs each slice.
        // A buffer is read some time after its reader got its time, so written ones leave room as well.
        let slack = self.bank_words / if written { 8 } else { 4 };
        let room = &self.filled[hemi.index()];
        let free = self.usable[hemi.index()].iter().copied();
        let choice = free
            .filter(|&s| taken >> bit(hemi, s) & 1 == 0)
            .flat_map(|s| {
                let slice = &room[usize::from(s)];
                let cost = cost(slice, s);
                [0u8, 1].map(|bank| {
                    let there = &slice.banks[usize::from(bank)];
                    let full = there.forever + there.live + words;
                    (full + slack > self.bank_words, cost, full, s, bank)
                })
            })
            // Only what stays is refused here.
            .filter(|&(_, _, full, ..)| {
                words <= self.bank_words && (written || full <= self.bank_words)
            })
            .min();
        match choice {
            Some((_, _, _, slice, bank)) => Ok(Place { hemi, slice, bank }),
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
        for &g in &self.member[b] {
            self.used[g] |= 1 << bit(place.hemi, place.slice);
        }
    }

    fn no_slice(&self, problem: &Problem, b: usize, taken: u128) -> Refusal {
        let hemi = self.sides[b];
        let id = BufferId(b as u32);
        let reads = |c: &&Chain| simultaneous(c).iter().flatten().any(|x| *x == id);
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
                (taken >> bit(hemi, 0) & ((1 << SLICES) - 1)).count_ones(),
                (words * 320) >> 20,
                (capacity * 320) >> 20,
            ),
        }
    }
}

fn bit(hemi: Hemisphere, slice: u8) -> u32 {
    u32::from(slice) + u32::from(SLICES) * hemi.index() as u32
}

//! place: hemisphere, slice and bank of every buffer; hemisphere of every pass.
//!
//! Before: a problem whose chains are listed producers first. After: every buffer has a slice, such that no chain needs
//! one slice twice in a cycle; buffers that travel as one group (bytes of a VXM operand, writes of one
//! result) share a hemisphere. Knows no cycle and no word.

use std::collections::BTreeSet;

use std::cmp::Reverse;

use tspc_machine::Machine;
use tspc_program::{Hemisphere, SLICES};

use crate::Refusal;
use crate::problem::{BufferId, Chain, Feed, Origin, Problem, Write};

/// Where a buffer lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Hemisphere.
    pub hemi: Hemisphere,
    /// Slice.
    pub slice: u8,
    /// Bank.
    pub bank: u8,
}

/// A problem with places.
#[derive(Clone, Debug)]
pub struct Placed {
    /// What is placed.
    pub problem: Problem,
    /// Per buffer.
    pub places: Vec<Place>,
    /// Per chain: where its pass runs (West for a chain without one).
    pub passes: Vec<Hemisphere>,
    /// Per hemisphere: planes that run passes. An fp16 unit keeps the odd plane still from its first load to its last
    /// result, so a hemisphere with an fp16 pass has one.
    pub planes: [u8; 2],
}

impl Placed {
    /// A buffer's place.
    pub fn of(&self, buffer: BufferId) -> Place {
        self.places[buffer.0 as usize]
    }
}

/// Places a problem.
pub fn place(problem: Problem, machine: &Machine) -> Result<Placed, Refusal> {
    let planes = planes(&problem);
    let passes = pass_hemispheres(&problem, planes);
    let hemispheres = buffer_hemispheres(&problem, &passes);
    let places = slices(&problem, &hemispheres, machine)?;
    Ok(Placed {
        problem,
        places,
        passes,
        planes,
    })
}

/// Union-find over indices; the representative is the smallest member, so results do not depend on order.
struct Unions(Vec<usize>);

impl Unions {
    fn new(n: usize) -> Unions {
        Unions((0..n).collect())
    }

    fn find(&mut self, mut i: usize) -> usize {
        while self.0[i] != i {
            self.0[i] = self.0[self.0[i]];
            i = self.0[i];
        }
        i
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        let (low, high) = (a.min(b), a.max(b));
        self.0[high] = low;
    }
}

/// The hemisphere of fp16 passes in a program with passes of both kinds; the other one runs int8 on both planes.
const F16_SIDE: Hemisphere = Hemisphere::East;

fn planes(problem: &Problem) -> [u8; 2] {
    let runs = |f16: bool| {
        let mut passes = problem.chains.iter().filter_map(|c| c.pass.as_ref());
        passes.any(|p| p.install.f16.is_some() == f16)
    };
    match (runs(true), runs(false)) {
        (true, true) => {
            let mut planes = [2; 2];
            planes[F16_SIDE.index()] = 1;
            planes
        }
        (true, false) => [1; 2],
        (false, _) => [2; 2],
    }
}

/// Passes that add up one sum stay on one side, since its partial sums do; the sums are dealt to the sides by their planes.
fn pass_hemispheres(problem: &Problem, planes: [u8; 2]) -> Vec<Hemisphere> {
    let mut writer = vec![None; problem.buffers.len()];
    let mut unions = Unions::new(problem.chains.len());
    for (c, chain) in problem.chains.iter().enumerate() {
        for read in chain
            .pass
            .iter()
            .flat_map(|p| &p.partial)
            .flat_map(|s| &s.bytes)
        {
            if let Some(w) = writer[read.buffer.0 as usize] {
                unions.join(w, c);
            }
        }
        for write in &chain.writes {
            writer[write.buffer.0 as usize] = Some(c);
        }
    }
    let mut work = vec![0u64; problem.chains.len()];
    let mut f16 = vec![false; problem.chains.len()];
    for (c, chain) in problem.chains.iter().enumerate() {
        if let Some(pass) = &chain.pass {
            work[unions.find(c)] += u64::from(chain.rows);
            f16[unions.find(c)] |= pass.install.f16.is_some();
        }
    }
    let mixed = planes[0] != planes[1];
    let mut load = [0u64; 2];
    let mut side = vec![Hemisphere::West; problem.chains.len()];
    for c in 0..problem.chains.len() {
        let root = unions.find(c);
        if root != c {
            side[c] = side[root];
            continue;
        }
        // The time that each side would need.
        let time = |h: usize| (load[h] + work[c]) * u64::from(planes[1 - h]);
        side[c] = if mixed && f16[c] {
            F16_SIDE
        } else if time(1) < time(0) {
            Hemisphere::East
        } else {
            Hemisphere::West
        };
        load[side[c].index()] += work[c];
    }
    side
}

/// Buffers that must share a side are dealt together, to the side whose passes read them most.
fn buffer_hemispheres(problem: &Problem, passes: &[Hemisphere]) -> Vec<Hemisphere> {
    let n = problem.buffers.len();
    let mut unions = Unions::new(n);
    let mut votes = vec![[0i64; 2]; n];
    for (c, chain) in problem.chains.iter().enumerate() {
        let mut vote = |buffer: BufferId, weight: u32| {
            votes[buffer.0 as usize][passes[c].index()] += i64::from(weight);
        };
        if let Some(pass) = &chain.pass {
            for (segment, read) in chain.install_reads() {
                vote(read.buffer, u32::from(segment.count));
            }
            let partial = pass.partial.iter().flat_map(|s| &s.bytes);
            for read in pass.act.bytes.iter().chain(&pass.window).chain(partial) {
                vote(read.buffer, chain.rows);
            }
            if chain.vxm.is_none() {
                chain.writes.iter().for_each(|w| vote(w.buffer, chain.rows));
            }
        }
        for feed in chain.vxm.iter().flat_map(|v| &v.feeds) {
            if let Feed::Memory(source) = feed {
                for pair in source.bytes.windows(2) {
                    unions.join(pair[0].buffer.0 as usize, pair[1].buffer.0 as usize);
                }
            }
        }
        for a in &chain.writes {
            for b in chain.writes.iter().filter(|b| b.output == a.output) {
                unions.join(a.buffer.0 as usize, b.buffer.0 as usize);
            }
        }
    }
    let mut sums = vec![[0i64; 2]; n];
    let mut words = vec![0i64; n];
    for (b, votes) in votes.iter().enumerate() {
        let root = unions.find(b);
        (0..2).for_each(|h| sums[root][h] += votes[h]);
        words[root] += i64::from(problem.buffers[b].words);
    }
    let mut load = [0i64; 2];
    let mut side = vec![Hemisphere::West; n];
    for b in 0..n {
        let root = unions.find(b);
        if root == b {
            let [west, east] = sums[b];
            let east_first = if west == east {
                load[1] < load[0]
            } else {
                west < east
            };
            side[b] = if east_first {
                Hemisphere::East
            } else {
                Hemisphere::West
            };
            load[side[b].index()] += words[b];
        } else {
            side[b] = side[root];
        }
    }
    side
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

fn slices(
    problem: &Problem,
    sides: &[Hemisphere],
    machine: &Machine,
) -> Result<Vec<Place>, Refusal> {
    let n = problem.buffers.len();
    let mut groups: Vec<Vec<BufferId>> = Vec::new();
    let mut member = vec![Vec::new(); n];
    for chain in &problem.chains {
        for group in simultaneous(chain) {
            for b in &group {
                let of: &mut Vec<usize> = &mut member[b.0 as usize];
                if of.last() != Some(&groups.len()) {
                    of.push(groups.len());
                }
            }
            groups.push(group);
        }
    }
    let bank_words = machine.mem_words_per_bank;
    let mut used = vec![0u128; groups.len()];
    let mut filled = [[[0u32; 2]; SLICES as usize]; 2];
    let mut places = vec![
        Place {
            hemi: Hemisphere::West,
            slice: 0,
            bank: 0
        };
        n
    ];
    // What is there from the start needs room for ever, so it is placed first, the largest ahead.
    let mut order: Vec<usize> = (0..n).collect();
    // Those with the most neighbours first, while there is a choice; what stays for ever before what comes and goes.
    let neighbours = |b: usize| member[b].iter().map(|&g| groups[g].len()).sum::<usize>();
    order.sort_by_cached_key(|&b| {
        let buffer = &problem.buffers[b];
        let written = buffer.origin == Origin::Written;
        (written, Reverse(neighbours(b)), Reverse(buffer.words), b)
    });
    for b in order {
        let hemi = sides[b];
        let taken = member[b].iter().fold(0u128, |m, &g| m | used[g]);
        let words = problem.buffers[b].words;
        let forever = problem.buffers[b].origin != Origin::Written;
        let text = [&machine.text_slices_west, &machine.text_slices_east][hemi.index()];
        let room = &filled[hemi.index()];
        let choice = (0..SLICES)
            .filter(|s| !text.contains(&u32::from(*s)) && taken >> bit(hemi, *s) & 1 == 0)
            .flat_map(|s| [(s, 0u8), (s, 1)])
            .filter(|&(s, k)| {
                words <= bank_words
                    && (!forever || room[s as usize][k as usize] + words <= bank_words)
            })
            .min_by_key(|&(s, k)| {
                let [a, c] = room[s as usize];
                (a + c, room[s as usize][k as usize], s)
            });
        let Some((slice, bank)) = choice else {
            return Err(no_slice(problem, b, hemi, taken, &filled, machine));
        };
        // Words that come and go share rooms; they count so that traffic spreads over the slices.
        filled[hemi.index()][slice as usize][bank as usize] += words;
        for &g in &member[b] {
            used[g] |= 1 << bit(hemi, slice);
        }
        places[b] = Place { hemi, slice, bank };
    }
    Ok(places)
}

fn bit(hemi: Hemisphere, slice: u8) -> u32 {
    u32::from(slice) + u32::from(SLICES) * hemi.index() as u32
}

fn no_slice(
    problem: &Problem,
    b: usize,
    hemi: Hemisphere,
    taken: u128,
    filled: &[[[u32; 2]; SLICES as usize]; 2],
    machine: &Machine,
) -> Refusal {
    let id = BufferId(b as u32);
    let reads = |c: &&Chain| simultaneous(c).iter().flatten().any(|x| *x == id);
    let location = problem
        .chains
        .iter()
        .find(reads)
        .map_or(String::new(), |c| c.location.clone());
    let words: u64 = problem
        .buffers
        .iter()
        .filter(|b| b.origin != Origin::Written)
        .map(|b| u64::from(b.words))
        .sum();
    let text = machine.text_slices_west.len() + machine.text_slices_east.len();
    let capacity = u64::from(2 * machine.mem_slices - text as u32)
        * u64::from(machine.mem_banks * machine.mem_words_per_bank);
    let side = filled[hemi.index()]
        .iter()
        .flatten()
        .map(|w| u64::from(*w))
        .sum::<u64>();
    Refusal {
        location,
        message: format!(
            "no slice for a buffer of {} words in hemisphere {}: {} of its slices are accessed in the same cycles, \
             {side} words are filled there; constants and inputs need {words} of {capacity} words ({} MiB of {} MiB)",
            problem.buffers[b].words,
            hemi.letter(),
            (taken >> bit(hemi, 0) & ((1 << SLICES) - 1)).count_ones(),
            (words * 320) >> 20,
            (capacity * 320) >> 20,
        ),
    }
}

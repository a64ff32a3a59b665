//! The hemisphere of every pass and of every buffer.
//!
//! Passes are dealt to the sides by their planes; buffers follow the passes that read them. Weights beyond what a side can
//! spare live on the other one and cross the VXM on their way.

use tspc_machine::Machine;
use tspc_program::Hemisphere;

use super::slices::{STREAMS, installed};
use crate::problem::{BufferId, Chain, Feed, Pass, Problem, spans};

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

/// Planes that run passes, per side.
pub fn planes(problem: &Problem) -> [u8; 2] {
    let runs = |f16: bool| {
        let mut passes = problem.chains.iter().flat_map(|c| &c.passes);
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

/// The ways to deal a chain's passes to the sides: those that hand on their sums alternate, and no side has more passes
/// than planes. In a program with passes of both kinds fp16 ones have a side of their own.
pub fn dealings(chain: &Chain, planes: [u8; 2]) -> Vec<Vec<Hemisphere>> {
    let mixed = planes[0] != planes[1];
    let mut dealings: Vec<Vec<Hemisphere>> = vec![Vec::new()];
    for pass in &chain.passes {
        let mut longer = Vec::new();
        for sides in &dealings {
            for side in Hemisphere::ALL {
                let there = sides.iter().filter(|s| **s == side).count();
                let full = there == usize::from(planes[side.index()]);
                let alike = pass.relayed() && sides.last() == Some(&side);
                let barred = mixed && pass.install.f16.is_some() && side != F16_SIDE;
                if !(full || alike || barred) {
                    let mut sides = sides.clone();
                    sides.push(side);
                    longer.push(sides);
                }
            }
        }
        dealings = longer;
    }
    dealings
}

/// The side of every pass. Passes that add a stored sum run where that is, if they can; all are dealt to the sides by
/// their planes.
pub fn of_passes(problem: &Problem, planes: [u8; 2]) -> Vec<Vec<Hemisphere>> {
    let mut stored = vec![None; problem.buffers.len()];
    let mixed = planes[0] != planes[1];
    let mut load = [0u64; 2];
    let mut sides: Vec<Vec<Hemisphere>> = Vec::new();
    for chain in &problem.chains {
        let work = u64::from(chain.rows);
        // Stored sums that would cross the chip; the time that the busier side would need.
        let cost = |dealing: &Vec<Hemisphere>| {
            let sums = chain.passes.iter().map(|p| {
                let source = p.stored_partial()?;
                stored[source.bytes[0][0].read.buffer.0 as usize]
            });
            let crossing = sums
                .zip(dealing)
                .filter(|(sum, side)| sum.is_some_and(|s| s != **side));
            let times = [0, 1].map(|h: usize| {
                let here = dealing.iter().filter(|s| s.index() == h).count() as u64;
                (load[h] + here * work) * u64::from(planes[1 - h])
            });
            let [west, east] = times;
            (crossing.count(), west.max(east))
        };
        let chosen = dealings(chain, planes).into_iter().min_by_key(cost);
        let chosen = chosen.expect("a chain has no more passes than there are planes");
        // The fp16 passes of a mixed program run at another time than their neighbours: evening them out would leave one
        // side idle before and the other after.
        let counts = |p: &Pass| !(mixed && p.install.f16.is_some());
        for (pass, side) in chain.passes.iter().zip(&chosen) {
            load[side.index()] += if counts(pass) { work } else { 0 };
        }
        if let Some(&last) = chosen.last().filter(|_| chain.vxm.is_none()) {
            for write in &chain.writes {
                stored[write.buffer.0 as usize] = Some(last);
            }
        }
        sides.push(chosen);
    }
    sides
}

/// Buffers that must share a side are dealt together, to the side whose passes read them most.
pub fn of_buffers(
    problem: &Problem,
    passes: &[Vec<Hemisphere>],
    machine: &Machine,
) -> Vec<Hemisphere> {
    let n = problem.buffers.len();
    let mut unions = Unions::new(n);
    let mut votes = vec![[0i64; 2]; n];
    for (c, chain) in problem.chains.iter().enumerate() {
        let mut vote = |buffer: BufferId, side: Hemisphere, weight: u32| {
            votes[buffer.0 as usize][side.index()] += i64::from(weight);
        };
        for (pass, &side) in chain.passes.iter().zip(&passes[c]) {
            for segment in &pass.install.segments {
                let weight = u32::from(segment.count);
                let reads = segment.streams.iter().chain(&segment.window);
                reads.for_each(|read| vote(read.buffer, side, weight));
            }
            let partial = pass.stored_partial().into_iter().flat_map(|s| &s.bytes);
            for plane in pass.act.bytes.iter().chain(&pass.window).chain(partial) {
                spans(plane, chain.rows).for_each(|(p, rows)| vote(p.read.buffer, side, rows));
            }
        }
        if let (None, Some(&side)) = (&chain.vxm, passes[c].last()) {
            (chain.writes.iter()).for_each(|w| vote(w.buffer, side, w.count));
        }
        for feed in chain.vxm.iter().flat_map(|v| &v.feeds) {
            if let Feed::Memory(source) = feed {
                let buffers = source
                    .bytes
                    .iter()
                    .flatten()
                    .map(|p| p.read.buffer.0 as usize);
                let buffers: Vec<usize> = buffers.collect();
                buffers
                    .windows(2)
                    .for_each(|pair| unions.join(pair[0], pair[1]));
            }
        }
        for a in &chain.writes {
            for b in chain.writes.iter().filter(|b| b.output == a.output) {
                unions.join(a.buffer.0 as usize, b.buffer.0 as usize);
            }
        }
    }
    for segment in problem
        .chains
        .iter()
        .flat_map(|c| &c.passes)
        .flat_map(|p| &p.install.segments)
    {
        for pair in segment.streams.windows(2) {
            unions.join(pair[0].buffer.0 as usize, pair[1].buffer.0 as usize);
        }
    }
    let weights = installed(problem);
    let mut sums = vec![[0i64; 2]; n];
    let mut words = vec![0u64; n];
    for (b, votes) in votes.iter().enumerate() {
        let root = unions.find(b);
        (0..2).for_each(|h| sums[root][h] += votes[h]);
        words[root] += u64::from(problem.buffers[b].words);
    }
    // Weights that a side holds without cost: sixteen slices feed a plane.
    let spare = u64::from(machine.mem_banks * machine.mem_words_per_bank) * STREAMS as u64;
    let mut load = [0u64; 2];
    let mut held = [0u64; 2];
    let mut side = vec![Hemisphere::West; n];
    for b in 0..n {
        let root = unions.find(b);
        if root != b {
            side[b] = side[root];
            continue;
        }
        let [west, east] = sums[b];
        let mut h = usize::from(if west == east {
            load[1] < load[0]
        } else {
            west < east
        });
        if weights[b] && held[h] + words[b] > spare && held[1 - h] < held[h] {
            h = 1 - h;
        }
        side[b] = Hemisphere::ALL[h];
        load[h] += words[b];
        held[h] += if weights[b] { words[b] } else { 0 };
    }
    side
}

//! The hemisphere of every pass and of every buffer.
//!
//! Passes are dealt to the sides by their planes; buffers follow the passes that read them. Weights beyond what a side can
//! spare live on the other one and cross the VXM on their way.

use tspc_machine::Machine;
use tspc_program::Hemisphere;

use super::slices::{STREAMS, installed};
use crate::problem::{BufferId, Feed, Problem, spans};

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
pub fn of_passes(problem: &Problem, planes: [u8; 2]) -> Vec<Hemisphere> {
    let mut writer = vec![None; problem.buffers.len()];
    let mut unions = Unions::new(problem.chains.len());
    for (c, chain) in problem.chains.iter().enumerate() {
        let partial = chain.pass.iter().flat_map(|p| &p.partial);
        for piece in partial.flat_map(|s| s.bytes.iter().flatten()) {
            if let Some(w) = writer[piece.read.buffer.0 as usize] {
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
        // The fp16 passes of a mixed program run at another time than their neighbours: evening them out would leave
        // one side idle before and the other after.
        if !(mixed && f16[c]) {
            load[side[c].index()] += work[c];
        }
    }
    side
}

/// Buffers that must share a side are dealt together, to the side whose passes read them most.
pub fn of_buffers(problem: &Problem, passes: &[Hemisphere], machine: &Machine) -> Vec<Hemisphere> {
    let n = problem.buffers.len();
    let mut unions = Unions::new(n);
    let mut votes = vec![[0i64; 2]; n];
    for (c, chain) in problem.chains.iter().enumerate() {
        let mut vote = |buffer: BufferId, weight: u32| {
            votes[buffer.0 as usize][passes[c].index()] += i64::from(weight);
        };
        if let Some(pass) = &chain.pass {
            for (segment, read) in chain.install_reads().chain(chain.install_windows()) {
                vote(read.buffer, u32::from(segment.count));
            }
            let partial = pass.partial.iter().flat_map(|s| &s.bytes);
            for plane in pass.act.bytes.iter().chain(&pass.window).chain(partial) {
                spans(plane, chain.rows).for_each(|(p, rows)| vote(p.read.buffer, rows));
            }
            if chain.vxm.is_none() {
                chain.writes.iter().for_each(|w| vote(w.buffer, w.count));
            }
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
        .flat_map(|c| &c.pass)
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

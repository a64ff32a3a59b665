//! Parts of a program with lower bounds of their cycles, and what binds.
//!
//! A bound holds for every schedule of the same instructions in the same places: a kind of unit dispatches no more
//! than once a cycle and unit, and what is stored, loaded or installed is used after its delay.

use std::collections::BTreeMap;

use super::waits::{Point, Waits};
use crate::machine::Machine;
use crate::program::{AluOp, ElemType, Instr, Unit};

/// A part of the program and its bounds.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Its first dispatch.
    pub start: u64,
    /// From its first dispatch to its last; of the whole the latency.
    pub cycles: u64,
    /// Lower bounds, by what binds.
    pub bounds: BTreeMap<&'static str, u64>,
}

impl Part {
    /// The largest bound, and what binds.
    pub fn bound(&self) -> (&'static str, u64) {
        let largest = self.bounds.iter().max_by_key(|&(name, n)| (n, name));
        largest.map_or(("", 0), |(name, n)| (*name, *n))
    }
}

/// The parts that `of` sorts the instructions into.
pub fn parts<K: Ord>(
    waits: &Waits,
    machine: &Machine,
    of: impl Fn(usize) -> Option<K>,
) -> BTreeMap<K, Part> {
    let mut members: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for node in 0..waits.nodes.len() {
        if let Some(key) = of(node) {
            members.entry(key).or_default().push(node);
        }
    }
    let mut labels = vec![None; waits.nodes.len()];
    for (label, nodes) in members.values().enumerate() {
        nodes.iter().for_each(|&node| labels[node] = Some(label));
    }
    let chains = chains(waits, &labels, members.len());
    let parts = members.into_iter().zip(chains);
    parts
        .map(|((key, nodes), chain)| {
            let times = nodes.iter().map(|&node| &waits.nodes[node].time);
            let start = times.clone().map(|t| t.first).min().unwrap_or(0);
            let end = times.map(|t| t.last() + 1).max().unwrap_or(0);
            let mut bounds = work(waits, machine, &nodes);
            bounds.insert("dependencies", chain);
            let cycles = end - start;
            let part = Part {
                start,
                cycles,
                bounds,
            };
            (key, part)
        })
        .collect()
}

/// Dispatches of each kind of unit, shared out evenly.
fn work(waits: &Waits, machine: &Machine, nodes: &[usize]) -> BTreeMap<&'static str, u64> {
    let planes = u64::from(2 * machine.mxm_planes);
    let text = machine.text_slices_west.len() + machine.text_slices_east.len();
    let slices = u64::from(2 * machine.mem_slices) - text as u64;
    // Distributors, transposers, permutor and two shifters (machine.md, SXM).
    let sxm = u64::from(2 * (machine.sxm_distributors + machine.sxm_transposers + 3));
    let mut work: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
    for &node in nodes {
        let n = u64::from(waits.nodes[node].time.iterations());
        let mut add = |name, units: u64, n| {
            work.entry(name).or_insert((0, units.max(1))).0 += n;
        };
        match (waits.instr(node), waits.nodes[node].queue.unit()) {
            // In fp16 two planes are one unit.
            (Instr::Act { ty, .. }, _) if *ty == ElemType::F16 => add("MXM", planes, 2 * n),
            (Instr::Act { .. }, _) => add("MXM", planes, n),
            (Instr::Lw { f16, .. }, _) if f16.is_some() => add("MXM loads", planes, 2 * n),
            (Instr::Lw { .. }, _) => add("MXM loads", planes, n),
            (Instr::Alu(alu), _) => {
                add("VXM", machine.vxm_alus.into(), n);
                if matches!(alu.op, AluOp::Exp | AluOp::Tanh | AluOp::Rsqrt) {
                    add("VXM large ALUs", machine.vxm_large_alus.len() as u64, n);
                }
            }
            (_, Unit::Mem(..)) => add("MEM", slices, n),
            (_, Unit::Sxm(..)) => add("SXM", sxm, n),
            _ => {}
        }
    }
    let even = work
        .into_iter()
        .map(|(name, (n, units))| (name, n.div_ceil(units)));
    even.collect()
}

/// For each label the longest way through its own instructions, if no unit is ever busy.
fn chains(waits: &Waits, labels: &[Option<usize>], count: usize) -> Vec<u64> {
    // What moves as one: a run's instructions of one label; first cycles, to count from.
    let mut rigid: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut base: Vec<u64> = Vec::new();
    let mut class = vec![usize::MAX; labels.len()];
    for (node, label) in labels.iter().enumerate() {
        let Some(label) = label else { continue };
        let first = waits.nodes[node].time.first;
        let fresh = base.len();
        class[node] = *rigid.entry((waits.run_of(node), *label)).or_insert(fresh);
        match base.get_mut(class[node]) {
            Some(base) => *base = first.min(*base),
            None => base.push(first),
        }
    }
    let since = |p: Point| (waits.cycle(p) - base[class[p.node]]) as i64;
    let mut edges: Vec<(usize, usize, i64)> = Vec::new();
    for node in (0..labels.len()).filter(|&node| labels[node].is_some()) {
        for (on, at, kind) in waits.operands(node) {
            let (from, to) = (class[on.node], class[node]);
            if let Some((_, least)) = kind.filter(|_| labels[on.node] == labels[node] && from != to)
            {
                edges.push((from, to, since(on) + least as i64 - since(at)));
            }
        }
    }
    edges.sort_by_key(|&(from, ..)| base[from]);
    let mut start = vec![0i64; base.len()];
    // Any number of rounds gives bounds; makers nearly always begin first, so that one gives the best.
    for _ in 0..4 {
        for &(from, to, cycles) in &edges {
            start[to] = start[to].max(start[from] + cycles);
        }
    }
    let mut chains = vec![0; count];
    for (node, label) in labels.iter().enumerate() {
        if let Some(label) = *label {
            let time = &waits.nodes[node].time;
            let last = since(Point {
                node,
                iteration: time.n.into(),
            });
            chains[label] = chains[label].max((start[class[node]] + last + 1) as u64);
        }
    }
    chains
}

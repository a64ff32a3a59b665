//! Busy cycles of each unit, and when each phase of the model runs.

use std::collections::BTreeMap;

use crate::machine::Machine;
use crate::program::{Consumer, Instr, MxmQueue, Program, QueueId, Unit, dispatches};

/// Shares of the time, from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Busy {
    /// Plane-cycles with an activation entering.
    pub mxm: f64,
    /// ALU-cycles with an operation starting.
    pub vxm: f64,
    /// Slice-cycles with a read or a write.
    pub mem: f64,
    /// Queue-cycles of the nine SXM units that have instructions.
    pub sxm: f64,
}

/// A part of the model in the program.
#[derive(Clone, PartialEq, Debug)]
pub struct Phase {
    /// What it is, such as `attention.self.scores`.
    pub name: String,
    /// Its layer; none for what lies outside the layers.
    pub layer: Option<usize>,
    /// First dispatch.
    pub start: u64,
    /// One past the last dispatch.
    pub end: u64,
    /// Busy shares within its own time, of work for it alone.
    pub busy: Busy,
}

/// A program's use of time.
#[derive(Clone, PartialEq, Debug)]
pub struct Usage {
    /// Of the whole program.
    pub busy: Busy,
    /// In the order in which they begin.
    pub phases: Vec<Phase>,
}

/// Dispatches by kind of unit.
#[derive(Clone, Copy, Default)]
struct Count {
    mxm: u64,
    vxm: u64,
    mem: u64,
    sxm: u64,
}

/// Units that can dispatch in a cycle.
struct Units {
    planes: u64,
    alus: u64,
    slices: u64,
    sxm: u64,
}

impl Count {
    fn add(&mut self, unit: Unit, instr: &Instr, n: u64) {
        match (unit, instr) {
            (Unit::Mxm(_, _, MxmQueue::Activation), _) => self.mxm += n,
            (Unit::Alu(_), _) => self.vxm += n,
            (Unit::Mem(..), _) => self.mem += n,
            (Unit::Sxm(..), _) => self.sxm += n,
            _ => {}
        }
    }

    fn busy(&self, units: &Units, cycles: u64) -> Busy {
        let share = |n: u64, units: u64| match units * cycles {
            0 => 0.0,
            all => n as f64 / all as f64,
        };
        Busy {
            mxm: share(self.mxm, units.planes),
            vxm: share(self.vxm, units.alus),
            mem: share(self.mem, units.slices),
            sxm: share(self.sxm, units.sxm),
        }
    }
}

/// Looks at a whole program of `cycles` cycles.
pub fn usage(program: &Program, machine: &Machine, cycles: u64) -> Usage {
    // Distributors, transposers, permutor and two shifters (machine.md, SXM).
    let sxm = machine.sxm_distributors + machine.sxm_transposers + 3;
    let units = Units {
        planes: u64::from(2 * machine.mxm_planes),
        alus: u64::from(machine.vxm_alus),
        slices: u64::from(2 * machine.mem_slices),
        sxm: u64::from(2 * sxm),
    };
    let mut served: BTreeMap<(QueueId, u32), u32> = BTreeMap::new();
    for u in &program.uses {
        if let Consumer::Instr(site) = u.consumer {
            served.entry((site.queue, site.index)).or_insert(u.loc);
        }
    }
    let places: Vec<(Option<usize>, String)> = program
        .locations
        .iter()
        .map(|path| phase_of(path))
        .collect();
    let mut all = Count::default();
    let mut parts: BTreeMap<&(Option<usize>, String), (u64, u64, Count)> = BTreeMap::new();
    for queue in QueueId::all() {
        let instrs = &program.queues[queue.index()];
        for d in dispatches(instrs) {
            let (instr, n) = (&instrs[d.index], u64::from(d.iterations()));
            all.add(queue.unit(), instr, n);
            let place = served
                .get(&(queue, d.index as u32))
                .and_then(|&loc| places.get(loc as usize));
            if let Some(place) = place {
                let part = parts
                    .entry(place)
                    .or_insert((u64::MAX, 0, Count::default()));
                part.0 = part.0.min(d.first);
                part.1 = part.1.max(d.last() + 1);
                part.2.add(queue.unit(), instr, n);
            }
        }
    }
    let mut phases: Vec<Phase> = parts
        .into_iter()
        .map(|((layer, name), (start, end, count))| Phase {
            name: name.clone(),
            layer: *layer,
            start,
            end,
            busy: count.busy(&units, end - start),
        })
        .collect();
    phases.sort_by(|a, b| (a.start, a.end, &a.name).cmp(&(b.start, b.end, &b.name)));
    Usage {
        busy: all.busy(&units, cycles),
        phases,
    }
}

/// The layer and the part of a path in the model: the number behind `layer`, and what follows it. A rule's name in
/// parentheses, and further places of a fused location, do not count.
pub(super) fn phase_of(path: &str) -> (Option<usize>, String) {
    let path = path.split([' ', '(', ',']).next().unwrap_or(path);
    let parts: Vec<&str> = path.split(['.', '/']).collect();
    let layer = parts
        .windows(2)
        .position(|w| w[0] == "layer")
        .and_then(|i| Some((i + 2, parts[i + 1].parse::<usize>().ok()?)));
    match layer {
        Some((rest, n)) => (Some(n), parts[rest..].join(".")),
        None => (None, path.to_string()),
    }
}

/// The phase of a path in the model, as it is printed.
pub(super) fn title_of(path: &str) -> String {
    let (layer, name) = phase_of(path);
    title(layer, &name)
}

/// A phase as it is printed: `0: attention.self.query`.
pub(super) fn title(layer: Option<usize>, name: &str) -> String {
    match layer {
        Some(layer) => format!("{layer}: {name}"),
        None => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_layers_and_parts() {
        let of = |path: &str| phase_of(path);
        assert_eq!(
            of("encoder.layer.3.attention.self.query (int8)"),
            (Some(3), "attention.self.query".into())
        );
        assert_eq!(
            of("embeddings.LayerNorm"),
            (None, "embeddings.LayerNorm".into())
        );
        assert_eq!(of("layer.x.y"), (None, "layer.x.y".into()));
    }
}

//! Lower bounds of a latency, each with what it holds for.
//!
//! `macs` holds for every program that computes the same products; the others for every schedule of the same tiled
//! `stream.*`, since they count the passes and operations that it has.

use std::collections::BTreeMap;

use crate::ir::{Elem, Entity, Module, Opcode};
use crate::machine::Machine;

/// Names and cycles.
pub type Bounds = BTreeMap<&'static str, u64>;

/// The bounds of a compilation: the quantised module and the tiled one.
pub fn bounds(quantised: &Module, tiled: &Module, machine: &Machine) -> Bounds {
    let mut bounds = Bounds::new();
    bounds.insert("macs", macs(quantised, machine));
    bounds.insert("passes", passes(tiled, machine));
    bounds.insert("vxm", vxm(tiled, machine));
    bounds.insert("dependencies", dependencies(tiled, machine));
    bounds
}

/// The largest bound.
pub fn largest(bounds: &Bounds) -> u64 {
    bounds.values().copied().max().unwrap_or(0)
}

fn lanes(machine: &Machine) -> u64 {
    u64::from(machine.superlanes * machine.lanes_per_superlane)
}

/// All multipliers busy with useful products; fp16 runs at a quarter of the rate (machine.md, MXM).
fn macs(module: &Module, machine: &Machine) -> u64 {
    let planes = u64::from(2 * machine.mxm_planes);
    let int8 = planes * lanes(machine) * lanes(machine);
    let f16 = planes / 2 * u64::from(machine.mxm_k_f16) * lanes(machine);
    let mut work = [0u64; 2];
    for (_, op) in module.ops() {
        if op.opcode == Opcode::TensorMatmul {
            let (a, y) = (module.ty(op.operands[0]), module.ty(op.results[0]));
            let n = y.elements() as u64 * a.last() as u64;
            work[usize::from(a.elem == Elem::F16)] += n;
        }
    }
    work[0].div_ceil(int8) + work[1].div_ceil(f16)
}

/// Every row of every pass takes a plane for a cycle; in fp16 two planes, once for each 160 lanes.
fn passes(module: &Module, machine: &Machine) -> u64 {
    let planes = u64::from(2 * machine.mxm_planes);
    let mut plane_cycles = 0;
    for (_, op) in module.ops() {
        if op.opcode == Opcode::StreamPass {
            let x = module.ty(op.operands[0]);
            let rows = (x.elements() / x.last()) as u64;
            plane_cycles += match x.elem {
                Elem::F16 => 2 * rows * (x.last() as u64).div_ceil(u64::from(machine.mxm_k_f16)),
                _ => rows,
            };
        }
    }
    plane_cycles.div_ceil(planes)
}

/// Every operation on every row takes an ALU for a cycle.
fn vxm(module: &Module, machine: &Machine) -> u64 {
    let mut operations = 0;
    for &op in module.body_ops() {
        let data = &module[op];
        if let (Opcode::StreamPipeline, Some(region)) = (data.opcode, data.region) {
            let ty = module.ty(data.results[0]);
            let rows = (ty.elements() / ty.last()) as u64;
            // The yield is no operation.
            operations += rows * (module[region].ops.len() as u64 - 1);
        }
    }
    operations.div_ceil(u64::from(machine.vxm_alus))
}

/// The longest way from an input to an output: rows that stream, latencies of units, one hop each; installs wait for
/// their last row. Views may reach back to the first row, so they wait for that one only.
fn dependencies(module: &Module, machine: &Machine) -> u64 {
    let number = |n: u32| u64::from(n);
    let stored = number(machine.mem_write_to_read);
    let vxm = number(machine.mem_read_latency + machine.vxm_entry);
    let port = number(machine.mem_read_latency + machine.mxm_port_delay);
    let mxm = number(machine.mxm_act_to_accumulate + machine.mxm_accumulate_to_result);
    let install = port + number(machine.mxm_iw_to_act);
    // Cycles in which the first and the last row of a value are there.
    let mut there: Vec<(u64, u64)> = vec![(0, 0); module.values().count()];
    let mut end = 0;
    for &op in module.body_ops() {
        let data = &module[op];
        let ready = |i: usize| there[data.operands[i].index()];
        let rows = |v| {
            let ty = module.ty(v);
            (ty.elements() / ty.last()) as u64
        };
        let spans: (u64, u64) = match data.opcode {
            Opcode::StreamConstant => (0, 0),
            Opcode::StreamInstall => {
                let done = ready(0).1 + stored + install;
                (done, done)
            }
            Opcode::StreamPass => {
                let first = (ready(0).0 + port).max(ready(1).0) + mxm;
                let last = first + rows(data.results[0]) - 1;
                (first, last.max(ready(0).1 + port + mxm))
            }
            Opcode::StreamPipeline => {
                let depth = module[data.region.unwrap_or(module.body())].ops.len() as u64;
                let cycles = vxm + number(machine.vxm_latency) * depth.min(2).saturating_sub(1);
                let inputs = (0..data.operands.len()).map(ready);
                let first = inputs.clone().map(|r| r.0).max().unwrap_or(0) + cycles;
                let last = inputs.map(|r| r.1).max().unwrap_or(0) + cycles;
                (first, last.max(first + rows(data.results[0]) - 1))
            }
            Opcode::StreamReturn => {
                let last = (0..data.operands.len()).map(|i| ready(i).1).max();
                end = end.max(last.unwrap_or(0));
                continue;
            }
            // Views and concatenations.
            _ => {
                let all = (0..data.operands.len()).map(ready);
                let first = all.clone().map(|r| r.0).min().unwrap_or(0);
                let last = all.map(|r| r.1).max().unwrap_or(0);
                match data.opcode {
                    Opcode::StreamRows => (first, first),
                    _ => (first, last),
                }
            }
        };
        for v in &data.results {
            there[v.index()] = spans;
        }
    }
    end + stored + number(machine.stagger_cycles)
}

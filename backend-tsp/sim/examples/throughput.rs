//! How fast the simulator is: `cargo run --release -p tspc-sim --example throughput`.
//!
//! Two programs: four int8 planes that multiply a row in every cycle, each row read, multiplied, added to
//! a partial sum and written; and slices that do nothing but read and write.

use std::collections::BTreeMap;
use std::time::Instant;

use tspc_machine::Machine;
use tspc_program::{
    ElemType, Hemisphere, ImageSegment, Instr, MemAccess, MemPart, MxmQueue, Program, QUEUES,
    Stream, Unit,
};

/// Rows per run; queues repeat them without stepping through memory.
const ROWS: u16 = 20_000;

struct Builder(Program);

impl Builder {
    fn new(machine: &Machine) -> Builder {
        Builder(Program {
            machine: machine.name.clone(),
            machine_hash: machine.hash.clone(),
            queues: vec![Vec::new(); QUEUES],
            image: vec![],
            inputs: vec![],
            outputs: vec![],
            uses: vec![],
            locations: vec![],
        })
    }

    /// An instruction after `wait` idle cycles, then `n` times more in a row.
    fn run(&mut self, unit: Unit, wait: u16, instr: Instr, n: u16) {
        let Some(queue) = unit.queue() else { return };
        let queue = &mut self.0.queues[queue.index()];
        if wait > 0 {
            queue.push(Instr::Nop { n: wait });
        }
        queue.push(instr);
        if n > 0 {
            queue.push(Instr::Repeat { n, d: 1 });
        }
    }

    fn read(&mut self, hemi: Hemisphere, slice: u8, wait: u16, stream: Stream, n: u16) {
        let bytes = (0..320u32)
            .map(|l| (l * 7 + u32::from(slice)) as u8)
            .collect();
        self.0.image.push(ImageSegment {
            hemi,
            slice,
            addr: 0,
            bytes,
        });
        let part = MemPart {
            stream,
            access: MemAccess::Direct { addr: 0, step: 0 },
        };
        self.run(
            Unit::Mem(hemi, slice),
            wait,
            Instr::Mem {
                read: Some(part),
                write: None,
            },
            n,
        );
    }

    fn write(&mut self, hemi: Hemisphere, slice: u8, wait: u16, stream: Stream, n: u16) {
        let part = MemPart {
            stream,
            access: MemAccess::Direct { addr: 1, step: 0 },
        };
        self.run(
            Unit::Mem(hemi, slice),
            wait,
            Instr::Mem {
                read: None,
                write: Some(part),
            },
            n,
        );
    }
}

/// Both planes of both hemispheres busy; partial sums of plane 0 from memory, results written.
fn rows(machine: &Machine) -> Program {
    let mut b = Builder::new(machine);
    for hemi in Hemisphere::ALL {
        let stream = |id| Stream {
            dir: hemi.outward(),
            id,
        };
        // Slice 0 … 15, in groups 0 … 3, drives streams 0 … 15; at the port together at 20.
        for k in 0..16 {
            b.read(hemi, k, u16::from(k / 4), stream(k), 19 + ROWS + 100);
        }
        for plane in 0..2 {
            let unit = |queue| Unit::Mxm(hemi, plane, queue);
            b.run(
                unit(MxmQueue::Weight),
                30,
                Instr::Lw {
                    j: 0,
                    step: 1,
                    b: 0,
                    f16: None,
                },
                19,
            );
            b.run(unit(MxmQueue::Weight), 0, Instr::Iw { n: 20, f16: None }, 0);
            let act = Instr::Act {
                stream: plane,
                ty: ElemType::I8,
            };
            b.run(unit(MxmQueue::Activation), 53, act, ROWS - 1);
            let out = if plane == 0 {
                Instr::Out { d: 0 }
            } else {
                Instr::Out { d: 4 }
            };
            b.run(unit(MxmQueue::Accumulate), 66, out, ROWS - 1);
        }
        // Results are on SR_11 from 106 on, where group 10 takes.
        for k in 0..4 {
            let result = Stream {
                dir: hemi.inward(),
                id: k,
            };
            b.write(hemi, 40 + k, 106, result, ROWS - 1);
        }
    }
    b.0
}

/// Group 0 reads, group 1 writes what passes, in both hemispheres and directions.
fn moves(machine: &Machine) -> Program {
    let mut b = Builder::new(machine);
    for hemi in Hemisphere::ALL {
        for g in (0..10).filter(|g| ![4, 5, 6, 7, 9].contains(g)) {
            let dir = if g % 2 == 0 {
                hemi.outward()
            } else {
                hemi.inward()
            };
            for k in 0..2 {
                let stream = Stream { dir, id: g * 2 + k };
                // In the direction's next register, one cycle later.
                b.read(hemi, 4 * g + 2 * k, 0, stream, ROWS);
                let next = if g % 2 == 0 { g + 1 } else { g - 1 };
                b.write(hemi, 4 * next + 2 * k + 1, 1, stream, ROWS - 1);
            }
        }
    }
    b.0
}

fn main() {
    let machine = Machine::tsp_v1();
    for (name, program) in [("rows", rows(&machine)), ("moves", moves(&machine))] {
        let start = Instant::now();
        let outcome = match tspc_sim::simulate(&program, &machine, &BTreeMap::new()) {
            Ok(outcome) => outcome,
            Err(fault) => {
                println!("{name}: {fault}");
                continue;
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        let dispatches: u64 = outcome.dispatches.iter().sum();
        let acts: u64 = outcome.acts.iter().sum();
        println!(
            "{name}: {} cycles, {dispatches} dispatches, {acts} matvecs in {seconds:.2} s: \
             {:.0} dispatches/s, {:.0} matvecs/s, {:.0} cycles/s",
            outcome.end,
            dispatches as f64 / seconds,
            acts as f64 / seconds,
            outcome.end as f64 / seconds,
        );
    }
}

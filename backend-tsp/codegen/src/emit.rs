//! emit: queues of instructions, memory image, input/output table and `uses`, from runs that know all but their index.
//!
//! Decides nothing: cycles become nops and repeats, words become addresses.

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{
    Consumer, ImageSegment, Instr, IoEntry, IoTile, MemAccess, MemPart, Program, QUEUES, Site,
    Source, Use, WordRun,
};

use crate::allocate::Allocated;
use crate::problem::{BufferId, Origin, Port};
use crate::run::{Action, Run};

/// Bit 12 of an address is the bank.
const BANK_SHIFT: u32 = 12;
/// The longest nop.
const NOP: i64 = u16::MAX as i64;

struct Emitter<'a> {
    allocated: &'a Allocated,
}

/// Emits a program.
pub fn emit(allocated: &Allocated, machine: &Machine) -> Program {
    let emitter = Emitter { allocated };
    let runs = &allocated.scheduled.runs;
    let problem = &allocated.scheduled.placed.problem;
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|&r| (runs[r].queue, runs[r].cycle));
    let mut queues: Vec<Vec<Instr>> = vec![Vec::new(); QUEUES];
    let mut next = vec![0i64; QUEUES];
    let mut index = vec![0u32; runs.len()];
    for r in order {
        let run = &runs[r];
        let q = run.queue.index();
        wait(&mut queues[q], run.cycle - next[q]);
        index[r] = queues[q].len() as u32;
        queues[q].push(emitter.instr(run));
        if run.count > 1 {
            queues[q].push(Instr::Repeat {
                n: (run.count - 1) as u16,
                d: run.interval as u16,
            });
        }
        next[q] = run.last() + 1;
    }
    let locations: Vec<String> = problem.chains.iter().map(|c| c.location.clone()).collect();
    let (locations, location_of) = unique(&locations);
    let site = |r: usize| Site {
        queue: runs[r].queue,
        index: index[r],
    };
    let mut uses = Vec::new();
    for (r, run) in runs.iter().enumerate() {
        for take in &run.takes {
            let source = take.producer.map_or(Source::Image, |p| Source::Dispatch {
                site: site(p.0 as usize),
                first: take.first,
                step: if run.count > 1 { take.step } else { 0 },
            });
            uses.push(Use {
                consumer: Consumer::Instr(site(r)),
                slot: take.slot,
                first: 0,
                count: run.count,
                source,
                loc: location_of[run.chain as usize],
            });
        }
    }
    let mut writer: BTreeMap<BufferId, usize> = BTreeMap::new();
    for (r, run) in runs.iter().enumerate() {
        if let Action::Write { buffer, .. } = run.action {
            writer.insert(buffer, r);
        }
    }
    for (e, port) in problem.outputs.iter().enumerate() {
        for (k, buffer) in port.tiles.iter().flat_map(|t| &t.1).enumerate() {
            let from = writer.get(buffer).copied();
            let source = from.map_or(Source::Image, |r| Source::Dispatch {
                site: site(r),
                first: 0,
                step: 1,
            });
            let loc = from.map_or(0, |r| location_of[runs[r].chain as usize]);
            let consumer = Consumer::Output {
                entry: e as u32,
                run: k as u32,
            };
            uses.push(Use {
                consumer,
                slot: 0,
                first: 0,
                count: port.rows,
                source,
                loc,
            });
        }
    }
    uses.sort_by_key(|u| (u.consumer, u.slot, u.first));
    Program {
        machine: machine.name.clone(),
        machine_hash: machine.hash.clone(),
        queues,
        image: emitter.image(),
        inputs: problem.inputs.iter().map(|p| emitter.entry(p)).collect(),
        outputs: problem.outputs.iter().map(|p| emitter.entry(p)).collect(),
        uses,
        locations,
    }
}

/// Nops for a gap: a nop of n takes n cycles in all.
fn wait(queue: &mut Vec<Instr>, mut gap: i64) {
    while gap > 0 {
        let n = gap.min(NOP);
        queue.push(Instr::Nop { n: n as u16 });
        gap -= n;
    }
}

/// The distinct strings in order of first appearance, and the number of each.
fn unique(strings: &[String]) -> (Vec<String>, Vec<u32>) {
    let mut numbers = BTreeMap::new();
    let mut distinct = Vec::new();
    let numbered = strings.iter().map(|s| {
        *numbers.entry(s.clone()).or_insert_with(|| {
            distinct.push(s.clone());
            distinct.len() as u32 - 1
        })
    });
    let numbered = numbered.collect();
    (distinct, numbered)
}

impl Emitter<'_> {
    fn addr(&self, buffer: BufferId, word: u32) -> u16 {
        let b = buffer.0 as usize;
        let bank = u32::from(self.allocated.scheduled.placed.places[b].bank);
        (bank << BANK_SHIFT | (self.allocated.words[b] + word)) as u16
    }

    fn instr(&self, run: &Run) -> Instr {
        match run.action {
            Action::Read {
                stream,
                buffer,
                start,
                step,
            } => {
                let step = if run.count > 1 { step as i16 } else { 0 };
                let access = MemAccess::Direct {
                    addr: self.addr(buffer, start),
                    step,
                };
                Instr::Mem {
                    read: Some(MemPart { stream, access }),
                    write: None,
                }
            }
            Action::Write { stream, buffer } => {
                let step = i16::from(run.count > 1);
                let access = MemAccess::Direct {
                    addr: self.addr(buffer, 0),
                    step,
                };
                Instr::Mem {
                    read: None,
                    write: Some(MemPart { stream, access }),
                }
            }
            Action::Alu(alu) => Instr::Alu(alu),
            Action::Lw { group, b, f16 } => Instr::Lw {
                j: group,
                step: i8::from(run.count > 1),
                b,
                f16,
            },
            Action::Iw { groups, f16 } => Instr::Iw { n: groups, f16 },
            Action::Act { stream, ty } => Instr::Act { stream, ty },
            Action::Accumulate { partial: None, d } => Instr::Out { d },
            Action::Accumulate {
                partial: Some(s),
                d,
            } => Instr::Acc { s, d },
            Action::Distribute { mask, map, dst } => Instr::Distribute {
                mask,
                map,
                dst,
                mode: tspc_program::SxmMode::On,
            },
        }
    }

    fn image(&self) -> Vec<ImageSegment> {
        let placed = &self.allocated.scheduled.placed;
        let mut image = Vec::new();
        for (b, buffer) in placed.problem.buffers.iter().enumerate() {
            if let Origin::Constant(bytes) = &buffer.origin {
                let place = placed.places[b];
                let addr = self.addr(BufferId(b as u32), 0);
                image.push(ImageSegment {
                    hemi: place.hemi,
                    slice: place.slice,
                    addr,
                    bytes: bytes.clone(),
                });
            }
        }
        image.sort_by_key(|s| (s.hemi, s.slice, s.addr));
        image
    }

    fn entry(&self, port: &Port) -> IoEntry {
        let run = |buffer: &BufferId| {
            let place = self.allocated.scheduled.placed.of(*buffer);
            let addr = self.addr(*buffer, 0);
            vec![WordRun {
                hemi: place.hemi,
                slice: place.slice,
                addr,
                step: 1,
                count: port.rows,
            }]
        };
        let tile = |(lanes, planes): &(Vec<Option<u32>>, Vec<BufferId>)| IoTile {
            lanes: lanes.clone(),
            planes: planes.iter().map(run).collect(),
        };
        IoEntry {
            name: port.name.clone(),
            elem: port.elem,
            rows: port.rows,
            cols: port.cols,
            tiles: port.tiles.iter().map(tile).collect(),
        }
    }
}

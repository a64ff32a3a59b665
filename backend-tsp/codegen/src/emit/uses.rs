//! `uses`: for every operand the dispatch that made it, read off the edges of the module.

use std::collections::BTreeMap;

use tspc_ir as ir;
use tspc_ir::{Entity, Opcode};
use tspc_program::{Consumer, INSTALL_TIME, Source, Use};

use super::facts::Facts;
use super::{Emitter, Part, Ports};
use crate::Refusal;

/// Records and the locations that they name.
struct Records {
    uses: Vec<Use>,
    locations: Vec<String>,
    numbers: BTreeMap<ir::Loc, u32>,
}

/// Which iterations of the producer a consumer's iterations take.
#[derive(Clone, Copy)]
struct Iterations {
    first: i64,
    step: i64,
}

/// Some iterations of a slot, and who made what they take.
struct Taken {
    slot: u8,
    first: u32,
    count: u32,
    from: From,
}

/// Who made what the first of some iterations takes; how far on what the next one takes is.
#[derive(Clone, Copy)]
enum From {
    /// An iteration of an op.
    Op { maker: ir::Op, taken: Iterations },
    /// A word that was there at cycle 0, or the clock.
    Given(Source),
}

/// Iteration i takes iteration i.
const ROWWISE: Iterations = Iterations { first: 0, step: 1 };

impl Emitter<'_> {
    /// All records, ordered by consumer, and the locations.
    pub(super) fn uses(&self, outputs: &Ports) -> Result<(Vec<Use>, Vec<String>), Refusal> {
        let mut records = Records {
            uses: Vec::new(),
            locations: Vec::new(),
            numbers: BTreeMap::new(),
        };
        for d in &self.dispatches {
            let loc = records.location(self.module, d.op);
            let parts = &self.sites[d.op.index()];
            for operand in self.operands(d.op, d.count)? {
                for part in parts {
                    let consumer = Consumer::Instr(part.site);
                    let (first, end) = (
                        operand.first.max(part.first),
                        (operand.first + operand.count).min(part.first + part.count),
                    );
                    self.record(
                        &mut records.uses,
                        consumer,
                        part.first,
                        &operand,
                        first..end,
                        loc,
                    )?;
                }
            }
        }
        let mut runs = vec![0; outputs.0.len()];
        for &op in self.module.body_ops() {
            if self.module[op].opcode != Opcode::TspOutput {
                continue;
            }
            let facts = Facts::new(self.module, op);
            let name = facts.attr(|a| a.str("name"))?;
            let entry = outputs.0.iter().position(|e| e.name == name);
            let entry = entry.ok_or_else(|| facts.refuse("is in no output"))?;
            let maker = facts.operand(0)?.op;
            let loc = records.location(self.module, maker);
            let consumer = Consumer::Output {
                entry: entry as u32,
                run: runs[entry],
            };
            let count = outputs.0[entry].rows;
            let operand = Taken {
                slot: 0,
                first: 0,
                count,
                from: self.words(op, maker, ROWWISE)?,
            };
            self.record(&mut records.uses, consumer, 0, &operand, 0..count, loc)?;
            runs[entry] += 1;
        }
        records.uses.sort_by_key(|u| (u.consumer, u.slot, u.first));
        Ok((records.uses, records.locations))
    }

    /// Records for iterations of an op, one for each instruction that made what they take; the consumer's own
    /// iterations are counted from `origin`.
    fn record(
        &self,
        uses: &mut Vec<Use>,
        consumer: Consumer,
        origin: u32,
        operand: &Taken,
        iterations: std::ops::Range<u32>,
        loc: u32,
    ) -> Result<(), Refusal> {
        let mut i = iterations.start;
        while i < iterations.end {
            let on = i64::from(i - operand.first);
            let mut count = iterations.end - i;
            let source = match operand.from {
                From::Op { maker, taken } => {
                    let at = |on: i64| (taken.first + on * taken.step) as u32;
                    let part = self.part(maker, at(on))?;
                    let inside = |p: u32| part.first <= p && p < part.first + part.count;
                    let same = (1..count).take_while(|&n| inside(at(on + i64::from(n))));
                    count = 1 + same.count() as u32;
                    Source::Dispatch {
                        site: part.site,
                        first: at(on) - part.first,
                        step: if count > 1 { taken.step as i32 } else { 0 },
                    }
                }
                From::Given(Source::Image { word, step }) => Source::Image {
                    word: (i64::from(word) + on * i64::from(step)) as u16,
                    step: if count > 1 { step } else { 0 },
                },
                From::Given(source) => source,
            };
            uses.push(Use {
                consumer,
                slot: operand.slot,
                first: i - origin,
                count,
                source,
                loc,
            });
            i += count;
        }
        Ok(())
    }

    /// The instruction that dispatches an iteration of an op.
    fn part(&self, op: ir::Op, iteration: u32) -> Result<Part, Refusal> {
        let parts = self.sites[op.index()].iter();
        let mut here = parts.filter(|p| p.first <= iteration && iteration < p.first + p.count);
        let part = here.next().copied();
        part.ok_or_else(|| Facts::new(self.module, op).refuse("is on no unit"))
    }

    /// Slots and sources of an op on a unit.
    fn operands(&self, op: ir::Op, count: u32) -> Result<Vec<Taken>, Refusal> {
        let data = &self.module[op];
        let facts = Facts::new(self.module, op);
        let mut slots: Vec<Taken> = Vec::new();
        let all = |slot: u8, from: From| Taken {
            slot,
            first: 0,
            count,
            from,
        };
        let made = |maker: ir::Op, taken: Iterations| From::Op { maker, taken };
        let mut bytes = |slot: u8, value: ir::Value| -> Result<(), Refusal> {
            for k in 0..self.module.ty(value).elem.bytes() {
                let mut first = 0;
                for (maker, vectors) in self.makers(value, k) {
                    slots.push(Taken {
                        slot: slot + k as u8,
                        first,
                        count: vectors,
                        from: made(maker, ROWWISE),
                    });
                    first += vectors;
                }
            }
            Ok(())
        };
        match data.opcode {
            Opcode::TspRead => {
                let words = Iterations {
                    first: facts.number("start")?,
                    step: if count > 1 { facts.number("step")? } else { 0 },
                };
                slots.push(all(0, self.words(op, facts.operand(0)?.op, words)?));
            }
            Opcode::TspWrite => {
                let x = data.operands[0];
                let run = facts.write_run(self.module.ty(x).last() as u32)?;
                let taken = Iterations {
                    first: run.first as i64,
                    step: run.interval,
                };
                let makers = self.makers(x, facts.number("byte")?);
                let [(maker, _)] = makers[..] else {
                    return Err(facts.refuse("takes what several runs made, expected one"));
                };
                slots.push(all(2, made(maker, taken)));
            }
            Opcode::TspAlu => {
                // The second slots of a binary operation are those of b, an immediate before it or not.
                let first = if data.attrs.flag("imm_first") { 1 } else { 0 };
                for (i, &value) in data.operands.iter().enumerate() {
                    bytes(4 * (first + i) as u8, value)?;
                }
            }
            Opcode::TspLw => {
                for (i, &value) in data.operands.iter().enumerate() {
                    bytes(i as u8, value)?;
                }
            }
            Opcode::TspIw => {
                slots = self.loads(op)?;
                let cycle = facts.number("cycle")?;
                slots.push(all(INSTALL_TIME, From::Given(Source::Clock { cycle })));
            }
            Opcode::TspAct => {
                bytes(0, data.operands[0])?;
                let install = facts.operand(1)?.op;
                let weights = Iterations { first: 0, step: 0 };
                slots.push(all(2, made(install, weights)));
            }
            Opcode::TspAccumulate => {
                if let Some(&partial) = data.operands.get(1) {
                    bytes(0, partial)?;
                }
                slots.push(all(4, made(facts.operand(0)?.op, ROWWISE)));
            }
            Opcode::TspDistribute => {
                bytes(8, data.operands[0])?;
                let mut slot = facts.number::<u8>("stream")? % 8;
                for &x in &data.operands[1..] {
                    bytes(slot, x)?;
                    slot += self.module.ty(x).elem.bytes() as u8;
                }
            }
            _ => return Err(facts.refuse("code generation does not emit this op")),
        }
        Ok(slots)
    }

    /// For each installed group the load that filled it last.
    fn loads(&self, op: ir::Op) -> Result<Vec<Taken>, Refusal> {
        let facts = Facts::new(self.module, op);
        let groups: i64 = facts.number("groups")?;
        let mut filled = BTreeMap::new();
        for i in 0..self.module[op].operands.len() {
            let load = facts.operand(i)?;
            let (group, step): (i64, i64) = (load.number("group")?, load.number("step")?);
            for first in 0..self.module.ty(self.module[load.op].operands[0]).last() as i64 {
                let from = From::Op {
                    maker: load.op,
                    taken: Iterations { first, step: 0 },
                };
                filled.insert(group + first * step, from);
            }
        }
        let slots = filled.range(..groups).map(|(&j, &from)| Taken {
            slot: j as u8,
            first: 0,
            count: 1,
            from,
        });
        Ok(slots.collect())
    }

    /// The ops that make byte k of a value, one after another, with their vectors.
    fn makers(&self, value: ir::Value, k: usize) -> Vec<(ir::Op, u32)> {
        let op = self.module.def_op(value).expect("tsp values come from ops");
        let data = &self.module[op];
        match data.opcode {
            Opcode::TspJoin => self.makers(data.operands[k], 0),
            Opcode::TspConcat => {
                let parts = data.operands.iter();
                parts.flat_map(|&part| self.makers(part, k)).collect()
            }
            _ => vec![(op, self.module.ty(value).last() as u32)],
        }
    }

    /// Who made these words of a buffer.
    fn words(&self, op: ir::Op, maker: ir::Op, words: Iterations) -> Result<From, Refusal> {
        let write = Facts::new(self.module, maker);
        if self.module[maker].opcode != Opcode::TspWrite {
            return Ok(From::Given(Source::Image {
                word: write.buffer()?.addr + words.first as u16,
                step: words.step as i16,
            }));
        }
        let (start, step): (i64, i64) = (write.number("start")?, write.number("step")?);
        let (first, stride) = (words.first - start, words.step);
        if step == 0 || first % step != 0 || stride % step != 0 {
            let message = format!(
                "words {start}, {start} + {step}, … of its buffer were written, others are read"
            );
            return Err(Facts::new(self.module, op).refuse(message));
        }
        let taken = Iterations {
            first: first / step,
            step: stride / step,
        };
        Ok(From::Op { maker, taken })
    }
}

impl Records {
    fn location(&mut self, module: &ir::Module, op: ir::Op) -> u32 {
        let loc = module[op].loc;
        *self.numbers.entry(loc).or_insert_with(|| {
            self.locations.push(module.locs().describe(loc));
            self.locations.len() as u32 - 1
        })
    }
}

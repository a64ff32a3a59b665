//! One op's facts in the program's words: its queue, its instruction, its buffer, its lanes.
//!
//! A fact that is missing or out of range is refused at the op: a module may come from a file.

use tspc_ir as ir;
use tspc_ir::Opcode;
use tspc_ir::infer::WriteRun;
use tspc_program::{
    Address, AluInstr, AluOp, Direction, ElemType, Hemisphere, Instr, MemAccess, MemPart, MxmQueue,
    Operand, QueueId, ResultMode, Stream, SxmMode, SxmUnit, Unit,
};

use crate::Refusal;
use crate::select::{LANES, elem_type, refuse};

/// Bit 12 of an address is the bank.
pub const BANK_SHIFT: u32 = 12;

/// An op and the module that gives it meaning.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub module: &'a ir::Module,
    pub op: ir::Op,
}

/// Where a buffer's first word is.
#[derive(Clone, Copy)]
pub struct Buffer {
    pub hemi: Hemisphere,
    pub slice: u8,
    pub addr: Address,
}

impl<'a> Facts<'a> {
    pub fn new(module: &'a ir::Module, op: ir::Op) -> Facts<'a> {
        Facts { module, op }
    }

    pub fn refuse(&self, message: impl Into<String>) -> Refusal {
        refuse(self.module, self.op, message)
    }

    fn data(&self) -> &'a ir::module::OpData {
        &self.module[self.op]
    }

    /// An attribute.
    pub fn attr<T>(
        &self,
        get: impl FnOnce(&'a ir::Attrs) -> Result<T, String>,
    ) -> Result<T, Refusal> {
        get(&self.data().attrs).map_err(|e| self.refuse(e))
    }

    /// A number within the range of its type.
    pub fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<T, Refusal> {
        let n = self.attr(|a| a.int(name))?;
        T::try_from(n).map_err(|_| self.refuse(format!("{name} {n} is out of range")))
    }

    /// The op that makes an operand.
    pub fn operand(&self, i: usize) -> Result<Facts<'a>, Refusal> {
        let value = self.data().operands.get(i);
        let op = value.and_then(|v| self.module.def_op(*v));
        let op = op.ok_or_else(|| self.refuse(format!("no op makes operand {i}")))?;
        Ok(Facts::new(self.module, op))
    }

    pub fn write_run(&self, vectors: u32) -> Result<WriteRun, Refusal> {
        self.attr(|a| WriteRun::new(a, vectors as usize))
    }

    fn hemisphere(&self) -> Result<Hemisphere, Refusal> {
        Ok(match self.attr(|a| a.sym("hemisphere"))? {
            "west" => Hemisphere::West,
            _ => Hemisphere::East,
        })
    }

    /// The stream that the op drives, or that a write takes.
    fn stream(&self) -> Result<Stream, Refusal> {
        let dir = match self.attr(|a| a.sym("dir"))? {
            "west" => Direction::West,
            _ => Direction::East,
        };
        let id = self.number("stream")?;
        Ok(Stream { dir, id })
    }

    /// The buffer that the op defines.
    pub fn buffer(&self) -> Result<Buffer, Refusal> {
        let (bank, word): (u16, u16) = (self.number("bank")?, self.number("word")?);
        if bank > 1 || word >= 1 << BANK_SHIFT {
            return Err(self.refuse(format!("there is no word {word} in a bank {bank}")));
        }
        Ok(Buffer {
            hemi: self.hemisphere()?,
            slice: self.number("slice")?,
            addr: bank << BANK_SHIFT | word,
        })
    }

    /// The column of each lane of an input or output tile.
    pub fn lanes(&self, tile: usize, cols: u32) -> Result<Vec<Option<u32>>, Refusal> {
        let mut lanes = match self.data().attrs.has("columns") {
            true => self
                .attr(|a| a.ints("columns"))?
                .iter()
                .map(|&c| u32::try_from(c).ok())
                .collect(),
            false => {
                let first = (tile * LANES) as u32;
                (first..cols.min(first + LANES as u32))
                    .map(Some)
                    .collect::<Vec<_>>()
            }
        };
        lanes.resize(LANES, None);
        Ok(lanes)
    }

    /// Queue and instruction of an op on a unit.
    pub fn instruction(&self) -> Result<(QueueId, Instr), Refusal> {
        let data = self.data();
        let mxm = |kind: MxmQueue| Ok(Unit::Mxm(self.hemisphere()?, self.number("plane")?, kind));
        let (unit, instr) = match data.opcode {
            Opcode::TspRead => {
                let buffer = self.operand(0)?.buffer()?;
                let access = self.words(buffer, self.number("count")?)?;
                let stream = self.stream()?;
                let read = Some(MemPart { stream, access });
                (
                    Unit::Mem(buffer.hemi, buffer.slice),
                    Instr::Mem { read, write: None },
                )
            }
            Opcode::TspWrite => {
                let buffer = self.buffer()?;
                if data.operands.len() > 1 {
                    return Err(
                        self.refuse("cannot emit a write into a buffer that holds words already")
                    );
                }
                let count = self
                    .write_run(self.module.ty(data.operands[0]).last() as u32)?
                    .count;
                let access = self.words(buffer, count as u32)?;
                let stream = self.stream()?;
                let write = Some(MemPart { stream, access });
                (
                    Unit::Mem(buffer.hemi, buffer.slice),
                    Instr::Mem { read: None, write },
                )
            }
            Opcode::TspAlu => (Unit::Alu(self.number("alu")?), Instr::Alu(self.alu()?)),
            Opcode::TspLw => {
                let vectors = self.module.ty(data.operands[0]).last();
                let step = if vectors > 1 { self.number("step")? } else { 0 };
                let lw = Instr::Lw {
                    j: self.number("group")?,
                    step,
                    b: self.number("stream")?,
                    f16: self.half()?,
                };
                (mxm(MxmQueue::Weight)?, lw)
            }
            Opcode::TspIw => {
                let f16 = self.operand(0)?.half()?;
                (
                    mxm(MxmQueue::Weight)?,
                    Instr::Iw {
                        n: self.number("groups")?,
                        f16,
                    },
                )
            }
            Opcode::TspAct => {
                let ty = elem_type(self.module.ty(data.operands[0]).elem);
                let stream = self.number("stream")?;
                (mxm(MxmQueue::Activation)?, Instr::Act { stream, ty })
            }
            Opcode::TspAccumulate => {
                let d = self.number("dst")?;
                let instr = match data.operands.len() {
                    1 => Instr::Out { d },
                    _ => Instr::Acc {
                        s: self.number("stream")?,
                        d,
                    },
                };
                (mxm(MxmQueue::Accumulate)?, instr)
            }
            Opcode::TspDistribute => self.distribute()?,
            _ => return Err(self.refuse("code generation does not emit this op")),
        };
        let queue = unit
            .queue()
            .ok_or_else(|| self.refuse("the chip has no such unit"))?;
        Ok((queue, instr))
    }

    /// Words `start`, `start + step`, … of a buffer.
    fn words(&self, buffer: Buffer, count: u32) -> Result<MemAccess, Refusal> {
        let start: u16 = self.number("start")?;
        let step: i16 = if count > 1 { self.number("step")? } else { 0 };
        let first = i64::from(buffer.addr & ((1 << BANK_SHIFT) - 1)) + i64::from(start);
        let last = first + i64::from(step) * (i64::from(count) - 1);
        for word in [first, last] {
            if !(0..1 << BANK_SHIFT).contains(&word) {
                return Err(self.refuse(format!("word {word} is beyond the bank")));
            }
        }
        Ok(MemAccess::Direct {
            addr: buffer.addr + start,
            step,
        })
    }

    /// The K half of an fp16 load.
    fn half(&self) -> Result<Option<u8>, Refusal> {
        match self.data().attrs.has("half") {
            true => Ok(Some(self.number("half")?)),
            false => Ok(None),
        }
    }

    fn alu(&self) -> Result<AluInstr, Refusal> {
        let data = self.data();
        let name = self.attr(|a| a.sym("op"))?;
        let op = AluOp::ALL.iter().copied().find(|o| o.name() == name);
        let op = op.ok_or_else(|| self.refuse(format!("the VXM has no operation `{name}`")))?;
        let mut operands = Vec::new();
        for (i, &value) in data.operands.iter().enumerate() {
            let stream = self.operand(i)?.carrier()?;
            let ty = elem_type(self.module.ty(value).elem);
            operands.push(Operand::Stream { stream, ty });
        }
        let imm = self.attr(ir::Attrs::imm)?;
        if imm.is_some() {
            let at = if data.attrs.flag("imm_first") {
                0
            } else {
                operands.len()
            };
            operands.insert(at, Operand::Imm);
        }
        let &[a, ref rest @ ..] = &operands[..] else {
            return Err(self.refuse("has no operand"));
        };
        Ok(AluInstr {
            op,
            a,
            b: rest.first().copied(),
            imm: imm.unwrap_or(0),
            result: self.stream()?,
            ty: self.result_type(),
            mode: match self.attr(|a| a.sym("mode"))? {
                "mesh" => ResultMode::Mesh,
                _ => ResultMode::Out,
            },
        })
    }

    fn result_type(&self) -> ElemType {
        elem_type(self.module.ty(self.data().results[0]).elem)
    }

    /// The first stream on which the op's result travels towards the VXM or inside it.
    fn carrier(&self) -> Result<Stream, Refusal> {
        match self.data().opcode {
            Opcode::TspJoin | Opcode::TspConcat => self.operand(0)?.carrier(),
            Opcode::TspAccumulate => Ok(Stream {
                dir: self.hemisphere()?.inward(),
                id: self.number("dst")?,
            }),
            _ => self.stream(),
        }
    }

    fn distribute(&self) -> Result<(Unit, Instr), Refusal> {
        let (hemi, q, stream): (_, u8, u8) = (
            self.hemisphere()?,
            self.number("unit")?,
            self.number("stream")?,
        );
        let results = self.data().results.iter();
        let bytes: u32 = results
            .map(|&x| self.module.ty(x).elem.bytes() as u32)
            .sum();
        if u32::from(stream % 8) + bytes > 8 || stream / 8 != q {
            let message =
                format!("distributor {q} does not serve {bytes} streams from {stream} on");
            return Err(self.refuse(message));
        }
        let mask = (((1u32 << bytes) - 1) << (stream % 8)) as u8;
        let instr = Instr::Distribute {
            mask,
            map: self.number("map")?,
            dst: self.number("dst")?,
            mode: match self.attr(|a| a.sym("mode"))? {
                "back" => SxmMode::Back,
                _ => SxmMode::On,
            },
        };
        Ok((Unit::Sxm(hemi, SxmUnit::Distributor(q)), instr))
    }
}

//! Program text: exactly 16 bytes per instruction, 4 per nop or repeat.
//!
//! Two u16 halves x, y of the first four bytes tell them apart: both nonzero is `repeat x, y`; x = 0 is `nop y`;
//! y = 0 is an instruction with opcode x, and twelve bytes of fields follow. Unused bytes are 0.

use crate::instr::{
    AluInstr, AluOp, ElemType, Instr, MemAccess, MemPart, Operand, ResultMode, SxmMode,
};
use crate::unit::{Direction, Stream};

/// Opcodes, in the order of [`Instr`] without nop and repeat.
#[repr(u16)]
enum Opcode {
    Mem = 1,
    Alu,
    Lw,
    Iw,
    Act,
    Out,
    Acc,
    Drop,
    Distribute,
    Transpose,
    Permute,
    Shift,
}

type Fields = [u8; 12];

/// Bit 7 is the direction, bits 0…4 the id.
const EASTWARD: u8 = 0x80;

pub(super) fn instruction(out: &mut Vec<u8>, instr: &Instr) {
    match *instr {
        Instr::Nop { n } => out.extend(halves(0, n)),
        Instr::Repeat { n, d } => out.extend(halves(n, d)),
        Instr::Mem { read, write } => fields(
            out,
            Opcode::Mem,
            &[mem_part(&read), mem_part(&write)].concat(),
        ),
        Instr::Alu(alu) => fields(out, Opcode::Alu, &operation(&alu)),
        Instr::Lw { j, step, b, f16 } => fields(out, Opcode::Lw, &[j, step as u8, b, half(f16)]),
        Instr::Iw { n, f16 } => fields(out, Opcode::Iw, &[n, half(f16)]),
        Instr::Act { stream, ty } => fields(out, Opcode::Act, &[stream, ty as u8]),
        Instr::Out { d } => fields(out, Opcode::Out, &[d]),
        Instr::Acc { s, d } => fields(out, Opcode::Acc, &[s, d]),
        Instr::Drop => fields(out, Opcode::Drop, &[]),
        Instr::Distribute {
            mask,
            map,
            dst,
            mode,
        } => {
            fields(out, Opcode::Distribute, &[mask, map, dst, mode as u8]);
        }
        Instr::Transpose { src, dst, mode } => {
            fields(out, Opcode::Transpose, &[src, dst, mode as u8])
        }
        Instr::Permute {
            src,
            w,
            map,
            dst,
            mode,
        } => {
            fields(out, Opcode::Permute, &[src, w, map, dst, mode as u8]);
        }
        Instr::Shift {
            src,
            w,
            n,
            dst,
            mode,
        } => {
            let [low, high] = n.to_le_bytes();
            fields(out, Opcode::Shift, &[src, w, low, high, dst, mode as u8]);
        }
    }
}

fn halves(x: u16, y: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (x.to_le_bytes(), y.to_le_bytes());
    [a, b, c, d]
}

fn fields(out: &mut Vec<u8>, opcode: Opcode, bytes: &[u8]) {
    out.extend(halves(opcode as u16, 0));
    out.extend(bytes);
    out.extend(&Fields::default()[bytes.len()..]);
}

fn stream(s: Stream) -> u8 {
    s.id | if s.dir == Direction::East {
        EASTWARD
    } else {
        0
    }
}

/// 0 is int8, 1+p is fp16 with half p.
fn half(f16: Option<u8>) -> u8 {
    f16.map_or(0, |p| p.saturating_add(1))
}

/// Kind (0 none, 1 direct, 2 mapped), stream, then address and step, or bank and map.
fn mem_part(part: &Option<MemPart>) -> [u8; 6] {
    let Some(part) = part else { return [0; 6] };
    let s = stream(part.stream);
    match part.access {
        MemAccess::Direct { addr, step } => {
            let ([a, b], [c, d]) = (addr.to_le_bytes(), step.to_le_bytes());
            [1, s, a, b, c, d]
        }
        MemAccess::Mapped { bank, map } => [2, s, bank, stream(map), 0, 0],
    }
}

/// Operation, operands a and b (kind and stream each), result (stream, type, mode), immediate.
fn operation(alu: &AluInstr) -> Fields {
    let [a, b] = [Some(alu.a), alu.b].map(|operand| match operand {
        None => [0, 0],
        Some(Operand::Imm) => [1, 0],
        Some(Operand::Stream { stream: s, ty }) => [2 + ty as u8, stream(s)],
    });
    let [i, j, k, l] = alu.imm.to_le_bytes();
    let result = stream(alu.result);
    [
        alu.op as u8,
        a[0],
        a[1],
        b[0],
        b[1],
        result,
        alu.ty as u8,
        alu.mode as u8,
        i,
        j,
        k,
        l,
    ]
}

/// What is wrong with an instruction: offset from its first byte, what was expected there, what was found.
pub(super) type Wrong = (usize, &'static str, u8);

/// The nop or repeat with these first four bytes, or the opcode of the instruction.
pub(super) fn short(first: [u8; 4]) -> Result<Instr, u16> {
    let [x, y] = [[first[0], first[1]], [first[2], first[3]]].map(u16::from_le_bytes);
    match (x, y) {
        (0, n) => Ok(Instr::Nop { n }),
        (opcode, 0) => Err(opcode),
        (n, d) => Ok(Instr::Repeat { n, d }),
    }
}

/// The instruction with this opcode and these fields; offsets in errors count from the opcode.
pub(super) fn long(opcode: u16, f: Fields) -> Result<Instr, Wrong> {
    let r = Reader { f };
    let known = |used: usize, instr: Instr| match f[used..].iter().position(|&byte| byte != 0) {
        Some(i) => Err((4 + used + i, "0 in an unused byte", f[used + i])),
        None => Ok(instr),
    };
    match opcode {
        x if x == Opcode::Mem as u16 => known(
            12,
            Instr::Mem {
                read: r.mem_part(0)?,
                write: r.mem_part(6)?,
            },
        ),
        x if x == Opcode::Alu as u16 => known(12, Instr::Alu(r.operation()?)),
        x if x == Opcode::Lw as u16 => known(
            4,
            Instr::Lw {
                j: f[0],
                step: f[1] as i8,
                b: r.id(2)?,
                f16: r.half(3)?,
            },
        ),
        x if x == Opcode::Iw as u16 => known(
            2,
            Instr::Iw {
                n: f[0],
                f16: r.half(1)?,
            },
        ),
        x if x == Opcode::Act as u16 => known(
            2,
            Instr::Act {
                stream: r.id(0)?,
                ty: r.ty(1, 0)?,
            },
        ),
        x if x == Opcode::Out as u16 => known(1, Instr::Out { d: r.id(0)? }),
        x if x == Opcode::Acc as u16 => known(
            2,
            Instr::Acc {
                s: r.id(0)?,
                d: r.id(1)?,
            },
        ),
        x if x == Opcode::Drop as u16 => known(0, Instr::Drop),
        x if x == Opcode::Distribute as u16 => known(
            4,
            Instr::Distribute {
                mask: f[0],
                map: r.id(1)?,
                dst: r.id(2)?,
                mode: r.sxm_mode(3)?,
            },
        ),
        x if x == Opcode::Transpose as u16 => known(
            3,
            Instr::Transpose {
                src: r.id(0)?,
                dst: r.id(1)?,
                mode: r.sxm_mode(2)?,
            },
        ),
        x if x == Opcode::Permute as u16 => {
            let (map, dst) = (r.id(2)?, r.id(3)?);
            known(
                5,
                Instr::Permute {
                    src: r.id(0)?,
                    w: f[1],
                    map,
                    dst,
                    mode: r.sxm_mode(4)?,
                },
            )
        }
        x if x == Opcode::Shift as u16 => {
            let (n, dst) = (u16::from_le_bytes([f[2], f[3]]), r.id(4)?);
            known(
                6,
                Instr::Shift {
                    src: r.id(0)?,
                    w: f[1],
                    n,
                    dst,
                    mode: r.sxm_mode(5)?,
                },
            )
        }
        _ => Err((0, "an opcode 1…12", opcode.to_le_bytes()[0])),
    }
}

struct Reader {
    f: Fields,
}

impl Reader {
    fn wrong<T>(&self, i: usize, expected: &'static str) -> Result<T, Wrong> {
        Err((4 + i, expected, self.f[i]))
    }

    fn id(&self, i: usize) -> Result<u8, Wrong> {
        if self.f[i] < 32 {
            Ok(self.f[i])
        } else {
            self.wrong(i, "a stream 0…31")
        }
    }

    fn stream(&self, i: usize) -> Result<Stream, Wrong> {
        let dir = if self.f[i] & EASTWARD != 0 {
            Direction::East
        } else {
            Direction::West
        };
        let id = self.f[i] & !EASTWARD;
        if id < 32 {
            Ok(Stream { dir, id })
        } else {
            self.wrong(i, "a direction and a stream 0…31")
        }
    }

    /// The type with code `base` + its number.
    fn ty(&self, i: usize, base: u8) -> Result<ElemType, Wrong> {
        let number = self.f[i].checked_sub(base).map(usize::from);
        match number.and_then(|n| ElemType::ALL.get(n)) {
            Some(&ty) => Ok(ty),
            None => self.wrong(i, "an element type"),
        }
    }

    fn half(&self, i: usize) -> Result<Option<u8>, Wrong> {
        match self.f[i] {
            0 => Ok(None),
            p @ 1..=2 => Ok(Some(p - 1)),
            _ => self.wrong(i, "int8 (0) or an fp16 half (1, 2)"),
        }
    }

    fn sxm_mode(&self, i: usize) -> Result<SxmMode, Wrong> {
        match self.f[i] {
            0 => Ok(SxmMode::Back),
            1 => Ok(SxmMode::On),
            _ => self.wrong(i, "back (0) or on (1)"),
        }
    }

    fn mem_part(&self, at: usize) -> Result<Option<MemPart>, Wrong> {
        let f = &self.f[at..at + 6];
        let zero = |range: std::ops::Range<usize>| match range.clone().find(|&i| f[i] != 0) {
            Some(i) => self.wrong(at + i, "0 in an unused byte"),
            None => Ok(()),
        };
        let access = match f[0] {
            0 => return zero(1..6).map(|()| None),
            1 => MemAccess::Direct {
                addr: u16::from_le_bytes([f[2], f[3]]),
                step: i16::from_le_bytes([f[4], f[5]]),
            },
            2 => {
                zero(4..6)?;
                MemAccess::Mapped {
                    bank: f[2],
                    map: self.stream(at + 3)?,
                }
            }
            _ => return self.wrong(at, "no part (0), a direct (1) or a mapped one (2)"),
        };
        Ok(Some(MemPart {
            stream: self.stream(at + 1)?,
            access,
        }))
    }

    fn operand(&self, at: usize) -> Result<Option<Operand>, Wrong> {
        match self.f[at] {
            0 | 1 if self.f[at + 1] != 0 => self.wrong(at + 1, "0 in an unused byte"),
            0 => Ok(None),
            1 => Ok(Some(Operand::Imm)),
            _ => Ok(Some(Operand::Stream {
                ty: self.ty(at, 2)?,
                stream: self.stream(at + 1)?,
            })),
        }
    }

    fn operation(&self) -> Result<AluInstr, Wrong> {
        let f = &self.f;
        let Some(&op) = AluOp::ALL.get(usize::from(f[0])) else {
            return self.wrong(0, "a VXM operation");
        };
        let Some(a) = self.operand(1)? else {
            return self.wrong(1, "a first operand");
        };
        let mode = match f[7] {
            0 => ResultMode::Mesh,
            1 => ResultMode::Out,
            _ => return self.wrong(7, "mesh (0) or out (1)"),
        };
        Ok(AluInstr {
            op,
            a,
            b: self.operand(3)?,
            imm: u32::from_le_bytes([f[8], f[9], f[10], f[11]]),
            result: self.stream(5)?,
            ty: self.ty(6, 0)?,
            mode,
        })
    }
}

//! Rules 2 and 5 to 9: the fields of one instruction.

use super::{Refused, require};
use crate::instr::{AluInstr, ElemType, Instr, MemAccess, MemPart, Operand};
use crate::unit::{MxmQueue, SxmUnit, Unit};

const STREAMS: u8 = 32;

pub(super) fn instruction(unit: Unit, instr: &Instr) -> Result<(), Refused> {
    match (unit, instr) {
        (Unit::Sxm(_, SxmUnit::Reserved(_)), _) => {
            Err((2, format!("{unit} has no instructions in this version")))
        }
        (_, Instr::Nop { .. } | Instr::Repeat { .. }) => Ok(()),
        (Unit::Mem(..), Instr::Mem { read, write }) => {
            require(6, read.is_some() || write.is_some(), || {
                "neither a read nor a write part".into()
            })?;
            [read, write].into_iter().flatten().try_for_each(mem_part)
        }
        (Unit::Alu(_), Instr::Alu(alu)) => operation(alu),
        (Unit::Mxm(_, plane, queue), _) => mxm(unit, plane, queue, instr),
        (Unit::Sxm(_, sub), _) => sxm(unit, sub, instr),
        _ => Err(wrong_unit(unit)),
    }
}

fn wrong_unit(unit: Unit) -> Refused {
    (2, format!("not an instruction of {unit}"))
}

/// A group of `size` streams that starts at a multiple of `size`.
fn group(what: &str, first: u8, size: u8) -> Result<(), Refused> {
    require(5, first < STREAMS, || {
        format!("{what} {first}, expected less than {STREAMS}")
    })?;
    require(5, first.is_multiple_of(size), || {
        format!("{what} {first}, expected a multiple of {size}")
    })
}

/// `w` streams inside an aligned four.
fn inside_four(what: &str, first: u8, w: u8) -> Result<(), Refused> {
    require(8, (1..=4).contains(&w), || {
        format!("{w} streams, expected 1…4")
    })?;
    require(5, first < STREAMS, || {
        format!("{what} {first}, expected less than {STREAMS}")
    })?;
    require(5, first % 4 + w <= 4, || {
        format!("{what} {first}, expected {w} streams inside an aligned four")
    })
}

fn mem_part(part: &MemPart) -> Result<(), Refused> {
    group("stream", part.stream.id, 1)?;
    match part.access {
        MemAccess::Direct { addr, step } => {
            require(6, addr < 1 << 13, || {
                format!("address {addr:#x}, expected 13 bits")
            })?;
            require(6, (-4096..=4095).contains(&step), || {
                format!("step {step}, expected −4096…4095")
            })
        }
        MemAccess::Mapped { bank, map } => {
            require(6, bank < 2, || format!("bank {bank}, expected 0 or 1"))?;
            group("map stream", map.id, 1)
        }
    }
}

fn operation(alu: &AluInstr) -> Result<(), Refused> {
    let operands = 1 + u8::from(alu.b.is_some());
    require(9, operands == alu.op.arity(), || {
        format!(
            "{} has {} operands, expected {}",
            alu.op.name(),
            operands,
            alu.op.arity()
        )
    })?;
    let all = [Some(alu.a), alu.b];
    let immediates = all.iter().filter(|x| **x == Some(Operand::Imm)).count();
    require(9, immediates <= 1, || {
        "two immediates, expected at most one".into()
    })?;
    require(9, immediates == 1 || alu.imm == 0, || {
        format!("immediate {:#x} that no operand uses, expected 0", alu.imm)
    })?;
    for operand in all.into_iter().flatten() {
        if let Operand::Stream { stream, ty } = operand {
            group("operand stream", stream.id, ty.bytes())?;
        }
    }
    group("result stream", alu.result.id, alu.ty.bytes())
}

fn half(plane: u8, f16: Option<u8>) -> Result<(), Refused> {
    let Some(p) = f16 else { return Ok(()) };
    require(7, p < 2, || format!("K half {p}, expected 0 or 1"))?;
    require(2, plane.is_multiple_of(2), || {
        "fp16 in an odd plane's queue, expected the even plane's".into()
    })
}

fn mxm(unit: Unit, plane: u8, queue: MxmQueue, instr: &Instr) -> Result<(), Refused> {
    let groups = |f16: Option<u8>| if f16.is_some() { 40 } else { 20 };
    match (queue, *instr) {
        (MxmQueue::Weight, Instr::Lw { j, step: _, b, f16 }) => {
            half(plane, f16)?;
            require(7, j < groups(f16), || {
                format!("group {j}, expected less than {}", groups(f16))
            })?;
            group("first stream", b, 16)
        }
        (MxmQueue::Weight, Instr::Iw { n, f16 }) => {
            half(plane, f16)?;
            require(7, (1..=groups(f16)).contains(&n), || {
                format!("{n} groups, expected 1…{}", groups(f16))
            })
        }
        (MxmQueue::Activation, Instr::Act { stream, ty }) => {
            require(
                7,
                matches!(ty, ElemType::I8 | ElemType::U8 | ElemType::F16),
                || format!("activations of {}, expected i8, u8 or f16", ty.name()),
            )?;
            half(plane, (ty == ElemType::F16).then_some(0))?;
            group("stream", stream, ty.bytes())
        }
        (MxmQueue::Accumulate, Instr::Out { d }) => group("result stream", d, 4),
        (MxmQueue::Accumulate, Instr::Acc { s, d }) => {
            group("partial-sum stream", s, 4)?;
            group("result stream", d, 4)
        }
        (MxmQueue::Accumulate, Instr::Drop) => Ok(()),
        _ => Err(wrong_unit(unit)),
    }
}

fn sxm(unit: Unit, sub: SxmUnit, instr: &Instr) -> Result<(), Refused> {
    match (sub, *instr) {
        (
            SxmUnit::Distributor(_),
            Instr::Distribute {
                mask,
                map,
                dst,
                mode: _,
            },
        ) => {
            require(8, mask != 0, || {
                "mask 0x00, expected at least one stream".into()
            })?;
            group("map stream", map, 1)?;
            group("result stream", dst, 8)
        }
        (SxmUnit::Transposer(_), Instr::Transpose { src, dst, mode: _ }) => {
            group("source stream", src, 16)?;
            group("result stream", dst, 16)
        }
        (
            SxmUnit::Permutor,
            Instr::Permute {
                src,
                w,
                map,
                dst,
                mode: _,
            },
        ) => {
            inside_four("source stream", src, w)?;
            inside_four("result stream", dst, w)?;
            group("map stream", map, 2)
        }
        (
            SxmUnit::ShiftUp | SxmUnit::ShiftDown,
            Instr::Shift {
                src,
                w,
                n,
                dst,
                mode: _,
            },
        ) => {
            inside_four("source stream", src, w)?;
            inside_four("result stream", dst, w)?;
            require(8, (1..=319).contains(&n), || {
                format!("shift by {n} lanes, expected 1…319")
            })
        }
        _ => Err(wrong_unit(unit)),
    }
}

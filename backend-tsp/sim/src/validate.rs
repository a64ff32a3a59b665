//! What can be refused before cycle 0: fields, units, text size, the reserved slices.
//!
//! After it every field is in the range that the units rely on. Memory addresses of repeats, map contents
//! and everything that depends on time are left to execution.

use tspc_machine::Machine;
use tspc_program::{
    AluInstr, AluOp, ElemType, Hemisphere, Instr, MemAccess, MemPart, MxmQueue, Operand, Program,
    QUEUES, QueueId, Stream, SxmUnit, Unit,
};

use crate::fault::{Break, Check, Fault, FaultKind, dispatch};
use crate::queue;

const STREAMS: u8 = 32;
const LARGEST_ADDRESS: u16 = 8191;
/// fp16 halves of the K lanes.
const HALVES: u8 = 2;

/// Checks all queues and the text size.
pub fn program(program: &Program, machine: &Machine) -> Result<(), Fault> {
    if program.machine_hash != machine.hash {
        return Err(FaultKind::MachineMismatch.before_start(format!(
            "the program is for `{}` ({}), the machine is `{}` ({})",
            program.machine, program.machine_hash, machine.name, machine.hash
        )));
    }
    if program.queues.len() != QUEUES {
        let message = format!("{} queues, expected {QUEUES}", program.queues.len());
        return Err(FaultKind::MalformedProgram.before_start(message));
    }
    for (id, instrs) in QueueId::all().zip(&program.queues) {
        let fault = |index: usize, broken: Box<Break>| {
            broken.locate(program, 0, Some(dispatch(id, index, 0)))
        };
        if let Err((index, why)) = queue::check(instrs) {
            return Err(fault(index, FaultKind::MalformedQueue.because(why)));
        }
        for (index, instr) in instrs.iter().enumerate() {
            instruction(id.unit(), instr, machine).map_err(|broken| fault(index, broken))?;
        }
    }
    text_size(program, machine)
}

/// Whether a slice holds program text.
pub fn is_text(machine: &Machine, hemi: Hemisphere, slice: u8) -> bool {
    let slices = match hemi {
        Hemisphere::West => &machine.text_slices_west,
        Hemisphere::East => &machine.text_slices_east,
    };
    slices.contains(&slice.into())
}

fn text_size(program: &Program, machine: &Machine) -> Result<(), Fault> {
    let bytes = |instr: &Instr| match instr {
        Instr::Nop { .. } | Instr::Repeat { .. } => u64::from(machine.text_bytes_nop_repeat),
        _ => u64::from(machine.text_bytes_instruction),
    };
    let text: u64 = program.queues.iter().flatten().map(bytes).sum();
    let slices = machine.text_slices_west.len() + machine.text_slices_east.len();
    let slice = u64::from(machine.mem_banks)
        * u64::from(machine.mem_words_per_bank)
        * u64::from(machine.superlanes * machine.lanes_per_superlane);
    let room = slices as u64 * slice;
    if text > room {
        return Err(FaultKind::TextOverflow.before_start(format!(
            "{text} bytes of text, {room} in {slices} reserved slices"
        )));
    }
    Ok(())
}

fn require(holds: bool, why: impl FnOnce() -> String) -> Check {
    if holds {
        Ok(())
    } else {
        Err(FaultKind::MalformedInstruction.because(why()))
    }
}

/// `count` streams from `first` on, inside an aligned group of `group`.
fn streams(what: &str, first: u8, count: u8, group: u8) -> Check {
    require(
        first < STREAMS && count >= 1 && first % group + count <= group,
        || {
            format!(
                "{what}: {count} streams from {first} on are not inside an aligned group of {group}"
            )
        },
    )
}

fn instruction(unit: Unit, instr: &Instr, machine: &Machine) -> Check {
    match (unit, instr) {
        (_, Instr::Nop { .. } | Instr::Repeat { .. }) => Ok(()),
        (Unit::Alu(a), Instr::Alu(i)) => alu(a, i, machine),
        (Unit::Mem(hemi, slice), Instr::Mem { read, write }) => {
            if is_text(machine, hemi, slice) {
                let message = format!("{unit} is reserved for program text");
                return Err(FaultKind::TextSlice.because(message));
            }
            mem(read.as_ref(), write.as_ref(), machine)
        }
        (Unit::Mxm(_, plane, MxmQueue::Weight), Instr::Lw { j, b, f16, .. }) => {
            let groups = if f16.is_some() {
                machine.mxm_groups_f16
            } else {
                machine.mxm_groups_i8
            };
            fp16(plane, *f16)?;
            require(u32::from(*j) < groups, || {
                format!("group {j}, expected less than {groups}")
            })?;
            require(*b == 0 || *b == 16, || {
                format!("first stream {b}, expected 0 or 16")
            })
        }
        (Unit::Mxm(_, plane, MxmQueue::Weight), Instr::Iw { n, f16 }) => {
            let (least, most) = match f16 {
                Some(_) => (machine.mxm_iw_min_groups_f16, machine.mxm_groups_f16),
                None => (machine.mxm_iw_min_groups_i8, machine.mxm_groups_i8),
            };
            fp16(plane, *f16)?;
            require((least..=most).contains(&u32::from(*n)), || {
                format!("{n} groups, expected {least}…{most}")
            })
        }
        (Unit::Mxm(_, plane, MxmQueue::Activation), Instr::Act { stream, ty }) => {
            require(
                matches!(ty, ElemType::I8 | ElemType::U8 | ElemType::F16),
                || format!("activations of {}, expected i8, u8 or f16", ty.name()),
            )?;
            fp16(plane, (*ty == ElemType::F16).then_some(0))?;
            streams("activation", *stream, ty.bytes(), ty.bytes())
        }
        (Unit::Mxm(_, _, MxmQueue::Accumulate), Instr::Out { d }) => streams("result", *d, 4, 4),
        (Unit::Mxm(_, _, MxmQueue::Accumulate), Instr::Acc { s, d }) => {
            streams("partial sum", *s, 4, 4)?;
            streams("result", *d, 4, 4)
        }
        (Unit::Mxm(_, _, MxmQueue::Accumulate), Instr::Drop) => Ok(()),
        (Unit::Sxm(_, sub), instr) => sxm(sub, instr),
        _ => Err(wrong_unit(unit)),
    }
}

fn wrong_unit(unit: Unit) -> Box<Break> {
    FaultKind::WrongUnit.because(format!("{unit} does not execute this instruction"))
}

fn fp16(plane: u8, half: Option<u8>) -> Check {
    match half {
        Some(_) if plane % 2 == 1 => {
            Err(FaultKind::WrongUnit
                .because("an fp16 unit is driven by the queues of its even plane"))
        }
        Some(p) => require(p < HALVES, || format!("K half {p}, expected 0 or 1")),
        None => Ok(()),
    }
}

fn sxm(sub: SxmUnit, instr: &Instr) -> Check {
    match (sub, instr) {
        (SxmUnit::Distributor(q), Instr::Distribute { mask, map, dst, .. }) => {
            require(*mask != 0, || "no stream is selected".into())?;
            require(*map < STREAMS && map / 8 != q, || {
                format!(
                    "map on stream {map}, expected one outside of {}…{}",
                    8 * q,
                    8 * q + 7
                )
            })?;
            streams("result", *dst, 8, 8)
        }
        (SxmUnit::Transposer(_), Instr::Transpose { src, dst, .. }) => {
            streams("source", *src, 16, 16)?;
            streams("result", *dst, 16, 16)
        }
        (
            SxmUnit::Permutor,
            Instr::Permute {
                src, w, map, dst, ..
            },
        ) => {
            streams("map", *map, 2, 2)?;
            streams("source", *src, *w, 4)?;
            streams("result", *dst, *w, 4)
        }
        (SxmUnit::ShiftUp | SxmUnit::ShiftDown, Instr::Shift { src, w, n, dst, .. }) => {
            require((1..=319).contains(n), || {
                format!("shift by {n} lanes, expected 1…319")
            })?;
            streams("source", *src, *w, 4)?;
            streams("result", *dst, *w, 4)
        }
        _ => Err(FaultKind::WrongUnit.because("the SXM unit does not execute this instruction")),
    }
}

fn mem(read: Option<&MemPart>, write: Option<&MemPart>, machine: &Machine) -> Check {
    require(read.is_some() || write.is_some(), || {
        "neither a read nor a write part".into()
    })?;
    for part in [read, write].into_iter().flatten() {
        streams("data", part.stream.id, 1, 1)?;
        match part.access {
            MemAccess::Direct { addr, step } => {
                require(addr <= LARGEST_ADDRESS, || {
                    format!("address {addr} has more than 13 bits")
                })?;
                let (least, most) = (machine.mem_address_step_min, machine.mem_address_step_max);
                require((least..=most).contains(&step.into()), || {
                    format!("step {step}, expected {least}…{most}")
                })?;
            }
            MemAccess::Mapped { bank, map } => {
                require(bank <= 1, || format!("bank {bank}, expected 0 or 1"))?;
                streams("map", map.id, 1, 1)?;
            }
        }
    }
    if let (Some(read), Some(write)) = (read, write)
        && bank(read) == bank(write)
    {
        let message = format!("read and write are both in bank {}", bank(read));
        return Err(FaultKind::SameBank.because(message));
    }
    Ok(())
}

fn bank(part: &MemPart) -> u8 {
    match part.access {
        MemAccess::Direct { addr, .. } => (addr >> 12) as u8,
        MemAccess::Mapped { bank, .. } => bank,
    }
}

/// Row of an ALU is a/4, column a%4.
fn alu(a: u8, i: &AluInstr, machine: &Machine) -> Check {
    alu_types(i)?;
    let (row, column) = (a / 4, a % 4);
    let wires = machine.vxm_wires as u8;
    let reach = |what: &str, stream: Stream, ty: ElemType| {
        streams(what, stream.id, ty.bytes(), ty.bytes())?;
        let wire = stream.id / 4;
        if u32::from((wire + wires - 2 * row % wires) % wires) >= machine.vxm_wires_per_row {
            return Err(FaultKind::WireReach.because(format!(
                "{what} on wire {wire}, row {row} reaches {} from {} on",
                machine.vxm_wires_per_row,
                2 * row % wires
            )));
        }
        Ok(())
    };
    let mut seen: Option<Stream> = None;
    for (what, operand) in [("operand a", Some(i.a)), ("operand b", i.b)] {
        match operand {
            Some(Operand::Stream { stream, ty }) => {
                reach(what, stream, ty)?;
                if let Some(other) = seen
                    && other.id / 4 == stream.id / 4
                    && other.dir != stream.dir
                {
                    return Err(FaultKind::WireConflict.because(format!(
                        "{other} and {stream} are wire {} in opposite directions",
                        stream.id / 4
                    )));
                }
                seen = Some(stream);
            }
            Some(Operand::Imm) if !machine.vxm_immediates => {
                return Err(FaultKind::NoImmediates.because("constants come on streams here"));
            }
            _ => {}
        }
    }
    reach("result", i.result, i.ty)?;
    let columns = machine.vxm_columns as u8;
    if i.mode == tspc_program::ResultMode::Mesh
        && crate::vxm::column(column, i.result.dir, columns) + 1 == columns as usize
    {
        let message = format!("column {column} is the last one for {}", i.result);
        return Err(FaultKind::LastColumn.because(message));
    }
    if matches!(i.op, AluOp::Exp | AluOp::Tanh | AluOp::Rsqrt)
        && !machine.vxm_large_alus.contains(&a.into())
    {
        let message = format!(
            "{} on ALU{a}, large are {:?}",
            i.op.name(),
            machine.vxm_large_alus
        );
        return Err(FaultKind::SmallAlu.because(message));
    }
    Ok(())
}

/// The type rules of [`AluOp`].
fn alu_types(i: &AluInstr) -> Check {
    use ElemType::{F32, I32};
    require(i.op.arity() == 1 + u8::from(i.b.is_some()), || {
        format!("{} has {} operands", i.op.name(), i.op.arity())
    })?;
    let of = |operand: Operand| match operand {
        Operand::Stream { ty, .. } => Some(ty),
        Operand::Imm => None,
    };
    let (a, b) = (of(i.a), i.b.and_then(of));
    let wide = |ty: ElemType| matches!(ty, I32 | F32);
    let immediate = i.a == Operand::Imm || i.b == Some(Operand::Imm);
    require(a.is_some() || b.is_some(), || {
        "at least one operand is a stream".into()
    })?;
    require(immediate || i.imm == 0, || {
        "an immediate that no operand uses".into()
    })?;
    // An immediate has the other operand's type, except in shifts and masks.
    let (a_or_b, b_or_a) = (a.or(b).unwrap_or(i.ty), b.or(a).unwrap_or(i.ty));
    let right = match i.op {
        AluOp::Add | AluOp::Sub | AluOp::Mul => (a_or_b, b_or_a, i.ty) == (F32, F32, F32),
        AluOp::AddSat
        | AluOp::SubSat
        | AluOp::MulSat
        | AluOp::AddMod
        | AluOp::SubMod
        | AluOp::MulMod => (a_or_b, b_or_a, i.ty) == (I32, I32, I32),
        AluOp::Max | AluOp::Min => a_or_b == b_or_a && a_or_b == i.ty && wide(i.ty),
        AluOp::CmpEq | AluOp::CmpNe | AluOp::CmpLt | AluOp::CmpLe | AluOp::CmpGt | AluOp::CmpGe => {
            a_or_b == b_or_a && wide(a_or_b) && i.ty == I32
        }
        AluOp::Neg | AluOp::Abs | AluOp::Relu => a == Some(i.ty) && wide(i.ty),
        AluOp::Mask | AluOp::MaskBar => {
            let mask = b.unwrap_or(I32);
            a.unwrap_or(I32) == i.ty && wide(i.ty) && !matches!(mask, ElemType::F16 | F32)
        }
        AluOp::And | AluOp::Or | AluOp::Xor => wide(a_or_b) && wide(b_or_a) && i.ty == a_or_b,
        AluOp::Shl | AluOp::Shr => (a.unwrap_or(I32), b.unwrap_or(I32), i.ty) == (I32, I32, I32),
        AluOp::Exp | AluOp::Tanh | AluOp::Rsqrt => a == Some(F32) && i.ty == F32,
        AluOp::Copy => a == Some(i.ty),
        AluOp::Convert => a.is_some_and(|a| a != i.ty),
    };
    require(right, || {
        format!(
            "{} does not exist for these types: {}",
            i.op.name(),
            i.op.doc()
        )
    })
}

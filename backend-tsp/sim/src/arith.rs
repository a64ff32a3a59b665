//! The only file that knows `tspc-num`: operations of the VXM on all lanes of a vector.
//!
//! A lane is the element's bits in the low bytes of a u32.

use tspc_num as num;
use tspc_program::{AluOp, ElemType};

use crate::fault::{Check, FaultKind};
use crate::pool::LANES;

/// One element per lane.
pub type Lanes = [u32; LANES];

fn elem(ty: ElemType) -> num::Type {
    match ty {
        ElemType::I8 => num::Type::I8,
        ElemType::U8 => num::Type::U8,
        ElemType::I16 => num::Type::I16,
        ElemType::I32 => num::Type::I32,
        ElemType::F16 => num::Type::F16,
        ElemType::F32 => num::Type::F32,
    }
}

/// `a := a op b`; `ty` is the type of the operands.
pub fn binary(op: AluOp, ty: ElemType, a: &mut Lanes, b: &Lanes) -> Check {
    use num::BinaryOp as B;
    let binary = match op {
        AluOp::Add => B::Add,
        AluOp::Sub => B::Sub,
        AluOp::Mul => B::Mul,
        AluOp::AddSat => B::AddSat,
        AluOp::SubSat => B::SubSat,
        AluOp::MulSat => B::MulSat,
        AluOp::AddMod => B::AddMod,
        AluOp::SubMod => B::SubMod,
        AluOp::MulMod => B::MulMod,
        AluOp::Max => B::Max,
        AluOp::Min => B::Min,
        AluOp::CmpEq => B::CmpEq,
        AluOp::CmpNe => B::CmpNe,
        AluOp::CmpLt => B::CmpLt,
        AluOp::CmpLe => B::CmpLe,
        AluOp::CmpGt => B::CmpGt,
        AluOp::CmpGe => B::CmpGe,
        AluOp::Mask => B::Mask,
        AluOp::MaskBar => B::MaskBar,
        AluOp::And => B::And,
        AluOp::Or => B::Or,
        AluOp::Xor => B::Xor,
        AluOp::Shl => B::Shl,
        AluOp::Shr => B::Shr,
        _ => return Err(no_such(op, ty)),
    };
    // Masks with an immediate `a` are typed by it (i32), not by the mask.
    let ty = if matches!(op, AluOp::Mask | AluOp::MaskBar) {
        ElemType::I32
    } else {
        ty
    };
    if num::binary_lanes(binary, elem(ty), a, b) {
        return Ok(());
    }
    match b.iter().position(|count| *count > 31) {
        Some(lane) if matches!(op, AluOp::Shl | AluOp::Shr) => {
            Err(FaultKind::ShiftCount.because(format!("lane {lane} shifts by {}", b[lane] as i32)))
        }
        _ => Err(no_such(op, ty)),
    }
}

/// `a := op a`, from type `from` to type `to`.
pub fn unary(op: AluOp, from: ElemType, to: ElemType, a: &mut Lanes) -> Check {
    use num::UnaryOp as U;
    let unary = match op {
        AluOp::Copy => return Ok(()),
        AluOp::Convert => {
            num::convert_lanes(a, elem(from), elem(to));
            return Ok(());
        }
        AluOp::Neg => U::Neg,
        AluOp::Abs => U::Abs,
        AluOp::Relu => U::Relu,
        AluOp::Exp => U::Exp,
        AluOp::Tanh => U::Tanh,
        AluOp::Rsqrt => U::Rsqrt,
        _ => return Err(no_such(op, from)),
    };
    if num::unary_lanes(unary, elem(from), a) {
        Ok(())
    } else {
        Err(no_such(op, from))
    }
}

/// An f16 value as f32; exact.
pub fn f16_to_f32(bits: u16) -> f32 {
    f32::from_bits(num::convert(bits.into(), num::Type::F16, num::Type::F32))
}

/// The bits of an f32 result: every NaN is the same.
pub fn f32_bits(x: f32) -> u32 {
    num::f32_bits(x)
}

/// The partial sum of an fp16 pass is one more f32 addition.
pub fn acc_f32(sum: u32, partial: u32) -> u32 {
    num::acc_f32(f32::from_bits(sum), f32::from_bits(partial)).to_bits()
}

fn no_such(op: AluOp, ty: ElemType) -> Box<crate::fault::Break> {
    FaultKind::MalformedInstruction.because(format!(
        "{} does not exist for {}",
        op.name(),
        ty.name()
    ))
}

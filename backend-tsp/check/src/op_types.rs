//! VXM operations by themselves: immediates, operand and result types, large ALUs.

use tspc_machine::Machine;
use tspc_program::{AluInstr, AluOp, ElemType, Operand};

use crate::instruction::Fault;
use crate::rule::Rule;

/// Everything wrong with the operation, its operands and its types, on ALU `number`.
pub(crate) fn faults(alu: &AluInstr, number: u8, m: &Machine) -> Vec<Fault> {
    let mut faults = Vec::new();
    let operands = [Some(alu.a), alu.b];
    if alu.b.is_some() != (alu.op.arity() == 2) {
        let message = format!("{} has {} operands", alu.op.name(), alu.op.arity());
        return vec![(Rule::Form, message)];
    }
    let immediates = operands
        .iter()
        .flatten()
        .filter(|o| **o == Operand::Imm)
        .count();
    let wrong = match immediates {
        0 if alu.imm != 0 => Some("immediate bits without an immediate operand".to_string()),
        0 => None,
        _ if !m.vxm_immediates => Some(format!("machine {} has no immediates", m.name)),
        _ if immediates == 2 || alu.b.is_none() => Some("no operand is a stream".to_string()),
        _ if is_shift(alu.op) && alu.b == Some(Operand::Imm) && alu.imm > 31 => {
            Some(format!("shift count {}, expected 0…31", alu.imm))
        }
        _ => None,
    };
    faults.extend(wrong.map(|message| (Rule::Immediate, message)));
    if is_transcendental(alu.op) && !m.vxm_large_alus.contains(&u32::from(number)) {
        let message = format!(
            "ALU{number} is small; the large ones are {:?}",
            m.vxm_large_alus
        );
        faults.push((Rule::SmallAlu, message));
    }
    if !types_legal(alu) {
        let name = |o: Operand| match o {
            Operand::Stream { ty, .. } => ty.name(),
            Operand::Imm => "imm",
        };
        let given: Vec<_> = operands.into_iter().flatten().map(name).collect();
        let message = format!(
            "{} ({}) to {}: {}",
            alu.op.name(),
            given.join(", "),
            alu.ty.name(),
            alu.op.doc()
        );
        faults.push((Rule::OpTypes, message));
    }
    faults
}

/// exp, tanh, rsqrt: they need a large ALU and have a latency of their own.
pub(crate) fn is_transcendental(op: AluOp) -> bool {
    matches!(op, AluOp::Exp | AluOp::Tanh | AluOp::Rsqrt)
}

fn is_shift(op: AluOp) -> bool {
    matches!(op, AluOp::Shl | AluOp::Shr)
}

fn types_legal(alu: &AluInstr) -> bool {
    use ElemType::{F32, I32};
    let ty = |o: Operand| match o {
        Operand::Stream { ty, .. } => Some(ty),
        Operand::Imm => None,
    };
    // An immediate has the other operand's type, for shifts and masks i32.
    let (own_a, own_b) = (ty(alu.a), alu.b.and_then(ty));
    let fixed = is_shift(alu.op) || matches!(alu.op, AluOp::Mask | AluOp::MaskBar);
    let a = own_a.or(if fixed { Some(I32) } else { own_b });
    let b = alu.b.and(own_b.or(if fixed { Some(I32) } else { own_a }));
    let result = alu.ty;
    let all = |t: ElemType| a == Some(t) && b.is_none_or(|b| b == t) && result == t;
    let wide = |t: Option<ElemType>| matches!(t, Some(I32 | F32));
    match alu.op {
        AluOp::Add | AluOp::Sub | AluOp::Mul | AluOp::Exp | AluOp::Tanh | AluOp::Rsqrt => all(F32),
        AluOp::AddSat | AluOp::SubSat | AluOp::MulSat => all(I32),
        AluOp::AddMod | AluOp::SubMod | AluOp::MulMod => all(I32),
        AluOp::Shl | AluOp::Shr => all(I32),
        AluOp::Max | AluOp::Min | AluOp::Neg | AluOp::Abs | AluOp::Relu => all(I32) || all(F32),
        AluOp::CmpEq | AluOp::CmpNe | AluOp::CmpLt | AluOp::CmpLe | AluOp::CmpGt | AluOp::CmpGe => {
            a == b && wide(a) && result == I32
        }
        AluOp::Mask | AluOp::MaskBar => {
            let integer = matches!(b, Some(ElemType::I8 | ElemType::U8 | ElemType::I16 | I32));
            wide(a) && a == Some(result) && integer
        }
        AluOp::And | AluOp::Or | AluOp::Xor => wide(a) && wide(b) && a == Some(result),
        AluOp::Copy => a == Some(result),
        AluOp::Convert => a.is_some_and(|a| a != result),
    }
}

#[cfg(test)]
mod tests {
    use tspc_program::{Direction, ResultMode, Stream};

    use super::*;

    fn legal(op: AluOp, a: ElemType, b: Option<ElemType>, ty: ElemType) -> bool {
        let result = Stream {
            dir: Direction::East,
            id: 0,
        };
        let operand = |ty| Operand::Stream { stream: result, ty };
        let alu = AluInstr {
            op,
            a: operand(a),
            b: b.map(operand),
            imm: 0,
            result,
            ty,
            mode: ResultMode::Out,
        };
        types_legal(&alu)
    }

    #[test]
    fn no_implicit_widening() {
        use ElemType::{F16, F32, I8, I16, I32};
        assert!(legal(AluOp::Add, F32, Some(F32), F32));
        assert!(!legal(AluOp::Add, F32, Some(F16), F32));
        assert!(!legal(AluOp::AddSat, F32, Some(F32), F32));
        assert!(!legal(AluOp::Add, I32, Some(I32), I32));
        assert!(legal(AluOp::Max, I32, Some(I32), I32) && !legal(AluOp::Max, I32, Some(I32), F32));
        assert!(
            legal(AluOp::CmpLt, F32, Some(F32), I32) && !legal(AluOp::CmpLt, F32, Some(F32), F32)
        );
        assert!(legal(AluOp::Mask, F32, Some(I8), F32) && !legal(AluOp::Mask, F32, Some(F32), F32));
        assert!(legal(AluOp::And, I32, Some(F32), I32) && !legal(AluOp::And, I16, Some(I16), I16));
        assert!(legal(AluOp::Copy, F16, None, F16) && !legal(AluOp::Copy, F16, None, F32));
        assert!(legal(AluOp::Convert, F16, None, F32) && !legal(AluOp::Convert, F16, None, F16));
        assert!(legal(AluOp::Exp, F32, None, F32) && !legal(AluOp::Exp, I32, None, I32));
    }

    #[test]
    fn immediates_have_the_other_operands_type() {
        let stream = Stream {
            dir: Direction::East,
            id: 0,
        };
        let alu = |op, ty, result_ty| AluInstr {
            op,
            a: Operand::Stream { stream, ty },
            b: Some(Operand::Imm),
            imm: 3,
            result: stream,
            ty: result_ty,
            mode: ResultMode::Out,
        };
        let rules = |alu: AluInstr, m: &Machine| -> Vec<Rule> {
            faults(&alu, 0, m).into_iter().map(|f| f.0).collect()
        };
        let m = Machine::tsp_v1();
        assert_eq!(rules(alu(AluOp::Mul, ElemType::F32, ElemType::F32), &m), []);
        assert_eq!(rules(alu(AluOp::Shl, ElemType::I32, ElemType::I32), &m), []);
        assert_eq!(
            rules(alu(AluOp::Mask, ElemType::F32, ElemType::F32), &m),
            []
        );
        assert_eq!(
            rules(alu(AluOp::Shl, ElemType::F32, ElemType::F32), &m),
            [Rule::OpTypes]
        );
        let long = AluInstr {
            imm: 32,
            ..alu(AluOp::Shl, ElemType::I32, ElemType::I32)
        };
        assert_eq!(rules(long, &m), [Rule::Immediate]);
        let stray = AluInstr {
            b: Some(alu(AluOp::Mul, ElemType::F32, ElemType::F32).a),
            ..alu(AluOp::Mul, ElemType::F32, ElemType::F32)
        };
        assert_eq!(rules(stray, &m), [Rule::Immediate]);
        let none = m.with(&["vxm_immediates=false"]).unwrap();
        assert_eq!(
            rules(alu(AluOp::Mul, ElemType::F32, ElemType::F32), &none),
            [Rule::Immediate]
        );
        let unary = AluInstr {
            a: Operand::Imm,
            b: None,
            ..alu(AluOp::Copy, ElemType::I32, ElemType::I32)
        };
        assert!(rules(unary, &m).contains(&Rule::Immediate));
    }
}

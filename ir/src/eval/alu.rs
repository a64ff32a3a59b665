//! One per-lane operation of the chip on any number of lanes, for `stream.alu` and `tsp.alu`.

use crate::attr::Attrs;
use crate::types::Elem;
use tspc_num::{BinaryOp, UnaryOp};

/// What to do, decoded from the attributes.
#[derive(Clone, Copy)]
enum Act {
    Copy,
    Convert,
    Unary(UnaryOp),
    Binary(BinaryOp),
}

fn act(name: &str) -> Option<Act> {
    use BinaryOp::*;
    use UnaryOp::*;
    Some(match name {
        "copy" => Act::Copy,
        "cvt" => Act::Convert,
        "neg" => Act::Unary(Neg),
        "abs" => Act::Unary(Abs),
        "relu" => Act::Unary(Relu),
        "exp" => Act::Unary(Exp),
        "tanh" => Act::Unary(Tanh),
        "rsqrt" => Act::Unary(Rsqrt),
        "add" => Act::Binary(Add),
        "sub" => Act::Binary(Sub),
        "mul" => Act::Binary(Mul),
        "add.sat" => Act::Binary(AddSat),
        "sub.sat" => Act::Binary(SubSat),
        "mul.sat" => Act::Binary(MulSat),
        "add.mod" => Act::Binary(AddMod),
        "sub.mod" => Act::Binary(SubMod),
        "mul.mod" => Act::Binary(MulMod),
        "max" => Act::Binary(Max),
        "min" => Act::Binary(Min),
        "cmp.eq" => Act::Binary(CmpEq),
        "cmp.ne" => Act::Binary(CmpNe),
        "cmp.lt" => Act::Binary(CmpLt),
        "cmp.le" => Act::Binary(CmpLe),
        "cmp.gt" => Act::Binary(CmpGt),
        "cmp.ge" => Act::Binary(CmpGe),
        "mask" => Act::Binary(Mask),
        "mask_bar" => Act::Binary(MaskBar),
        "and" => Act::Binary(And),
        "or" => Act::Binary(Or),
        "xor" => Act::Binary(Xor),
        "shl" => Act::Binary(Shl),
        "shr" => Act::Binary(Shr),
        _ => return None,
    })
}

/// The lanes of the result. `operands` are one or two vectors of equal length with their types.
pub fn run(attrs: &Attrs, operands: &[(Elem, &[u32])]) -> Result<Vec<u32>, String> {
    let (name, result) = (attrs.sym("op")?, attrs.elem("elem")?);
    let &(ty, x) = operands.first().ok_or("an operand is missing")?;
    let mut lanes = x.to_vec();
    let done = match act(name).ok_or_else(|| format!("unknown operation {name}"))? {
        Act::Copy => true,
        Act::Convert => {
            tspc_num::convert_lanes(&mut lanes, ty, result);
            true
        }
        Act::Unary(op) => tspc_num::unary_lanes(op, ty, &mut lanes),
        Act::Binary(op) => match (attrs.imm()?, operands.get(1)) {
            (Some(imm), _) if attrs.flag("imm_first") => {
                lanes.fill(imm);
                let first = if matches!(op, BinaryOp::Mask | BinaryOp::MaskBar) {
                    result
                } else {
                    ty
                };
                tspc_num::binary_lanes(op, first, &mut lanes, x)
            }
            (Some(imm), _) => tspc_num::binary_lanes(op, ty, &mut lanes, &vec![imm; x.len()]),
            (None, Some((_, y))) => tspc_num::binary_lanes(op, ty, &mut lanes, y),
            (None, None) => return Err("an operand is missing".into()),
        },
    };
    match done {
        true => Ok(lanes),
        false => Err(format!(
            "{name} of {} fails: a wrong type, or a shift count beyond 31",
            ty.name()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::Attr;
    use crate::ops::ALU_OPS;

    #[test]
    fn every_mnemonic_is_evaluated() {
        assert!(ALU_OPS.iter().all(|op| act(op).is_some()));
    }

    #[test]
    fn an_immediate_stands_for_either_operand() {
        let run = |first: bool| {
            let attrs = Attrs(vec![
                ("op", Attr::Sym("sub")),
                ("imm", Attr::Int(i64::from(1f32.to_bits()))),
                ("imm_first", Attr::Bool(first)),
                ("elem", Attr::Elem(Elem::F32)),
            ]);
            super::run(&attrs, &[(Elem::F32, &[3f32.to_bits()])]).map(|l| f32::from_bits(l[0]))
        };
        assert_eq!((run(false), run(true)), (Ok(2.0), Ok(-2.0)));
    }
}

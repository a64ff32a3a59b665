//! Types of the per-lane operations, alike in `stream.alu` and `tsp.alu` (machine: "Arithmetic").

use crate::attr::Attrs;
use crate::types::Elem::{self, F32, I8, I16, I32, U8};

/// Checks operand and result types of the operation that `op`, `imm`, `imm_first` and `elem` describe.
///
/// An immediate has the type of the other operand; for shifts and masks, where it is the second one, i32.
pub fn check(attrs: &Attrs, operands: &[Elem]) -> Result<(), String> {
    let (op, result) = (attrs.sym("op")?, attrs.elem("elem")?);
    let imm = attrs.imm()?.is_some();
    let arity = if matches!(
        op,
        "neg" | "abs" | "relu" | "exp" | "tanh" | "rsqrt" | "copy" | "cvt"
    ) {
        1
    } else {
        2
    };
    let given = operands.len() + usize::from(imm);
    if given != arity {
        return Err(format!(
            "{op} takes {arity} operands, immediate included, has {given}"
        ));
    }
    let first_is_imm = attrs.flag("imm_first");
    if first_is_imm && !imm {
        return Err("imm_first without imm".into());
    }
    let Some(&x) = operands.first() else {
        return Err(format!("{op} needs an operand"));
    };
    let (a, b) = match (imm, first_is_imm) {
        (false, _) => (x, operands.get(1).copied().unwrap_or(x)),
        (true, false) if matches!(op, "shl" | "shr" | "mask" | "mask_bar") => (x, I32),
        (true, true) if matches!(op, "shl" | "shr") => (I32, x),
        (true, true) if matches!(op, "mask" | "mask_bar") => (result, x),
        (true, _) => (x, x),
    };
    let words = |e: Elem| e == I32 || e == F32;
    let fits = match op {
        "add" | "sub" | "mul" | "exp" | "tanh" | "rsqrt" => a == F32 && b == F32 && result == F32,
        "add.sat" | "sub.sat" | "mul.sat" | "add.mod" | "sub.mod" | "mul.mod" | "shl" | "shr" => {
            a == I32 && b == I32 && result == I32
        }
        "max" | "min" | "neg" | "abs" | "relu" => words(a) && a == b && result == a,
        "cmp.eq" | "cmp.ne" | "cmp.lt" | "cmp.le" | "cmp.gt" | "cmp.ge" => {
            words(a) && a == b && result == I32
        }
        "mask" | "mask_bar" => words(a) && result == a && matches!(b, I8 | U8 | I16 | I32),
        "and" | "or" | "xor" => words(a) && words(b) && result == a,
        "copy" => a == result,
        "cvt" => a != result,
        _ => return Err(format!("unknown operation {op}")),
    };
    if fits {
        return Ok(());
    }
    let operands: Vec<_> = operands.iter().map(|e| e.name()).collect();
    Err(format!(
        "{op} does not take {} to {}",
        operands.join(", "),
        result.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::Attr;
    use crate::ops::ALU_OPS;

    fn attrs(op: &'static str, result: Elem, imm: Option<bool>) -> Attrs {
        let mut list = vec![("op", Attr::Sym(op))];
        if let Some(first) = imm {
            list.extend([("imm", Attr::Int(1)), ("imm_first", Attr::Bool(first))]);
        }
        list.push(("elem", Attr::Elem(result)));
        Attrs(list)
    }

    #[test]
    fn every_mnemonic_has_a_rule() {
        for op in ALU_OPS {
            let some = Elem::ALL
                .iter()
                .flat_map(|&a| Elem::ALL.iter().map(move |&r| (a, r)));
            let ok = some.filter(|&(a, r)| {
                check(&attrs(op, r, None), &[a]).is_ok()
                    || check(&attrs(op, r, None), &[a, a]).is_ok()
            });
            assert!(ok.count() > 0, "{op}");
        }
    }

    #[test]
    fn immediates_count_as_operands() {
        assert!(check(&attrs("mul", F32, Some(false)), &[F32]).is_ok());
        assert!(check(&attrs("mul", F32, Some(false)), &[F32, F32]).is_err());
        assert!(check(&attrs("mask", F32, Some(true)), &[U8]).is_ok());
        assert!(check(&attrs("exp", F32, Some(false)), &[]).is_err());
        assert!(check(&attrs("add", I32, None), &[I32, I32]).is_err());
        assert!(check(&attrs("cvt", F32, None), &[F32]).is_err());
    }
}

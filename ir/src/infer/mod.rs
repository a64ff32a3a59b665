//! Result types from operand types and attributes: for every op one rule, per dialect one file.
//!
//! Before: operand count and attributes are as the op table declares. After: an `Ok` means that the op can be
//! evaluated without any further check of shapes and element types. Builder, parser and verifier all ask here.

mod alu;
mod stream;
mod tensor;
mod tsp;

pub use alu::check as check_alu;
pub use tensor::broadcast;
pub use tsp::WriteRun;

use crate::attr::Attrs;
use crate::constant::ConstPool;
use crate::ops::Opcode;
use crate::table::Dialect;
use crate::types::{Elem, Kind, Type};

/// Lanes of a vector: all vectors of the `tsp` dialect have as many.
pub const LANES: usize = 320;
/// K lanes that one fp16 sum covers: the chip rounds to fp32 after each such run.
pub const K_F16: usize = 160;

/// What inference may look at.
pub(crate) struct Ctx<'a> {
    pub operands: &'a [Type],
    pub attrs: &'a Attrs,
    pub yields: &'a [Type],
    pub consts: &'a ConstPool,
}

/// The result types of an op; for one with a region, `yields` are the types of its terminator's operands.
pub fn results(
    op: Opcode,
    operands: &[Type],
    attrs: &Attrs,
    yields: &[Type],
    consts: &ConstPool,
) -> Result<Vec<Type>, String> {
    crate::builder::operand_count(op, operands.len())?;
    let ctx = Ctx {
        operands,
        attrs,
        yields,
        consts,
    };
    let dialect = op.def().dialect;
    if dialect != Dialect::Tsp {
        let kinds = if dialect == Dialect::Tensor {
            &[Kind::Tensor][..]
        } else {
            &[Kind::Stream, Kind::Weights]
        };
        if let Some(ty) = operands.iter().find(|t| !kinds.contains(&t.kind)) {
            return Err(format!(
                "{ty} is no operand of the {} dialect",
                dialect.name()
            ));
        }
    }
    match dialect {
        Dialect::Tensor => tensor::results(op, &ctx),
        Dialect::Stream => stream::results(op, &ctx),
        Dialect::Tsp => tsp::results(op, &ctx),
    }
}

/// The types of a region's arguments.
pub fn region_args(op: Opcode, operands: &[Type]) -> Result<Vec<Type>, String> {
    match op {
        Opcode::StreamPipeline => stream::region_args(operands),
        _ => Err("the op has no region".into()),
    }
}

impl Ctx<'_> {
    /// The type of an operand that the op table guarantees.
    fn ty(&self, i: usize) -> Result<&Type, String> {
        self.operands
            .get(i)
            .ok_or_else(|| format!("operand {i} is missing"))
    }

    /// The type that the constant `value` has under this kind.
    fn value_type(&self, kind: Kind) -> Result<Type, String> {
        let data = self
            .consts
            .get(self.attrs.constant("value")?)
            .ok_or("the constant is not in the pool")?;
        Type::new(kind, data.shape.clone(), data.elem)
    }

    /// Attribute `names` names every operand, each differently.
    fn names(&self) -> Result<(), String> {
        let names = self.attrs.strs("names")?;
        if names.len() != self.operands.len() {
            return Err(format!(
                "{} names for {} operands",
                names.len(),
                self.operands.len()
            ));
        }
        match (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
            Some(i) => Err(format!("the name {:?} is given twice", names[i])),
            None => Ok(()),
        }
    }
}

fn one(kind: Kind, shape: impl Into<Vec<usize>>, elem: Elem) -> Result<Vec<Type>, String> {
    Ok(vec![Type::new(kind, shape, elem)?])
}

fn want(ty: &Type, elems: &[Elem]) -> Result<(), String> {
    if elems.contains(&ty.elem) {
        return Ok(());
    }
    let names: Vec<_> = elems.iter().map(|e| e.name()).collect();
    Err(format!("{ty} should have elements {}", names.join(" or ")))
}

/// `start, start+step, …, count` of them, all within `limit`.
fn check_run(start: usize, count: usize, step: i64, limit: usize) -> Result<(), String> {
    if count == 0 {
        return Err("count is 0".into());
    }
    let last = i128::from(step) * (count as i128 - 1) + start as i128;
    if start < limit && (0..limit as i128).contains(&last) {
        return Ok(());
    }
    Err(format!("{start} and {last} should be below {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stay_inside() {
        assert!(check_run(7, 4, -2, 8).is_ok());
        assert!(check_run(0, 9, 0, 1).is_ok());
        assert!(check_run(6, 5, -2, 8).is_err());
        assert!(check_run(8, 1, 0, 8).is_err());
        assert!(check_run(0, usize::MAX, i64::MAX, 8).is_err());
    }
}

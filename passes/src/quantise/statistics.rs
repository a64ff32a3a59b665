//! Statistics of rows: which values are normalised, and how large their rows get.
//!
//! LayerNorm sums the lanes of x and of x². An int8 program does that in fixed point, whose unit follows from the
//! greatest sum of squares of a row, the *energy*: it bounds the sum of the row, too (Cauchy and Schwarz).

use super::{Quantise, Ranges};
use std::collections::{BTreeMap, BTreeSet};
use tspc_ir::Opcode::{
    TensorBounded, TensorDiv, TensorExp, TensorLayerNorm, TensorMul, TensorReduce,
};
use tspc_ir::eval::Array;
use tspc_ir::{Diagnostic, Elem, Entity, Loc, Module, Value};

/// The values that are normalised, each once, in order: the operand of a LayerNorm, or, where that is written in its
/// parts, what is summed over the last dimension, perhaps times a number, and used besides. Sums of exponentials
/// are those of a softmax.
pub fn normalised(module: &Module) -> Vec<Value> {
    let users = module.users();
    let mut found: BTreeSet<Value> = BTreeSet::new();
    for &op in module.body_ops() {
        let data = &module[op];
        match data.opcode {
            TensorLayerNorm => {
                found.insert(data.operands[0]);
            }
            TensorReduce => {
                let summed = data.operands[0];
                let last = data.attrs.size("axis") == Ok(module.ty(summed).rank() - 1);
                if last && data.attrs.sym("kind") == Ok("sum") {
                    found.extend([summed, unscaled(module, summed)]);
                }
            }
            _ => {}
        }
    }
    let exponential = |v: Value| {
        let op = module.def_op(v);
        op.is_some_and(|op| module[op].opcode == TensorExp)
    };
    let lasts = |&v: &Value| {
        let of_norm = |&u: &tspc_ir::Op| module[u].opcode == TensorLayerNorm;
        let own = &users[v.index()];
        let computed = module
            .def_op(v)
            .is_none_or(|op| module.constant(op).is_none());
        computed && !exponential(v) && (own.len() > 1 || own.iter().any(of_norm))
    };
    found.into_iter().filter(lasts).collect()
}

/// x of x·c or x/c for a number c.
fn unscaled(module: &Module, v: Value) -> Value {
    let constant = |v: Value| {
        let op = module.def_op(v);
        op.is_some_and(|op| module.constant(op).is_some() && module.ty(v).elements() == 1)
    };
    let op = module.def_op(v);
    match op.map(|op| (module[op].opcode, &module[op].operands[..])) {
        Some((TensorMul | TensorDiv, &[x, c])) if constant(c) => x,
        Some((TensorMul, &[c, x])) if constant(c) => x,
        _ => v,
    }
}

/// The greatest sum of the squares of a row.
pub fn energy(x: &Array) -> f32 {
    let Ok(elements) = x.data.f32s() else {
        return 0.0;
    };
    let row = |row: &[f32]| {
        row.iter()
            .map(|&x| f64::from(x) * f64::from(x))
            .sum::<f64>() as f32
    };
    elements.chunks(x.last()).map(row).fold(0.0, greater)
}

/// The greater one; a NaN stays, so that it is refused when it is used.
pub fn greater(a: f32, b: f32) -> f32 {
    if a.is_nan() || b <= a { a } else { b }
}

/// By normalised value, the energy of its rows, for a module with sites of int8; fp16 sums need none.
pub fn energies(module: &Module, ranges: &Ranges) -> Result<BTreeMap<Value, f32>, Diagnostic> {
    let values = normalised(module);
    let energies = ranges.energies(values.len())?;
    Ok(values.into_iter().zip(energies.iter().copied()).collect())
}

impl Quantise<'_> {
    /// Puts a new value in the place of an old one; a normalised one says how large its rows get.
    pub(super) fn replaced(&mut self, old: Value, new: Value, loc: Loc) -> Result<(), Diagnostic> {
        let new = self.bounded(old, new, loc)?;
        self.rewriter.replace(old, new);
        Ok(())
    }

    /// What stands for the channels of an old value, with how large its rows get if it is normalised.
    pub(super) fn bounded(
        &mut self,
        old: Value,
        new: Value,
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        match self.plan.energies.get(&old) {
            Some(&energy) if self.rewriter.builder.ty(new).elem == Elem::F32 => {
                let energy = self.floats(&[1], &[energy], loc)?;
                self.op(TensorBounded, &[new, energy], &[], loc)
            }
            _ => Ok(new),
        }
    }
}

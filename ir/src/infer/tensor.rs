//! Result types of `tensor.*`.

use super::{Ctx, check_run, one, want};
use crate::ops::Opcode::{self, *};
use crate::types::Elem::{F16, F32, I8, I32, U8};
use crate::types::{Kind, Type};

pub(super) fn results(op: Opcode, ctx: &Ctx) -> Result<Vec<Type>, String> {
    let tensor = |shape: Vec<usize>, elem| one(Kind::Tensor, shape, elem);
    match op {
        TensorConstant => Ok(vec![ctx.value_type(Kind::Tensor)?]),
        TensorMatmul => matmul(ctx.ty(0)?, ctx.ty(1)?),
        TensorAdd | TensorSub | TensorMul | TensorMax | TensorMin | TensorDiv => {
            let (a, b) = (ctx.ty(0)?, ctx.ty(1)?);
            want(a, if op == TensorDiv { &[F32] } else { &[F32, I32] })?;
            want(b, &[a.elem])?;
            tensor(broadcast(&a.shape, &b.shape)?, a.elem)
        }
        TensorNeg => {
            want(ctx.ty(0)?, &[F32, I32])?;
            Ok(vec![ctx.ty(0)?.clone()])
        }
        TensorExp | TensorTanh | TensorErf | TensorSqrt | TensorRsqrt | TensorGelu => {
            want(ctx.ty(0)?, &[F32])?;
            Ok(vec![ctx.ty(0)?.clone()])
        }
        TensorReduce => {
            let x = ctx.ty(0)?;
            want(x, &[F32])?;
            let mut shape = x.shape.clone();
            *shape.get_mut(axis(ctx)?).ok_or("x has no such axis")? = 1;
            tensor(shape, F32)
        }
        TensorSoftmax => {
            let x = ctx.ty(0)?;
            want(x, &[F32])?;
            if x.rank() == 0 {
                Err("x has no last dimension".into())
            } else {
                Ok(vec![x.clone()])
            }
        }
        TensorLayerNorm => {
            let x = ctx.ty(0)?;
            want(x, &[F32])?;
            for i in [1, 2] {
                let y = ctx.ty(i)?;
                want(y, &[F32])?;
                if y.shape != [x.last()] || x.rank() == 0 {
                    return Err(format!("{y} should be the last dimension of {x}"));
                }
            }
            Ok(vec![x.clone()])
        }
        TensorTranspose => {
            let (x, perm) = (ctx.ty(0)?, ctx.attrs.sizes("perm")?);
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if sorted != (0..x.rank()).collect::<Vec<_>>() {
                return Err(format!("perm should be a permutation of 0…{}", x.rank()));
            }
            tensor(perm.iter().map(|&p| x.shape[p]).collect(), x.elem)
        }
        TensorReshape => {
            let ty = Type::new(Kind::Tensor, ctx.attrs.sizes("shape")?, ctx.ty(0)?.elem)?;
            if ty.elements() != ctx.ty(0)?.elements() {
                return Err(format!(
                    "{} has {} elements, {ty} has {}",
                    ctx.ty(0)?,
                    ctx.ty(0)?.elements(),
                    ty.elements()
                ));
            }
            Ok(vec![ty])
        }
        TensorSlice => {
            let (x, starts, sizes) = (
                ctx.ty(0)?,
                ctx.attrs.sizes("starts")?,
                ctx.attrs.sizes("sizes")?,
            );
            if starts.len() != x.rank() || sizes.len() != x.rank() {
                return Err(format!("starts and sizes should have {} numbers", x.rank()));
            }
            for ((&start, &size), &dim) in starts.iter().zip(&sizes).zip(&x.shape) {
                check_run(start, size, 1, dim)?;
            }
            tensor(sizes, x.elem)
        }
        TensorConcat => {
            let types: Vec<&Type> = ctx.operands.iter().collect();
            Ok(vec![concat(&types, axis(ctx)?)?])
        }
        TensorGather => tensor(gathered(ctx)?, ctx.ty(0)?.elem),
        TensorCast => tensor(ctx.ty(0)?.shape.clone(), ctx.attrs.elem("elem")?),
        TensorQuantize => {
            let x = ctx.ty(0)?;
            (0..3).try_for_each(|i| want(ctx.ty(i)?, &[F32]))?;
            onto(x, ctx.ty(1)?)?;
            onto(x, ctx.ty(2)?)?;
            match ctx.attrs.elem("elem")? {
                elem @ (I8 | U8) => tensor(x.shape.clone(), elem),
                elem => Err(format!("cannot quantize to {}", elem.name())),
            }
        }
        TensorDequantize => {
            let (q, scale) = (ctx.ty(0)?, ctx.ty(1)?);
            want(q, &[I8, U8, I32])?;
            want(scale, &[F32])?;
            onto(q, scale)?;
            tensor(q.shape.clone(), F32)
        }
        TensorBounded => {
            let (x, energy) = (ctx.ty(0)?, ctx.ty(1)?);
            want(x, &[F32])?;
            want(energy, &[F32])?;
            match (x.rank(), energy.elements()) {
                (0, _) => Err("x has no last dimension".into()),
                (_, 1) => Ok(vec![x.clone()]),
                _ => Err(format!("{energy} should be one number")),
            }
        }
        TensorReturn => ctx.names().map(|()| Vec::new()),
        _ => Err("not a tensor op".into()),
    }
}

fn axis(ctx: &Ctx) -> Result<usize, String> {
    ctx.attrs.size("axis")
}

fn matmul(a: &Type, b: &Type) -> Result<Vec<Type>, String> {
    let elem = match (a.elem, b.elem) {
        (F32, F32) | (F16, F16) => F32,
        (I8 | U8, I8) => I32,
        (x, y) => return Err(format!("cannot multiply {} by {}", x.name(), y.name())),
    };
    let ([.., m, k], [.., k2, n]) = (&a.shape[..], &b.shape[..]) else {
        return Err("operands should have two dimensions or more".into());
    };
    if k != k2 {
        return Err(format!("contraction dimensions differ: {k} and {k2}"));
    }
    let mut shape = broadcast(a.lead(2), b.lead(2))?;
    shape.extend([*m, *n]);
    one(Kind::Tensor, shape, elem)
}

/// The common shape under numpy's rule: aligned at the end, 1 meets anything.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let dim = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(format!("shapes {a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

fn onto(x: &Type, y: &Type) -> Result<(), String> {
    if broadcast(&x.shape, &y.shape)? == x.shape {
        Ok(())
    } else {
        Err(format!("{y} does not broadcast to {x}"))
    }
}

/// The shape of lanes picked by number.
pub(super) fn gathered(ctx: &Ctx) -> Result<Vec<usize>, String> {
    let (x, lanes) = (ctx.ty(0)?, ctx.attrs.sizes("lanes")?);
    match lanes.iter().find(|&&lane| lane >= x.last()) {
        Some(lane) => Err(format!("{x} has no lane {lane}")),
        None if x.rank() == 0 || lanes.is_empty() => Err("there are no lanes".into()),
        None => Ok([x.lead(1), &[lanes.len()]].concat()),
    }
}

/// The type of the parts side by side along an axis.
pub(super) fn concat(parts: &[&Type], axis: usize) -> Result<Type, String> {
    let [first, rest @ ..] = parts else {
        return Err("nothing to concatenate".into());
    };
    let mut out = (*first).clone();
    if axis >= out.rank() {
        return Err(format!("{first} has no axis {axis}"));
    }
    for part in rest {
        let same = part.elem == out.elem
            && part.kind == out.kind
            && part.rank() == out.rank()
            && (0..out.rank()).all(|i| i == axis || part.shape[i] == out.shape[i]);
        if !same {
            return Err(format!(
                "{part} does not continue {first} along axis {axis}"
            ));
        }
        out.shape[axis] += part.shape[axis];
    }
    Type::new(out.kind, out.shape, out.elem)
}

//! Result types of `stream.*`.

use super::tensor::{broadcast, concat, gathered};
use super::{Ctx, check_alu, check_run, one, want};
use crate::ops::Opcode::{self, *};
use crate::types::Elem::{F16, F32, I8, I32, U8};
use crate::types::{Kind, Type};

pub(super) fn results(op: Opcode, ctx: &Ctx) -> Result<Vec<Type>, String> {
    for ty in ctx.operands {
        if ty.kind == Kind::Weights && op != StreamPass {
            return Err(format!("{ty} can only meet stream.pass"));
        }
    }
    match op {
        StreamConstant => Ok(vec![matrix(&ctx.value_type(Kind::Stream)?)?.clone()]),
        StreamRows => {
            let x = matrix(ctx.ty(0)?)?;
            let (start, count) = (ctx.attrs.size("start")?, ctx.attrs.size("count")?);
            let axis = x.rank() - 2;
            check_run(start, count, ctx.attrs.int("step")?, x.shape[axis])?;
            let mut shape = x.shape.clone();
            shape[axis] = count;
            one(Kind::Stream, shape, x.elem)
        }
        StreamLanes => {
            let x = matrix(ctx.ty(0)?)?;
            let (start, count) = (ctx.attrs.size("start")?, ctx.attrs.size("count")?);
            check_run(start, count, 1, x.last())?;
            one(Kind::Stream, [x.lead(1), &[count]].concat(), x.elem)
        }
        StreamWindow => {
            let x = matrix(ctx.ty(0)?)?;
            let (start, count) = (ctx.attrs.size("start")?, ctx.attrs.size("count")?);
            check_run(start, count, 1, x.last())?;
            Ok(vec![x.clone()])
        }
        StreamGather => {
            let x = matrix(ctx.ty(0)?)?;
            one(Kind::Stream, gathered(ctx)?, x.elem)
        }
        StreamBroadcast => {
            let x = matrix(ctx.ty(0)?)?;
            match (x.last(), ctx.attrs.size("lanes")?) {
                (1, lanes) => one(Kind::Stream, [x.lead(1), &[lanes]].concat(), x.elem),
                (n, _) => Err(format!("x has {n} lanes, should have one")),
            }
        }
        StreamByte => {
            let x = matrix(ctx.ty(0)?)?;
            want(x, &[I32])?;
            let elem = match ctx.attrs.size("byte")? {
                0..=2 => U8,
                3 => I8,
                byte => return Err(format!("an i32 has no byte {byte}")),
            };
            one(Kind::Stream, x.shape.clone(), elem)
        }
        StreamHeads => {
            tile(ctx)?;
            let (x, heads) = (ctx.ty(0)?, ctx.attrs.size("heads")?);
            match x.shape[..] {
                [rows, lanes] if heads > 0 && lanes % heads == 0 => {
                    one(Kind::Stream, [heads, rows, lanes / heads], x.elem)
                }
                [_, lanes] => Err(format!("{lanes} lanes do not divide into {heads} heads")),
                _ => Err(format!("{x} has batch dimensions already")),
            }
        }
        StreamMerge => tile(ctx).and_then(|()| match (ctx.ty(0)?, &ctx.ty(0)?.shape[..]) {
            (x, [heads, rows, lanes]) => one(Kind::Stream, [*rows, heads * lanes], x.elem),
            (x, _) => Err(format!("{x} has not exactly one batch dimension")),
        }),
        StreamConcat => {
            let parts = ctx
                .operands
                .iter()
                .map(matrix)
                .collect::<Result<Vec<_>, _>>()?;
            let rank = parts.first().map_or(2, |p| p.rank());
            Ok(vec![concat(
                &parts,
                if ctx.attrs.sym("axis")? == "rows" {
                    rank - 2
                } else {
                    rank - 1
                },
            )?])
        }
        StreamTranspose => {
            let x = matrix(ctx.ty(0)?)?;
            one(Kind::Stream, swapped(x), x.elem)
        }
        StreamInstall => {
            let w = matrix(ctx.ty(0)?)?;
            want(w, &[I8, F16])?;
            one(Kind::Weights, swapped(w), w.elem)
        }
        StreamPass => pass(ctx),
        StreamPipeline => pipeline(ctx),
        StreamAlu => {
            let lanes = ctx.ty(0)?.shape.clone();
            if lanes.len() != 1 || ctx.operands.iter().any(|t| t.shape != lanes) {
                return Err("operands should be vectors of the same number of lanes".into());
            }
            check_alu(
                ctx.attrs,
                &ctx.operands.iter().map(|t| t.elem).collect::<Vec<_>>(),
            )?;
            one(Kind::Stream, lanes, ctx.attrs.elem("elem")?)
        }
        StreamYield => match ctx.operands.iter().find(|t| t.rank() != 1) {
            Some(ty) => Err(format!("{ty} is not a vector")),
            None => Ok(Vec::new()),
        },
        StreamReturn => ctx.names().map(|()| Vec::new()),
        _ => Err("not a stream op".into()),
    }
}

/// One row of every input.
pub(super) fn region_args(inputs: &[Type]) -> Result<Vec<Type>, String> {
    rows(inputs)?;
    inputs
        .iter()
        .map(|t| Type::new(Kind::Stream, [t.last()], t.elem))
        .collect()
}

fn matrix(x: &Type) -> Result<&Type, String> {
    if x.rank() >= 2 {
        Ok(x)
    } else {
        Err(format!("{x} should have rows and lanes"))
    }
}

fn swapped(x: &Type) -> Vec<usize> {
    let n = x.rank();
    let mut shape = x.shape.clone();
    shape.swap(n - 2, n - 1);
    shape
}

/// The rows (batch dimensions included) that the inputs of a pipeline run over.
fn rows(inputs: &[Type]) -> Result<Vec<usize>, String> {
    let Some(first) = inputs.first() else {
        return Err("a pipeline needs an input".into());
    };
    let mut all = matrix(first)?.lead(1).to_vec();
    for x in &inputs[1..] {
        all = broadcast(&all, matrix(x)?.lead(1))
            .map_err(|_| format!("the rows of {x} do not meet {all:?} rows"))?;
    }
    Ok(all)
}

/// A head layout has room for a lane.
fn tile(ctx: &Ctx) -> Result<(), String> {
    match ctx.attrs.size("tile")? {
        0 => Err("a tile has at least one lane".into()),
        _ => Ok(()),
    }
}

fn pipeline(ctx: &Ctx) -> Result<Vec<Type>, String> {
    let rows = rows(ctx.operands)?;
    let result = |v: &Type| Type::new(Kind::Stream, [&rows[..], &[v.last()]].concat(), v.elem);
    ctx.yields.iter().map(result).collect()
}

fn pass(ctx: &Ctx) -> Result<Vec<Type>, String> {
    let (x, w) = (matrix(ctx.ty(0)?)?, ctx.ty(1)?);
    if x.kind != Kind::Stream || w.kind != Kind::Weights {
        return Err("a pass takes a stream and weights".into());
    }
    let elem = match (x.elem, w.elem) {
        (I8 | U8, I8) => I32,
        (F16, F16) => F32,
        (a, b) => return Err(format!("cannot multiply {} by {}", a.name(), b.name())),
    };
    if w.lead(2) != x.lead(2) || w.shape[w.rank() - 2] != x.last() {
        return Err(format!("{x} does not fit {w}"));
    }
    if ctx.attrs.has("start") != ctx.attrs.has("count") {
        return Err("start and count come together".into());
    }
    if ctx.attrs.has("start") {
        check_run(
            ctx.attrs.size("start")?,
            ctx.attrs.size("count")?,
            1,
            x.last(),
        )?;
    }
    let out = Type::new(Kind::Stream, [x.lead(1), &[w.last()]].concat(), elem)?;
    match ctx.operands.get(2) {
        Some(partial) if *partial != out => {
            Err(format!("the partial sum is {partial}, should be {out}"))
        }
        _ => Ok(vec![out]),
    }
}

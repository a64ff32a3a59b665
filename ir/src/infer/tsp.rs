//! Result types of `tsp.*`. Every sequence has vectors of 320 lanes.

use super::{Ctx, K_F16, LANES, check_alu, check_run, one, want};
use crate::attr::Attrs;
use crate::ops::Opcode::{self, *};
use crate::types::Elem::{self, F16, F32, I8, I32, U8};
use crate::types::{Kind, Type};

pub(super) fn results(op: Opcode, ctx: &Ctx) -> Result<Vec<Type>, String> {
    let attrs = ctx.attrs;
    match op {
        TspImage => {
            let value = ctx.value_type(Kind::Tensor)?;
            let [rows, cols] = value.shape[..] else {
                return Err(format!("{value} should have rows and columns"));
            };
            if cols > LANES {
                return Err(format!("{cols} columns in {LANES} lanes"));
            }
            byte_of(ctx, value.elem)?;
            one(Kind::Mem, [rows], I8)
        }
        TspInput => one(Kind::Mem, [io_rows(ctx)?], I8),
        TspOutput => {
            let (rows, mem) = (io_rows(ctx)?, kind(ctx, 0, Kind::Mem)?);
            if mem.shape != [rows] {
                return Err(format!("{mem} does not hold {rows} rows"));
            }
            Ok(Vec::new())
        }
        TspRead => {
            let (mem, count) = (kind(ctx, 0, Kind::Mem)?, attrs.size("count")?);
            check_run(attrs.size("start")?, count, attrs.int("step")?, mem.last())?;
            if attrs.size("interval")? == 0 {
                return Err("interval is 0".into());
            }
            one(Kind::Seq, [count], I8)
        }
        TspGather => {
            kind(ctx, 0, Kind::Mem)?;
            let map = bytes(ctx, 1)?;
            one(Kind::Seq, map.shape.clone(), I8)
        }
        TspWrite => {
            let (x, words) = (kind(ctx, 0, Kind::Seq)?, attrs.size("words")?);
            byte_of(ctx, x.elem)?;
            let run = WriteRun::new(attrs, x.last())?;
            check_run(run.first, run.count, run.interval, x.last())?;
            check_run(attrs.size("start")?, run.count, attrs.int("step")?, words)?;
            buffer(ctx, 1, words)
        }
        TspScatter => {
            let (x, map) = (kind(ctx, 0, Kind::Seq)?, bytes(ctx, 1)?);
            byte_of(ctx, x.elem)?;
            alike(x, map)?;
            buffer(ctx, 2, attrs.size("words")?)
        }
        TspJoin => {
            let elem = attrs.elem("elem")?;
            let count = same_count(ctx)?;
            if ctx.operands.len() != crate::constant::bytes_of(elem) {
                return Err(format!(
                    "{} bytes do not make {}",
                    ctx.operands.len(),
                    elem.name()
                ));
            }
            one(Kind::Seq, [count], elem)
        }
        TspConcat => {
            let elem = kind(ctx, 0, Kind::Seq)?.elem;
            let mut count = 0;
            for i in 0..ctx.operands.len() {
                let part = kind(ctx, i, Kind::Seq)?;
                want(part, &[elem])?;
                count += part.last();
            }
            one(Kind::Seq, [count], elem)
        }
        TspSplit => {
            let x = kind(ctx, 0, Kind::Seq)?;
            byte_of(ctx, x.elem)?;
            one(Kind::Seq, x.shape.clone(), I8)
        }
        TspAlu => {
            let count = kind(ctx, 0, Kind::Seq)?.last();
            (1..ctx.operands.len())
                .try_for_each(|i| alike(ctx.ty(0)?, kind(ctx, i, Kind::Seq)?))?;
            check_alu(
                attrs,
                &ctx.operands.iter().map(|t| t.elem).collect::<Vec<_>>(),
            )?;
            one(Kind::Seq, [count], attrs.elem("elem")?)
        }
        TspLw => {
            let count = same_count(ctx)?;
            let half = attrs.has("half");
            if ctx.operands.len() != 16 {
                return Err(format!("takes 16 streams, has {}", ctx.operands.len()));
            }
            check_run(
                attrs.size("group")?,
                count,
                attrs.int("step")?,
                groups(half),
            )?;
            if half && attrs.size("half")? > 1 {
                return Err("half is 0 or 1".into());
            }
            if half {
                one(Kind::Weights, [K_F16, LANES], F16)
            } else {
                one(Kind::Weights, [LANES, LANES], I8)
            }
        }
        TspIw => {
            let first = kind(ctx, 0, Kind::Weights).map_err(|_| "needs loads".to_string())?;
            if ctx.operands.iter().any(|t| t != first) {
                return Err("the loads differ in type".into());
            }
            let most = groups(first.elem == F16);
            let n = attrs.size("groups")?;
            // The fewest that an install takes is a number of the machine, which the IR does not know.
            if n < 1 || n > most {
                return Err(format!("groups should be 1 to {most}"));
            }
            Ok(vec![first.clone()])
        }
        TspAct => {
            let (x, w) = (kind(ctx, 0, Kind::Seq)?, kind(ctx, 1, Kind::Weights)?);
            match (x.elem, w.elem) {
                (I8 | U8, I8) => one(Kind::Seq, x.shape.clone(), I32),
                (F16, F16) => one(Kind::Seq, x.shape.clone(), F32),
                (a, b) => Err(format!("cannot multiply {} by {}", a.name(), b.name())),
            }
        }
        TspAccumulate => {
            let sum = kind(ctx, 0, Kind::Seq)?;
            want(sum, &[I32, F32])?;
            match ctx.operands.get(1) {
                Some(partial) if partial != sum => {
                    Err(format!("the partial sum is {partial}, should be {sum}"))
                }
                _ => Ok(vec![sum.clone()]),
            }
        }
        TspDistribute => {
            let map = bytes(ctx, 0)?;
            let mut streams = 0;
            for i in 1..ctx.operands.len() {
                let x = kind(ctx, i, Kind::Seq)?;
                alike(map, x)?;
                streams += crate::constant::bytes_of(x.elem);
            }
            match streams {
                1..=8 => Ok(ctx.operands[1..].to_vec()),
                n => Err(format!("a distributor serves 1 to 8 streams, not {n}")),
            }
        }
        TspTranspose => {
            let count = same_count(ctx)?;
            if ctx.operands.len() != 16 {
                return Err(format!("takes 16 streams, has {}", ctx.operands.len()));
            }
            Ok(vec![Type::new(Kind::Seq, [count], I8)?; 16])
        }
        TspPermute => {
            let x = kind(ctx, 0, Kind::Seq)?;
            (1..3).try_for_each(|i| alike(x, bytes(ctx, i)?))?;
            Ok(vec![x.clone()])
        }
        TspShift => {
            check_run(attrs.size("lanes")?, 1, 0, LANES)?;
            if attrs.size("lanes")? == 0 {
                return Err("lanes is 0".into());
            }
            Ok(vec![kind(ctx, 0, Kind::Seq)?.clone()])
        }
        _ => Err("not a tsp op".into()),
    }
}

/// The vectors that a `tsp.write` takes.
pub struct WriteRun {
    /// The first.
    pub first: usize,
    /// Vectors from one to the next.
    pub interval: i64,
    /// How many.
    pub count: usize,
}

impl WriteRun {
    /// Read from the attributes, for a sequence of `len` vectors; by default all of them.
    pub fn new(attrs: &Attrs, len: usize) -> Result<WriteRun, String> {
        let size = |name: &str, default: usize| match attrs.has(name) {
            true => attrs.size(name),
            false => Ok(default),
        };
        let run = WriteRun {
            first: size("first", 0)?,
            interval: size("interval", 1)? as i64,
            count: size("count", len)?,
        };
        match run.interval {
            0 => Err("interval is 0".into()),
            _ => Ok(run),
        }
    }
}

/// Weight groups of a full install.
pub(crate) fn groups(f16: bool) -> usize {
    if f16 { LANES / 8 } else { LANES / 16 }
}

fn kind<'a>(ctx: &'a Ctx, i: usize, kind: Kind) -> Result<&'a Type, String> {
    let ty = ctx.ty(i)?;
    if ty.kind == kind {
        Ok(ty)
    } else {
        Err(format!("operand {i} is {ty}, should be a {}", kind.name()))
    }
}

fn bytes<'a>(ctx: &'a Ctx, i: usize) -> Result<&'a Type, String> {
    let ty = kind(ctx, i, Kind::Seq)?;
    want(ty, &[I8, U8])?;
    Ok(ty)
}

fn alike(x: &Type, y: &Type) -> Result<(), String> {
    if x.shape == y.shape {
        Ok(())
    } else {
        Err(format!("{x} and {y} differ in length"))
    }
}

/// The common length of the operands, all of them byte sequences.
fn same_count(ctx: &Ctx) -> Result<usize, String> {
    for i in 0..ctx.operands.len() {
        alike(ctx.ty(0)?, bytes(ctx, i)?)?;
    }
    Ok(ctx.ty(0)?.last())
}

fn byte_of(ctx: &Ctx, elem: Elem) -> Result<(), String> {
    let byte = ctx.attrs.size("byte")?;
    if byte < crate::constant::bytes_of(elem) {
        Ok(())
    } else {
        Err(format!("{} has no byte {byte}", elem.name()))
    }
}

fn buffer(ctx: &Ctx, into: usize, words: usize) -> Result<Vec<Type>, String> {
    let ty = Type::new(Kind::Mem, [words], I8)?;
    match ctx.operands.get(into) {
        Some(old) if *old != ty => Err(format!("the buffer is {old}, should be {ty}")),
        _ => Ok(vec![ty]),
    }
}

/// The rows of an input or output, whose other attributes are checked.
fn io_rows(ctx: &Ctx) -> Result<usize, String> {
    let (rows, cols) = (ctx.attrs.size("rows")?, ctx.attrs.size("cols")?);
    let matrix = Type::new(Kind::Tensor, [rows, cols], ctx.attrs.elem("elem")?)?;
    byte_of(ctx, matrix.elem)?;
    let tile = ctx.attrs.size("tile")?;
    if !ctx.attrs.has("columns") {
        let tiles = cols.div_ceil(LANES);
        return if tile < tiles {
            Ok(rows)
        } else {
            Err(format!("tile {tile} of {tiles}"))
        };
    }
    let columns = ctx.attrs.ints("columns")?;
    if columns.len() > LANES || columns.iter().any(|&c| c < -1 || c >= cols as i64) {
        return Err(format!(
            "columns should be at most {LANES} numbers from -1 to {}",
            cols - 1
        ));
    }
    Ok(rows)
}

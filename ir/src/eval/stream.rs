//! The meaning of `stream.*`, bit for bit what the chip computes.
//!
//! An fp16 pass is a chain of installs of 160 K lanes, at lanes 160c … 160c+159: each sum is f64 over ascending k,
//! rounded once to fp32, and added in fp32 to the sum of the install before it, the first one to the partial sum.
//! Installs that lie outside the pass's lane window are not made. At 320 lanes or fewer this is what one or two
//! instructions per row do; wider passes are the same chain written as one op.

use super::data::strides;
use super::tensor::widen;
use super::{Array, Cell, Data, Evaluator, alu, product};
use crate::entity::{Entity, Op};
use crate::infer::K_F16;
use crate::ops::Opcode::*;
use crate::types::Elem;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a pipeline that are computed together; any number gives the same result.
const CHUNK: usize = 8;

impl Evaluator<'_> {
    pub(super) fn stream(&mut self, op: Op) -> Result<(), String> {
        let data = &self.module[op];
        if data.opcode == StreamPipeline {
            return self.pipeline(op);
        }
        let ty = self
            .module
            .ty(*data.results.first().ok_or("a result is missing")?);
        let x = |i: usize| self.operand(data, i);
        let rank = ty.rank();
        let out = match data.opcode {
            StreamConstant => Data::from_const(
                self.module
                    .constant(op)
                    .ok_or("the constant is not in the pool")?,
            ),
            StreamRows => {
                let mut by = strides(&x(0)?.shape);
                let start = data.attrs.size("start")? * x(0)?.last();
                by[rank - 2] *= data.attrs.int("step")?;
                x(0)?.view(&ty.shape, &by, start).data
            }
            StreamLanes => {
                x(0)?
                    .view(&ty.shape, &strides(&x(0)?.shape), data.attrs.size("start")?)
                    .data
            }
            StreamWindow => {
                let (start, count) = (data.attrs.size("start")?, data.attrs.size("count")?);
                let mut lanes = x(0)?.data.lanes(0..x(0)?.data.len());
                for row in lanes.chunks_exact_mut(ty.last()) {
                    row[..start].fill(0);
                    row[start + count..].fill(0);
                }
                Data::from_lanes(ty.elem, &lanes)
            }
            StreamGather => x(0)?.gather_last(&data.attrs.sizes("lanes")?),
            StreamBroadcast => {
                let mut by = strides(&x(0)?.shape);
                by[rank - 1] = 0;
                x(0)?.view(&ty.shape, &by, 0).data
            }
            StreamByte => {
                let shift = 8 * data.attrs.size("byte")? as u32;
                let mut lanes = x(0)?.data.lanes(0..x(0)?.data.len());
                lanes.iter_mut().for_each(|l| *l = *l >> shift & 0xff);
                Data::from_lanes(ty.elem, &lanes)
            }
            StreamHeads => {
                let lanes = x(0)?.last() as i64;
                x(0)?.view(&ty.shape, &[ty.last() as i64, lanes, 1], 0).data
            }
            StreamMerge => {
                let [heads, rows, lanes] = x(0)?.shape[..] else {
                    return Err("x has no heads".into());
                };
                let by = [lanes as i64, (rows * lanes) as i64, 1];
                x(0)?.view(&[rows, heads, lanes], &by, 0).data
            }
            StreamConcat => {
                let parts = (0..data.operands.len())
                    .map(x)
                    .collect::<Result<Vec<_>, _>>()?;
                let axis = if data.attrs.sym("axis")? == "rows" {
                    rank - 2
                } else {
                    rank - 1
                };
                Array::concat(&parts, axis, &ty.shape, ty.elem).data
            }
            StreamTranspose => {
                let mut by = strides(&x(0)?.shape);
                by.swap(rank - 2, rank - 1);
                x(0)?.view(&ty.shape, &by, 0).data
            }
            StreamInstall => {
                let cell = self.cells[data.operands[0].index()].clone();
                return self.set(op, 0, cell.ok_or("an operand is missing")?);
            }
            StreamPass => {
                let lanes = match data.attrs.has("start") {
                    true => {
                        data.attrs.size("start")?
                            ..data.attrs.size("start")? + data.attrs.size("count")?
                    }
                    false => 0..x(0)?.last(),
                };
                let partial = data.operands.get(2).map(|&v| self.array(v)).transpose()?;
                pass(x(0)?, x(1)?, partial, lanes)?
            }
            _ => return Err("not a stream op of a module's body".into()),
        };
        self.give(op, out)
    }

    fn pipeline(&mut self, op: Op) -> Result<(), String> {
        let data = &self.module[op];
        let body = &self.module[data.region.ok_or("the region is missing")?];
        let inputs = (0..data.operands.len())
            .map(|i| self.operand(data, i))
            .collect::<Result<Vec<_>, _>>()?;
        let types = self.module.types(&data.results);
        let lead = types.first().ok_or("a result is missing")?.lead(1);
        let rows: usize = lead.iter().product();
        let mut results: Vec<Data> = types.iter().map(|t| Data::empty(t.elem)).collect();
        for first in (0..rows).step_by(CHUNK) {
            let n = CHUNK.min(rows - first);
            let mut values = BTreeMap::new();
            for (&arg, input) in body.args.iter().zip(&inputs) {
                let lanes = input.last();
                let own = &input.shape[..input.shape.len() - 1];
                let vector = if own == lead {
                    input.data.lanes(first * lanes..(first + n) * lanes)
                } else {
                    let row = |r: usize| broadcast_row(r, lead, own) * lanes;
                    let rows = (first..first + n).map(row);
                    rows.flat_map(|at| input.data.lanes(at..at + lanes))
                        .collect()
                };
                values.insert(arg, vector);
            }
            for &inner in &body.ops {
                let inner = &self.module[inner];
                let mut operands = Vec::new();
                for v in &inner.operands {
                    let lanes = values.get(v).ok_or("a value from outside the region")?;
                    operands.push((self.module.ty(*v).elem, lanes.as_slice()));
                }
                if inner.opcode == StreamAlu {
                    let lanes = alu::run(&inner.attrs, &operands)?;
                    values.insert(inner.results[0], lanes);
                } else {
                    results
                        .iter_mut()
                        .zip(operands)
                        .for_each(|(out, (_, lanes))| out.extend_lanes(lanes));
                }
            }
        }
        for (i, (ty, data)) in types.into_iter().zip(results).enumerate() {
            self.set(
                op,
                i,
                Cell::Array(Arc::new(Array {
                    shape: ty.shape,
                    data,
                })),
            )?;
        }
        Ok(())
    }
}

/// The row of an input of `own` dimensions that meets row `r` of `all` dimensions, counted in order.
fn broadcast_row(mut r: usize, all: &[usize], own: &[usize]) -> usize {
    let (mut row, mut stride) = (0, 1);
    let own = own.iter().rev().copied().chain(std::iter::repeat(1));
    for (&n, own) in all.iter().rev().zip(own) {
        if own != 1 {
            row += (r % n) * stride;
        }
        stride *= own;
        r /= n;
    }
    row
}

fn pass(
    x: &Array,
    w: &Array,
    partial: Option<&Array>,
    lanes: Range<usize>,
) -> Result<Data, String> {
    let (k, rank) = (x.last(), x.shape.len());
    let (rows, columns) = (x.shape[rank - 2], w.shape[rank - 2]);
    let batches: usize = x.shape[..rank - 2].iter().product();
    if x.data.elem() == Elem::F16 {
        let mut out = Vec::with_capacity(batches * rows * columns);
        for b in 0..batches {
            let mut sum = match partial {
                Some(p) => Some(p.data.f32s()?[b * rows * columns..][..rows * columns].to_vec()),
                None => None,
            };
            for first in (lanes.start / K_F16 * K_F16..lanes.end).step_by(K_F16) {
                let chunk = first..(first + K_F16).min(k);
                let rows = halves(&x.data, b * rows, rows, k, chunk.clone(), &lanes)?;
                let weights = halves(&w.data, b * columns, columns, k, chunk.clone(), &chunk)?;
                sum = Some(install_f16(&rows, &weights, chunk.len(), sum.as_deref()));
            }
            out.extend(sum.unwrap_or_default());
        }
        return Ok(Data::F32(out));
    }
    let n = lanes.len();
    let mut out = Vec::with_capacity(batches * rows * columns);
    for b in 0..batches {
        let x = bytes(&x.data, b * rows, rows, k, &lanes)?;
        let w = bytes(&w.data, b * columns, columns, k, &lanes)?;
        out.extend(product::integer(&x, &w, n).ok_or("the sum overflows i32")?);
    }
    match partial.map(|p| &p.data) {
        None => Ok(Data::I32(out)),
        Some(Data::I32(p)) => add_partial(&out, p),
        Some(_) => Err("the partial sum is not i32".into()),
    }
}

/// The sums of one fp16 install for rows and columns of fp32 numbers that came from fp16, plus partial sums.
pub(super) fn install_f16(x: &[f32], w: &[f32], k: usize, partial: Option<&[f32]>) -> Vec<f32> {
    let mut out = product::float(x, w, k, w.len() / k, (1, k));
    for (o, p) in out.iter_mut().zip(partial.into_iter().flatten()) {
        *o = tspc_num::acc_f32(*o, *p);
    }
    out
}

/// Results plus partial sums, i32.
pub(super) fn add_partial(out: &[i32], partial: &[i32]) -> Result<Data, String> {
    let sums = out.iter().zip(partial).map(|(a, b)| a.checked_add(*b));
    Ok(Data::I32(
        sums.collect::<Option<_>>()
            .ok_or("the partial sum overflows i32")?,
    ))
}

/// The lanes of a number of rows, as i16.
fn bytes(
    data: &Data,
    first: usize,
    rows: usize,
    k: usize,
    lanes: &Range<usize>,
) -> Result<Vec<i16>, String> {
    if lanes.len() == k {
        return widen(data, first * k, rows * k);
    }
    let mut out = Vec::with_capacity(rows * lanes.len());
    for r in first..first + rows {
        out.extend(widen(data, r * k + lanes.start, lanes.len())?);
    }
    Ok(out)
}

/// The lanes `chunk` of a number of rows, as fp32; those outside the window are zero.
fn halves(
    data: &Data,
    first: usize,
    rows: usize,
    k: usize,
    chunk: Range<usize>,
    window: &Range<usize>,
) -> Result<Vec<f32>, String> {
    let mut out = Vec::with_capacity(rows * chunk.len());
    for r in first..first + rows {
        let mut lanes = data.lanes(r * k + chunk.start..r * k + chunk.end);
        tspc_num::convert_lanes(&mut lanes, Elem::F16, Elem::F32);
        let inside = |l: usize| window.contains(&(chunk.start + l));
        out.extend(
            lanes
                .iter()
                .enumerate()
                .map(|(l, &x)| if inside(l) { f32::from_bits(x) } else { 0.0 }),
        );
    }
    Ok(out)
}

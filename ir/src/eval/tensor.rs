//! The meaning of `tensor.*`.
//!
//! Rounding points, so that the result is the same on every host: one fp32 rounding per element for add, sub, mul,
//! div, sqrt, exp, tanh, rsqrt, erf, GELU and layer normalisation (computed in f64 inside); sums (matmul, reduce)
//! in f64 in ascending order, rounded once; softmax rounds x−max, exp, the sum and the quotient to fp32.
//! NaN results are 0x7FC00000. i32 overflow is an error.

use super::data::strides;
use super::{Array, Data, Evaluator, product};
use crate::entity::Op;
use crate::ops::Opcode::{self, *};
use crate::types::Elem;
use tspc_num::{BinaryOp, UnaryOp, binary, unary};

impl Evaluator<'_> {
    pub(super) fn tensor(&mut self, op: Op) -> Result<(), String> {
        let data = &self.module[op];
        let ty = self
            .module
            .ty(*data.results.first().ok_or("a result is missing")?);
        let x = |i: usize| self.operand(data, i);
        let out = match data.opcode {
            TensorConstant => Data::from_const(
                self.module
                    .constant(op)
                    .ok_or("the constant is not in the pool")?,
            ),
            TensorMatmul => matmul(x(0)?, x(1)?, &ty.shape)?,
            TensorAdd | TensorSub | TensorMul | TensorDiv | TensorMax | TensorMin => elementwise(
                data.opcode,
                &x(0)?.broadcast(&ty.shape).data,
                &x(1)?.broadcast(&ty.shape).data,
            )?,
            TensorNeg => match &x(0)?.data {
                Data::I32(v) => Data::I32(
                    v.iter()
                        .map(|a| a.checked_neg())
                        .collect::<Option<_>>()
                        .ok_or("i32 overflow")?,
                ),
                other => map(other.f32s()?, |v| -v),
            },
            TensorExp => lanes(x(0)?.data.f32s()?, UnaryOp::Exp),
            TensorTanh => lanes(x(0)?.data.f32s()?, UnaryOp::Tanh),
            TensorRsqrt => lanes(x(0)?.data.f32s()?, UnaryOp::Rsqrt),
            TensorErf => map(x(0)?.data.f32s()?, |v| libm::erf(f64::from(v)) as f32),
            TensorSqrt => map(x(0)?.data.f32s()?, f32::sqrt),
            TensorGelu => match data.attrs.sym("form")? {
                "erf" => map(x(0)?.data.f32s()?, gelu_erf),
                _ => map(x(0)?.data.f32s()?, gelu_tanh),
            },
            TensorReduce => reduce(x(0)?, data.attrs.size("axis")?, data.attrs.sym("kind")?)?,
            TensorSoftmax => softmax(x(0)?)?,
            TensorLayerNorm => layer_norm(
                x(0)?,
                x(1)?.data.f32s()?,
                x(2)?.data.f32s()?,
                data.attrs.f32("eps")?,
            )?,
            TensorTranspose => {
                let own = strides(&x(0)?.shape);
                let order: Vec<i64> = data.attrs.sizes("perm")?.iter().map(|&p| own[p]).collect();
                x(0)?.view(&ty.shape, &order, 0).data
            }
            TensorReshape | TensorBounded => x(0)?.data.clone(),
            TensorSlice => {
                let own = strides(&x(0)?.shape);
                let starts = data.attrs.sizes("starts")?;
                let start: usize = starts.iter().zip(&own).map(|(&s, &d)| s * d as usize).sum();
                x(0)?.view(&ty.shape, &own, start).data
            }
            TensorConcat => {
                let parts = (0..data.operands.len())
                    .map(x)
                    .collect::<Result<Vec<_>, _>>()?;
                Array::concat(&parts, data.attrs.size("axis")?, &ty.shape, ty.elem).data
            }
            TensorGather => x(0)?.gather_last(&data.attrs.sizes("lanes")?),
            TensorCast => x(0)?.data.convert(data.attrs.elem("elem")?),
            TensorQuantize => {
                let (r, o) = (x(1)?.broadcast(&ty.shape), x(2)?.broadcast(&ty.shape));
                let scaled = elementwise(TensorMul, &x(0)?.data, &r.data)?;
                elementwise(TensorAdd, &scaled, &o.data)?.convert(data.attrs.elem("elem")?)
            }
            TensorDequantize => elementwise(
                TensorMul,
                &x(0)?.data.convert(Elem::F32),
                &x(1)?.broadcast(&ty.shape).data,
            )?,
            _ => return Err("not a tensor op".into()),
        };
        self.give(op, out)
    }
}

fn canonical(x: f32) -> f32 {
    f32::from_bits(tspc_num::f32_bits(x))
}

fn map(x: &[f32], f: impl Fn(f32) -> f32) -> Data {
    Data::F32(x.iter().map(|&v| canonical(f(v))).collect())
}

fn lanes(x: &[f32], op: UnaryOp) -> Data {
    let mut lanes: Vec<u32> = x.iter().map(|v| v.to_bits()).collect();
    tspc_num::unary_lanes(op, Elem::F32, &mut lanes);
    Data::from_lanes(Elem::F32, &lanes)
}

fn exp(x: f32) -> f32 {
    unary(UnaryOp::Exp, Elem::F32, x.to_bits()).map_or(f32::NAN, f32::from_bits)
}

fn max(a: f32, b: f32) -> f32 {
    binary(BinaryOp::Max, Elem::F32, a.to_bits(), b.to_bits()).map_or(f32::NAN, f32::from_bits)
}

fn min(a: f32, b: f32) -> f32 {
    binary(BinaryOp::Min, Elem::F32, a.to_bits(), b.to_bits()).map_or(f32::NAN, f32::from_bits)
}

fn gelu_erf(x: f32) -> f32 {
    let x = f64::from(x);
    (0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))) as f32
}

fn gelu_tanh(x: f32) -> f32 {
    let x = f64::from(x);
    let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    (0.5 * x * (1.0 + libm::tanh(u))) as f32
}

fn elementwise(op: Opcode, a: &Data, b: &Data) -> Result<Data, String> {
    if let (Data::I32(a), Data::I32(b)) = (a, b) {
        let f = |(a, b): (&i32, &i32)| match op {
            TensorAdd => a.checked_add(*b),
            TensorSub => a.checked_sub(*b),
            TensorMul => a.checked_mul(*b),
            TensorMax => Some(*a.max(b)),
            TensorMin => Some(*a.min(b)),
            _ => None,
        };
        return Ok(Data::I32(
            a.iter()
                .zip(b)
                .map(f)
                .collect::<Option<_>>()
                .ok_or("i32 overflow")?,
        ));
    }
    let pairs = a.f32s()?.iter().zip(b.f32s()?);
    let f: fn(f32, f32) -> f32 = match op {
        TensorAdd => |a, b| a + b,
        TensorSub => |a, b| a - b,
        TensorMul => |a, b| a * b,
        TensorDiv => |a, b| a / b,
        TensorMax => max,
        _ => min,
    };
    Ok(Data::F32(
        pairs.map(|(a, b)| canonical(f(*a, *b))).collect(),
    ))
}

fn matmul(a: &Array, b: &Array, shape: &[usize]) -> Result<Data, String> {
    let [lead @ .., m, n] = shape else {
        return Err("the result should have two dimensions".into());
    };
    let k = a.last();
    let full = |rows: usize, cols: usize| [lead, &[rows, cols]].concat();
    let (a, b) = (a.broadcast(&full(*m, k)), b.broadcast(&full(k, *n)));
    let batches: usize = lead.iter().product();
    if let Data::I8(w) = &b.data {
        let mut out = Vec::with_capacity(batches * m * n);
        for i in 0..batches {
            let x = widen(&a.data, i * m * k, m * k)?;
            let w = &w[i * k * n..][..k * n];
            let columns: Vec<i16> = (0..*n)
                .flat_map(|c| (0..k).map(move |r| i16::from(w[r * n + c])))
                .collect();
            out.extend(product::integer(&x, &columns, k).ok_or("i32 overflow")?);
        }
        return Ok(Data::I32(out));
    }
    let (a, b) = (a.data.convert(Elem::F32), b.data.convert(Elem::F32));
    let (a, b) = (a.f32s()?, b.f32s()?);
    let batch = |i: usize| {
        product::float(
            &a[i * m * k..][..m * k],
            &b[i * k * n..][..k * n],
            k,
            *n,
            (*n, 1),
        )
    };
    Ok(Data::F32((0..batches).flat_map(batch).collect()))
}

/// A run of bytes as i16.
pub(super) fn widen(data: &Data, start: usize, count: usize) -> Result<Vec<i16>, String> {
    match data {
        Data::I8(v) => Ok(v[start..][..count].iter().map(|&x| i16::from(x)).collect()),
        Data::U8(v) => Ok(v[start..][..count].iter().map(|&x| i16::from(x)).collect()),
        other => Err(format!("{} is not a byte", other.elem().name())),
    }
}

/// Σ in f64, ascending, rounded once.
fn sum(x: impl Iterator<Item = f32>) -> f32 {
    canonical(x.fold(0f64, |s, v| s + f64::from(v)) as f32)
}

fn reduce(x: &Array, axis: usize, kind: &str) -> Result<Data, String> {
    let v = x.data.f32s()?;
    let (n, inner) = (x.shape[axis], x.shape[axis + 1..].iter().product::<usize>());
    let outer: usize = x.shape[..axis].iter().product();
    let at = |i: usize| (0..n).map(move |j| v[(i / inner * n + j) * inner + i % inner]);
    let reduced = (0..outer * inner).map(|i| match kind {
        "sum" => sum(at(i)),
        _ => at(i).fold(f32::NEG_INFINITY, max),
    });
    Ok(Data::F32(reduced.collect()))
}

fn softmax(x: &Array) -> Result<Data, String> {
    let rows = x.data.f32s()?.chunks(x.last());
    let row = |row: &[f32]| {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, max);
        let p: Vec<f32> = row.iter().map(|v| exp(v - top)).collect();
        let total = sum(p.iter().copied());
        p.into_iter()
            .map(move |v| canonical(v / total))
            .collect::<Vec<_>>()
    };
    Ok(Data::F32(rows.flat_map(row).collect()))
}

fn layer_norm(x: &Array, gamma: &[f32], beta: &[f32], eps: f32) -> Result<Data, String> {
    let n = x.last();
    let rows = x.data.f32s()?.chunks(n);
    let row = |row: &[f32]| {
        let wide = || row.iter().map(|&v| f64::from(v));
        let mean = wide().sum::<f64>() / n as f64;
        let variance = wide().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
        let scale = 1.0 / (variance + f64::from(eps)).sqrt();
        let norm = wide().zip(gamma.iter().zip(beta));
        let norm = norm.map(move |(v, (&g, &b))| (v - mean) * scale * f64::from(g) + f64::from(b));
        norm.map(|v| canonical(v as f32)).collect::<Vec<_>>()
    };
    Ok(Data::F32(rows.flat_map(row).collect()))
}

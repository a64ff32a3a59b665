//! Linear sites: activations by a constant matrix.

use super::scale::{self, Activation};
use super::{Format, Kind, Migrate, Quantise, Range, TensorAdd};
use tspc_ir::Opcode::{TensorConstant, TensorMatmul};
use tspc_ir::{ConstData, Diagnostic, Op, Value};

/// Exponents of migration by structure, chosen on held-out calibration texts of the trained model (the example
/// `cosines`), where a step of 0.1 in any of them moves the least cosine by 0.006 at most.
///
/// Activations on one side of 0 (after GELU) have the heaviest outliers, and a zero point besides.
const ONE_SIDED: f64 = 0.8;
/// Into a wider space: after the LayerNorm of attention, outliers of 30 times the bulk.
const WIDENING: f64 = 0.6;
/// All others.
const PLAIN: f64 = 0.5;

impl Quantise<'_> {
    /// The result of a linear site.
    pub(super) fn linear(&mut self, site: usize) -> Result<Value, Diagnostic> {
        let &[x, w] = &self.plan.sites[site].roots.each_ref().map(|r| r.value);
        let op = self.plan.sites[site].op;
        match self.plan.formats[site] {
            Format::Fp16 => {
                let loc = self.rewriter.fused("fp16", &[op]);
                let operands = [self.half(x, loc)?, self.half(w, loc)?];
                self.op(TensorMatmul, &operands, &[], loc)
            }
            Format::Int8 => self.linear_int8(site, op, x, w),
        }
    }

    fn linear_int8(
        &mut self,
        site: usize,
        op: Op,
        x: Value,
        w: Value,
    ) -> Result<Value, Diagnostic> {
        let loc = self.rewriter.fused("int8", &[op]);
        let missing = |q: &Self| q.refuse("the matrix is not constant".into(), loc);
        let outs = self.rewriter.source().ty(w).last();
        let (input, activation) = self.input(site, x)?;
        let matrix = self.numbers_of(w).ok_or_else(|| missing(self))?;
        let weights = scale::weights(&matrix, outs, &activation);
        let data = ConstData::i8s(&[activation.recip.len(), outs], &weights.elements);
        let data = data.map_err(|why| self.refuse(why, loc))?;
        let w = self
            .rewriter
            .builder
            .constant_op(TensorConstant, data, loc)?;
        let sums = self.op(TensorMatmul, &[input, w], &[], loc)?;
        let product = self.dequantize(sums, &[outs], &weights.scale, loc)?;
        if activation.offset == 0.0 {
            return Ok(product);
        }
        if let Some(bias) = self.bias(op, outs) {
            self.biases.insert(bias, weights.correction);
            return Ok(product);
        }
        let correction: Vec<f32> = weights.correction.iter().map(|&c| c as f32).collect();
        let correction = self.floats(&[outs], &correction, loc)?;
        self.op(TensorAdd, &[product, correction], &[], loc)
    }

    /// The quantised input of a site, shared by all sites of the input and exponent.
    fn input(&mut self, site: usize, x: Value) -> Result<(Value, Activation), Diagnostic> {
        let plan = self.plan;
        let alpha = self.alpha(site)?;
        let key = (x, alpha.to_bits());
        if let Some(known) = self.inputs.get(&key) {
            return Ok(known.clone());
        }
        let (mut greatest, mut ops) = (Vec::new(), Vec::new());
        for (other, data) in plan.sites.iter().enumerate() {
            let same = data.kind == Kind::Linear
                && data.roots[0].value == x
                && plan.formats[other] == Format::Int8
                && self.alpha(other)?.to_bits() == key.1;
            if !same {
                continue;
            }
            let w = data.roots[1].value;
            let maxima = self
                .numbers_of(w)
                .map(|matrix| scale::row_maxima(&matrix, self.rewriter.source().ty(w).last()));
            ops.push(data.op);
            let maxima = maxima.unwrap_or_default();
            greatest.resize(maxima.len(), 0f64);
            greatest
                .iter_mut()
                .zip(maxima)
                .for_each(|(g, m)| *g = g.max(m));
        }
        let activation = scale::activation(plan.range(site, 0)?, &greatest, alpha);
        let loc = self.rewriter.fused("int8", &ops);
        let value = self.value(x)?;
        let input = self.quantize(value, &activation.recip, activation.offset, loc)?;
        self.inputs.insert(key, (input, activation.clone()));
        Ok((input, activation))
    }

    /// The exponent of migration of a site.
    fn alpha(&self, site: usize) -> Result<f64, Diagnostic> {
        let range: &Range = match self.plan.migrate[site] {
            Migrate::Fixed(alpha) => return Ok(alpha),
            Migrate::Auto => self.plan.range(site, 0)?,
        };
        let module = self.rewriter.source();
        let shape = &module.ty(self.plan.sites[site].roots[1].value).shape;
        Ok(if scale::one_sided(range) {
            ONE_SIDED
        } else if shape[1] > shape[0] {
            WIDENING
        } else {
            PLAIN
        })
    }

    /// The addition of a constant vector that alone uses the result of an op.
    fn bias(&self, op: Op, outs: usize) -> Option<Op> {
        let module = self.rewriter.source();
        let result = module[op].results[0];
        let &[user] = &self.users[tspc_ir::Entity::index(result)][..] else {
            return None;
        };
        let data = &module[user];
        let vector = |&v: &Value| {
            let shape = self.constant_of(v).map(|(_, data)| &data.shape);
            shape.is_some_and(|s| s.last() == Some(&outs) && s.iter().product::<usize>() == outs)
        };
        let right = data.opcode == TensorAdd && data.operands.iter().any(vector);
        right.then_some(user)
    }

    /// The addition of a bias that takes up a correction: both are added in f64 and rounded once.
    pub(super) fn corrected_bias(
        &mut self,
        op: Op,
        correction: &[f64],
    ) -> Result<Value, Diagnostic> {
        let module = self.rewriter.source();
        let loc = self.rewriter.fused("offset-into-bias", &[op]);
        let mut operands = Vec::new();
        for &v in &module[op].operands {
            operands.push(match self.numbers_of(v) {
                Some(bias) => {
                    let sum = bias
                        .iter()
                        .zip(correction)
                        .map(|(&b, c)| (f64::from(b) + c) as f32);
                    let sum: Vec<f32> = sum.collect();
                    self.floats(&module.ty(v).shape, &sum, loc)?
                }
                None => self.value(v)?,
            });
        }
        self.op(TensorAdd, &operands, &[], loc)
    }
}

//! Linear sites: activations by a constant matrix.

use super::scale::{self, Activation};
use super::{Format, Quantise, TensorAdd};
use tspc_ir::Opcode::{TensorConstant, TensorMatmul};
use tspc_ir::{ConstData, Diagnostic, Op, Value};

impl Quantise<'_> {
    /// The result of a linear site, in the lanes that its layout says.
    pub(super) fn linear(&mut self, site: usize) -> Result<Value, Diagnostic> {
        let &[x, w] = &self.plan.sites[site].roots.each_ref().map(|r| r.value);
        let op = self.plan.sites[site].op;
        match self.plan.formats[site] {
            Format::Fp16 => {
                let loc = self.rewriter.fused("fp16", &[op]);
                let columns = self.layout_of(op);
                let operands = [self.half(x, loc)?, self.half_columns(w, columns, loc)?];
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
        let mut weights = scale::weights(&matrix, outs, &activation, &self.plan.layout(x));
        let columns = self.layout_of(op);
        if let Some(columns) = &columns {
            weights.elements = columns.gather(&weights.elements);
            weights.scale = columns.gather(&weights.scale);
        }
        let width = weights.scale.len();
        let data = ConstData::i8s(&[activation.recip.len(), width], &weights.elements);
        let data = data.map_err(|why| self.refuse(why, loc))?;
        let w = self
            .rewriter
            .builder
            .constant_op(TensorConstant, data, loc)?;
        let sums = self.op(TensorMatmul, &[input, w], &[], loc)?;
        let product = self.dequantize(sums, &[width], &weights.scale, loc)?;
        if activation.zero == 0.0 {
            return Ok(product);
        }
        if let Some(bias) = self.bias(op, outs) {
            self.biases.insert(bias, weights.correction);
            return Ok(product);
        }
        let mut correction: Vec<f32> = weights.correction.iter().map(|&c| c as f32).collect();
        if let Some(columns) = &columns {
            correction = columns.gather(&correction);
        }
        let correction = self.floats(&[width], &correction, loc)?;
        self.op(TensorAdd, &[product, correction], &[], loc)
    }

    /// The quantised input of a site, shared by all sites of the input and exponent.
    fn input(&mut self, site: usize, x: Value) -> Result<(Value, Activation), Diagnostic> {
        let plan = self.plan;
        let key = (x, plan.alpha(site)?.to_bits());
        if let Some(known) = self.inputs.get(&key) {
            return Ok(known.clone());
        }
        let group = plan.group(site)?;
        let ops: Vec<Op> = group.iter().map(|&s| plan.sites[s].op).collect();
        let greatest = plan.row_maxima(&group);
        let layout = plan.layout(x);
        let activation =
            scale::activation(plan.range(site, 0)?, &greatest, plan.alpha(site)?, &layout);
        let loc = self.rewriter.fused("int8", &ops);
        let value = self.wide(x)?;
        let input = self.quantize(value, &activation.recip, &activation.offsets, loc)?;
        self.inputs.insert(key, (input, activation.clone()));
        Ok((input, activation))
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
                    let (shape, sum) = match self.layout_of(op) {
                        Some(layout) => (vec![layout.lanes().len()], layout.gather(&sum)),
                        None => (module.ty(v).shape.clone(), sum),
                    };
                    self.floats(&shape, &sum, loc)?
                }
                None => self.wide(v)?,
            });
        }
        self.op(TensorAdd, &operands, &[], loc)
    }
}

//! Attention sites: products of two computed operands, and the softmax before one.

use super::scale::{LIMIT, symmetric};
use super::{Format, Quantise};
use tspc_ir::Opcode::{TensorCast, TensorDiv, TensorExp, TensorMatmul, TensorReduce, TensorSub};
use tspc_ir::{Attr, Diagnostic, Elem, Entity, Loc, Op, Opcode, Value};

/// A quantised operand with the scale of each head, or one scale.
type Scaled = (Value, Vec<f32>);

impl Quantise<'_> {
    /// The result of an attention site.
    pub(super) fn attention(&mut self, site: usize) -> Result<Value, Diagnostic> {
        let op = self.plan.sites[site].op;
        let softmax = self.softmax(op);
        match self.plan.formats[site] {
            Format::Fp16 => {
                let loc = self.rewriter.fused("fp16", &[op]);
                let Some(e) = softmax else {
                    let a = self.half_operand(site, 0, loc)?;
                    let b = self.half_operand(site, 1, loc)?;
                    return self.op(TensorMatmul, &[a, b], &[], loc);
                };
                let (a, b) = (self.half(e, loc)?, self.half_operand(site, 1, loc)?);
                let product = self.op(TensorMatmul, &[a, b], &[], loc)?;
                let rounded = self.op(TensorCast, &[a], &[("elem", Attr::Elem(Elem::F32))], loc)?;
                self.divided(product, rounded, loc)
            }
            Format::Int8 => {
                let loc = self.rewriter.fused("int8", &[op]);
                let Some(e) = softmax else {
                    let a = self.byte_operand(site, 0, loc)?;
                    let b = self.byte_operand(site, 1, loc)?;
                    return self.scaled(a, b, loc);
                };
                let e = self.value(e)?;
                let a = self.quantize(e, &[LIMIT as f32], &[0.0], loc)?;
                let step = vec![symmetric(1.0)];
                let rounded = self.dequantize(a, &[1], &step, loc)?;
                let b = self.byte_operand(site, 1, loc)?;
                let product = self.scaled((a, step), b, loc)?;
                self.divided(product, rounded, loc)
            }
        }
    }

    /// e, if the left operand of a product is e / Σe for e = exp(x − max x), and has no other use. Then e is in
    /// 0…1 with a 1 in every row: it needs no range, and its sums are at least 1 in every format.
    fn softmax(&self, op: Op) -> Option<Value> {
        let module = self.rewriter.source();
        let defines = |v: Value, opcode: Opcode| {
            let op = module.def_op(v)?;
            (module[op].opcode == opcode).then(|| &module[op].operands[..])
        };
        let reduces = |v: Value, kind: &str| {
            let attrs = &module[module.def_op(v)?].attrs;
            let &[x] = defines(v, TensorReduce)? else {
                return None;
            };
            let last = attrs.size("axis") == Ok(module.ty(x).rank() - 1);
            (last && attrs.sym("kind") == Ok(kind)).then_some(x)
        };
        let p = module[op].operands[0];
        let &[e, sum] = defines(p, TensorDiv)? else {
            return None;
        };
        let &[shifted] = defines(e, TensorExp)? else {
            return None;
        };
        let &[x, most] = defines(shifted, TensorSub)? else {
            return None;
        };
        let right = reduces(sum, "sum") == Some(e) && reduces(most, "max") == Some(x);
        (right && self.users[p.index()].len() == 1).then_some(e)
    }

    /// The product divided by the sums of the rounded left operand, so that the weights of a row sum to 1.
    fn divided(&mut self, product: Value, rounded: Value, loc: Loc) -> Result<Value, Diagnostic> {
        let axis = self.rewriter.builder.ty(rounded).rank() as i64 - 1;
        let attrs = [("kind", Attr::Sym("sum")), ("axis", Attr::Int(axis))];
        let sums = self.op(TensorReduce, &[rounded], &attrs, loc)?;
        self.op(TensorDiv, &[product, sums], &[], loc)
    }

    fn half_operand(&mut self, site: usize, operand: usize, loc: Loc) -> Result<Value, Diagnostic> {
        let root = &self.plan.sites[site].roots[operand];
        let half = self.half(root.value, loc)?;
        self.viewed(half, &root.views)
    }

    fn byte_operand(
        &mut self,
        site: usize,
        operand: usize,
        loc: Loc,
    ) -> Result<Scaled, Diagnostic> {
        let root = &self.plan.sites[site].roots[operand];
        let key = (root.value, root.heads);
        let (value, scales) = match self.roots.get(&key) {
            Some(known) => known.clone(),
            None => {
                let magnitudes = self.plan.range(site, operand)?.magnitudes();
                let width = magnitudes.len() / root.heads;
                let greatest = |head: &[f64]| symmetric(head.iter().copied().fold(0.0, f64::max));
                let scales: Vec<f32> = magnitudes.chunks(width.max(1)).map(greatest).collect();
                let recip = scales.iter().map(|&s| (1.0 / f64::from(s)) as f32);
                let recip: Vec<f32> = recip.flat_map(|r| std::iter::repeat_n(r, width)).collect();
                let x = self.value(root.value)?;
                let quantised = (self.quantize(x, &recip, &[0.0], loc)?, scales);
                self.roots.insert(key, quantised.clone());
                quantised
            }
        };
        Ok((self.viewed(value, &root.views)?, scales))
    }

    /// The old views over a new root.
    fn viewed(&mut self, root: Value, views: &[Op]) -> Result<Value, Diagnostic> {
        let mut value = root;
        for &view in views {
            if let Some(&known) = self.views.get(&(value, view)) {
                value = known;
                continue;
            }
            let data = &self.rewriter.source()[view];
            let (attrs, loc) = (self.rewriter.attrs(view), self.rewriter.loc(data.loc));
            let new = self.op(data.opcode, &[value], &attrs, loc)?;
            self.views.insert((value, view), new);
            value = new;
        }
        Ok(value)
    }

    /// The product of two quantised operands, in f32.
    fn scaled(&mut self, a: Scaled, b: Scaled, loc: Loc) -> Result<Value, Diagnostic> {
        let sums = self.op(TensorMatmul, &[a.0, b.0], &[], loc)?;
        let heads = a.1.len().max(b.1.len());
        let of = |scales: &[f32], head: usize| f64::from(scales[head % scales.len()]);
        let scale = (0..heads).map(|h| (of(&a.1, h) * of(&b.1, h)) as f32);
        let scale: Vec<f32> = scale.collect();
        let shape = if heads == 1 {
            vec![1]
        } else {
            vec![heads, 1, 1]
        };
        self.dequantize(sums, &shape, &scale, loc)
    }
}

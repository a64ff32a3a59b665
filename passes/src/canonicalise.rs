//! `canonicalise`: one form for what can be written in several.
//!
//! Before and after: `tensor.*`; outputs are the same bit for bit. After: every op is needed by an output; no op
//! repeats an earlier one; no op is left that only constants reach and that is small or a view; no view is followed
//! by one of its kind or changes nothing. It knows views (reshape, transpose) and no other op by name, so it never
//! moves a rounding: what may, is the e-graph's.

use crate::pass::{Context, Options, PassDef};
use std::collections::BTreeMap;
use tspc_ir::Opcode::{TensorConstant, TensorReshape, TensorReturn, TensorTranspose};
use tspc_ir::eval::{Arrays, evaluate};
use tspc_ir::rewrite::without_dead_ops;
use tspc_ir::{
    Attr, Builder, ConstData, Diagnostic, Dialect, Loc, Module, Op, Opcode, Rewriter, Value,
};

/// The pass.
pub const PASS: PassDef = PassDef {
    name: "canonicalise",
    sentence: "Removes dead and repeated ops, folds constants and chains of views.",
    stage_in: Dialect::Tensor,
    stage_out: Dialect::Tensor,
    options: &[],
    run,
};

/// Results of at most this many elements are folded; views of constants always are, because they cost nothing more.
const FOLD_ELEMENTS: usize = 4096;

fn run(module: Module, _: &Context, _: &Options) -> Result<Module, Vec<Diagnostic>> {
    canonical(&module).map_err(|d| vec![d])
}

/// The canonical form of a module of `tensor.*`.
pub fn canonical(module: &Module) -> Result<Module, Diagnostic> {
    let live = without_dead_ops(module)?;
    let mut pass = Canonicalise {
        rewriter: Rewriter::new(&live),
        known: BTreeMap::new(),
    };
    for &op in live.body_ops() {
        pass.op(op)?;
    }
    // Views that were looked through and operands of folded ops.
    without_dead_ops(&pass.rewriter.finish())
}

/// What decides the result of an op; equal constants are one constant of the pool.
type Key = (Opcode, Vec<Value>, Vec<(&'static str, Attr)>);

struct Canonicalise<'m> {
    rewriter: Rewriter<'m>,
    /// Results of the ops so far.
    known: BTreeMap<Key, Value>,
}

impl Canonicalise<'_> {
    fn op(&mut self, op: Op) -> Result<(), Diagnostic> {
        let data = &self.rewriter.source()[op];
        let &[result] = &data.results[..] else {
            return self.rewriter.copy(op).map(|_| ());
        };
        let (opcode, operands) = (data.opcode, self.rewriter.operands(op)?);
        let new = match self.simpler(op, &operands)? {
            Some(value) => value,
            None => {
                let (attrs, loc) = (self.rewriter.attrs(op), self.rewriter.loc(data.loc));
                self.once(opcode, operands, attrs, loc)?
            }
        };
        self.rewriter.replace(result, new);
        Ok(())
    }

    /// The op, or the earlier one that it repeats; that one keeps its location.
    fn once(
        &mut self,
        opcode: Opcode,
        operands: Vec<Value>,
        attrs: Vec<(&'static str, Attr)>,
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        let key = (opcode, operands, attrs);
        if let Some(&value) = self.known.get(&key) {
            return Ok(value);
        }
        let value = self.rewriter.builder.one(key.0, &key.1, &key.2, loc)?;
        self.known.insert(key, value);
        Ok(value)
    }

    /// What stands for the op if a rule applies to it over its new operands.
    fn simpler(&mut self, op: Op, operands: &[Value]) -> Result<Option<Value>, Diagnostic> {
        let opcode = self.rewriter.source()[op].opcode;
        if let Some(folded) = self.folded(op, operands) {
            let loc = self.rewriter.fused("fold-constants", &[op]);
            let c = Attr::Const(self.rewriter.builder.constant(folded));
            return self
                .once(TensorConstant, Vec::new(), vec![("value", c)], loc)
                .map(Some);
        }
        match (opcode, operands) {
            (TensorReshape, &[x]) => self.reshape(op, x),
            (TensorTranspose, &[x]) => self.transpose(op, x),
            _ => Ok(None),
        }
    }

    /// A reshape of a reshape is one; one that changes nothing is none.
    fn reshape(&mut self, op: Op, x: Value) -> Result<Option<Value>, Diagnostic> {
        let source = self.rewriter.source();
        let shape = &source.ty(source[op].results[0]).shape;
        let inner = self.view(x, TensorReshape);
        let root = inner.as_ref().map_or(x, |&(_, root)| root);
        if &self.rewriter.builder.ty(root).shape == shape {
            return Ok(Some(root));
        }
        if inner.is_none() {
            return Ok(None);
        }
        let loc = self.fused("reshape-of-reshape", op, x);
        let attrs = vec![("shape", Attr::sizes(shape))];
        self.once(TensorReshape, vec![root], attrs, loc).map(Some)
    }

    /// A transpose of a transpose is one; one that changes nothing is none.
    fn transpose(&mut self, op: Op, x: Value) -> Result<Option<Value>, Diagnostic> {
        let Ok(outer) = self.rewriter.source()[op].attrs.sizes("perm") else {
            return Ok(None);
        };
        let inner = self.view(x, TensorTranspose);
        let (perm, root) = match &inner {
            Some((attrs, root)) => match attrs.sizes("perm") {
                Ok(inner) => (outer.iter().map(|&p| inner[p]).collect(), *root),
                Err(_) => return Ok(None),
            },
            None => (outer, x),
        };
        if perm.is_sorted() {
            return Ok(Some(root));
        }
        if inner.is_none() {
            return Ok(None);
        }
        let loc = self.fused("transpose-of-transpose", op, x);
        let attrs = vec![("perm", Attr::sizes(&perm))];
        self.once(TensorTranspose, vec![root], attrs, loc).map(Some)
    }

    /// The attributes and operand of the op of this opcode that gives a new value.
    fn view(&self, x: Value, opcode: Opcode) -> Option<(tspc_ir::Attrs, Value)> {
        let module = self.rewriter.builder.module();
        let data = &module[module.def_op(x)?];
        (data.opcode == opcode).then(|| (data.attrs.clone(), data.operands[0]))
    }

    /// The location of what a rule makes from an old op and the op that gives its new operand.
    fn fused(&mut self, rule: &str, op: Op, x: Value) -> Loc {
        let module = self.rewriter.builder.module();
        let inner = module.def_op(x).map(|op| module[op].loc);
        let mut parts = vec![self.rewriter.loc(self.rewriter.source()[op].loc)];
        parts.extend(inner);
        self.rewriter.builder.locs().fuse(rule, &parts)
    }

    /// The op's value, if all operands are constants and it is worth having. An op that cannot be evaluated (an
    /// overflow) stays, to fail at run time as it would have.
    fn folded(&self, op: Op, operands: &[Value]) -> Option<ConstData> {
        let data = &self.rewriter.source()[op];
        let view = matches!(data.opcode, TensorReshape | TensorTranspose);
        let elements = self.rewriter.source().ty(data.results[0]).elements();
        if operands.is_empty() || (elements > FOLD_ELEMENTS && !view) {
            return None;
        }
        let module = self.rewriter.builder.module();
        let constant = |&v: &Value| module.constant(module.def_op(v)?).cloned();
        let constants: Vec<ConstData> = operands.iter().map(constant).collect::<Option<_>>()?;
        let mut builder = Builder::new("fold");
        let loc = builder.locs().path("fold");
        let operands = constants
            .into_iter()
            .map(|c| builder.constant_op(TensorConstant, c, loc))
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        let attrs: Vec<(&str, Attr)> = data.attrs.iter().map(|(n, a)| (n, a.clone())).collect();
        let value = builder.one(data.opcode, &operands, &attrs, loc).ok()?;
        let names = [("names", Attr::Strs(vec!["value".into()]))];
        builder.build(TensorReturn, &[value], &names, loc).ok()?;
        let outputs = evaluate(&builder.finish(), &Arrays::new()).ok()?;
        outputs.get("value")?.to_const().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tspc_ir::text::{parse, print_without_locations};

    fn read(lines: &str) -> Module {
        let text = format!("module @m(%0 \"x\": tensor<2x6xf32>) {{\n{lines}}}\n");
        parse("c", &text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
    }

    /// The ops of the canonical form, without the return; the form is its own canonical form.
    fn ops(lines: &str) -> Vec<String> {
        let module = canonical(&read(lines)).unwrap_or_else(|d| panic!("{d}"));
        assert_eq!(canonical(&module).unwrap(), module);
        let text = print_without_locations(&module);
        let lines: Vec<String> = text.lines().map(|l| l.trim().to_string()).collect();
        lines[1..lines.len() - 2].to_vec()
    }

    #[test]
    fn dead_ops_go() {
        let left = ops("%1 = tensor.exp(%0) : tensor<2x6xf32>
            %2 = tensor.neg(%0) : tensor<2x6xf32>
            tensor.return(%2) {names = [\"y\"]}\n");
        assert_eq!(left, ["%1 = tensor.neg(%0) : tensor<2x6xf32>"]);
    }

    #[test]
    fn repeated_ops_and_equal_constants_are_one() {
        let left = ops(
            "%1 = tensor.constant() {value = dense<1xf32>[2.0]} : tensor<1xf32>
            %2 = tensor.constant() {value = dense<1xf32>[2.0]} : tensor<1xf32>
            %3 = tensor.mul(%0, %1) : tensor<2x6xf32>
            %4 = tensor.mul(%0, %2) : tensor<2x6xf32>
            %5 = tensor.mul(%2, %0) : tensor<2x6xf32>
            %6 = tensor.add(%3, %4) : tensor<2x6xf32>
            %7 = tensor.add(%6, %5) : tensor<2x6xf32>
            tensor.return(%7) {names = [\"y\"]}\n",
        );
        assert_eq!(
            left,
            [
                "%1 = tensor.constant() {value = dense<1xf32>[2.0]} : tensor<1xf32>",
                "%2 = tensor.mul(%0, %1) : tensor<2x6xf32>",
                "%3 = tensor.mul(%1, %0) : tensor<2x6xf32>",
                "%4 = tensor.add(%2, %2) : tensor<2x6xf32>",
                "%5 = tensor.add(%4, %3) : tensor<2x6xf32>",
            ]
        );
    }

    #[test]
    fn ops_of_equal_operands_but_other_attributes_stay() {
        let left = ops(
            "%1 = tensor.reduce(%0) {kind = sum, axis = 1} : tensor<2x1xf32>
            %2 = tensor.reduce(%0) {kind = max, axis = 1} : tensor<2x1xf32>
            %3 = tensor.add(%1, %2) : tensor<2x1xf32>
            tensor.return(%3) {names = [\"y\"]}\n",
        );
        assert_eq!(left.len(), 3);
    }

    #[test]
    fn small_ops_on_constants_are_folded() {
        let left = ops(
            "%1 = tensor.constant() {value = dense<2xf32>[2.0, 9.0]} : tensor<2xf32>
            %2 = tensor.sqrt(%1) : tensor<2xf32>
            %3 = tensor.add(%2, %1) : tensor<2xf32>
            %4 = tensor.reshape(%3) {shape = [2, 1]} : tensor<2x1xf32>
            %5 = tensor.mul(%0, %4) : tensor<2x6xf32>
            tensor.return(%5) {names = [\"y\"]}\n",
        );
        assert_eq!(
            left[0],
            "%1 = tensor.constant() {value = dense<2x1xf32>[3.4142137, 12.0]} : tensor<2x1xf32>"
        );
        assert_eq!(left.len(), 2);
    }

    /// What is left of an op on a constant beyond the limit.
    fn on_a_large_constant(opcode: Opcode, attrs: &[(&str, Attr)]) -> Vec<Opcode> {
        let mut b = Builder::new("m");
        let loc = b.locs().path("m");
        let values: Vec<f32> = (0..=FOLD_ELEMENTS).map(|i| i as f32).collect();
        let data = ConstData::f32s(&[1, values.len()], &values).unwrap();
        let c = b.constant_op(TensorConstant, data, loc).unwrap();
        let y = b.one(opcode, &[c], attrs, loc).unwrap();
        let names = [("names", Attr::Strs(vec!["y".into()]))];
        b.build(TensorReturn, &[y], &names, loc).unwrap();
        let module = b.finish();
        let new = canonical(&module).unwrap();
        let none = Arrays::new();
        assert_eq!(evaluate(&new, &none), evaluate(&module, &none));
        new.ops().map(|(_, data)| data.opcode).collect()
    }

    #[test]
    fn large_ops_on_constants_stay_but_views_and_sums_are_folded() {
        let left = on_a_large_constant(Opcode::TensorNeg, &[]);
        assert_eq!(left, [TensorConstant, Opcode::TensorNeg, TensorReturn]);
        let left = on_a_large_constant(TensorTranspose, &[("perm", Attr::sizes(&[1, 0]))]);
        assert_eq!(left, [TensorConstant, TensorReturn]);
        let sum = [("kind", Attr::Sym("sum")), ("axis", Attr::Int(1))];
        let left = on_a_large_constant(Opcode::TensorReduce, &sum);
        assert_eq!(left, [TensorConstant, TensorReturn]);
    }

    #[test]
    fn overflow_is_not_folded() {
        let left = ops(
            "%1 = tensor.constant() {value = dense<1xi32>[2147483647]} : tensor<1xi32>
            %2 = tensor.add(%1, %1) : tensor<1xi32>
            tensor.return(%2) {names = [\"y\"]}\n",
        );
        assert_eq!(left.len(), 2);
    }

    #[test]
    fn chains_of_reshapes_are_one_or_none() {
        let left = ops("%1 = tensor.reshape(%0) {shape = [3, 4]} : tensor<3x4xf32>
            %2 = tensor.reshape(%1) {shape = [12]} : tensor<12xf32>
            %3 = tensor.reshape(%2) {shape = [2, 6]} : tensor<2x6xf32>
            %4 = tensor.reshape(%0) {shape = [2, 6]} : tensor<2x6xf32>
            %5 = tensor.add(%3, %4) : tensor<2x6xf32>
            tensor.return(%2, %5) {names = [\"y\", \"z\"]}\n");
        assert_eq!(
            left,
            [
                "%1 = tensor.reshape(%0) {shape = [12]} : tensor<12xf32>",
                "%2 = tensor.add(%0, %0) : tensor<2x6xf32>"
            ]
        );
    }

    #[test]
    fn chains_of_transposes_are_one_or_none() {
        let left = ops(
            "%1 = tensor.reshape(%0) {shape = [2, 3, 2]} : tensor<2x3x2xf32>
            %2 = tensor.transpose(%1) {perm = [1, 2, 0]} : tensor<3x2x2xf32>
            %3 = tensor.transpose(%2) {perm = [1, 2, 0]} : tensor<2x2x3xf32>
            %4 = tensor.transpose(%2) {perm = [2, 0, 1]} : tensor<2x3x2xf32>
            %5 = tensor.transpose(%0) {perm = [0, 1]} : tensor<2x6xf32>
            tensor.return(%3, %4, %5) {names = [\"y\", \"z\", \"w\"]}\n",
        );
        assert_eq!(
            left,
            [
                "%1 = tensor.reshape(%0) {shape = [2, 3, 2]} : tensor<2x3x2xf32>",
                "%2 = tensor.transpose(%1) {perm = [2, 0, 1]} : tensor<2x2x3xf32>"
            ]
        );
    }

    #[test]
    fn rules_are_named_in_locations() {
        let module = canonical(&read(
            "%1 = tensor.reshape(%0) {shape = [3, 4]} : tensor<3x4xf32> loc(\"a\")
            %2 = tensor.reshape(%1) {shape = [12]} : tensor<12xf32> loc(\"b\")
            tensor.return(%2) {names = [\"y\"]}\n",
        ))
        .unwrap();
        let loc = module[module.body_ops()[0]].loc;
        assert_eq!(module.locs().describe(loc), "b + a (reshape-of-reshape)");
    }
}

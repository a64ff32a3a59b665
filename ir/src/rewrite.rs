//! Copying a module with changes: how passes on one dialect remove, replace and insert ops.
//!
//! The pass walks the old body, and for each op either copies it or maps its results to new values. Constants and
//! locations are carried over as they are used; a fused location names the rule of the pass.

use crate::attr::Attr;
use crate::builder::Builder;
use crate::diag::{Diagnostic, Place};
use crate::entity::{Entity, Loc, Op, Value};
use crate::module::Module;
use std::collections::BTreeMap;

/// A module in the making, made from another.
#[derive(Debug)]
pub struct Rewriter<'m> {
    source: &'m Module,
    /// The new module.
    pub builder: Builder,
    values: BTreeMap<Value, Value>,
    locs: BTreeMap<Loc, Loc>,
}

impl<'m> Rewriter<'m> {
    /// An empty copy: the inputs of `source` and nothing else.
    pub fn new(source: &'m Module) -> Rewriter<'m> {
        let mut builder = Builder::new(source.name.clone());
        let inputs = source
            .inputs()
            .map(|(name, v)| (v, builder.input(name, source.ty(v).clone())));
        let values = inputs.collect();
        Rewriter {
            source,
            builder,
            values,
            locs: BTreeMap::new(),
        }
    }

    /// The module that is copied.
    pub fn source(&self) -> &'m Module {
        self.source
    }

    /// What stands for an old value.
    pub fn value(&self, old: Value) -> Result<Value, Diagnostic> {
        let at = || Place::named(format!("@{}", self.source.name));
        self.values
            .get(&old)
            .copied()
            .ok_or_else(|| Diagnostic::new(format!("{old} has no copy"), at()))
    }

    /// What stands for the operands of an old op.
    pub fn operands(&self, op: Op) -> Result<Vec<Value>, Diagnostic> {
        self.source[op]
            .operands
            .iter()
            .map(|&v| self.value(v))
            .collect()
    }

    /// From now on `new` stands for `old`.
    pub fn replace(&mut self, old: Value, new: Value) {
        self.values.insert(old, new);
    }

    /// The copy of an old location.
    pub fn loc(&mut self, old: Loc) -> Loc {
        if let Some(&new) = self.locs.get(&old) {
            return new;
        }
        let new = self.builder.locs().copy(self.source.locs(), old);
        self.locs.insert(old, new);
        new
    }

    /// The location of a new op that `rule` makes from old ones.
    pub fn fused(&mut self, rule: &str, ops: &[Op]) -> Loc {
        let parts: Vec<Loc> = ops
            .iter()
            .map(|&op| self.loc(self.source[op].loc))
            .collect();
        self.builder.locs().fuse(rule, &parts)
    }

    /// The attributes of an old op, for the new module.
    pub fn attrs(&mut self, op: Op) -> Vec<(&'static str, Attr)> {
        let copy = |(name, value): (&'static str, &Attr)| match value {
            Attr::Const(c) => match self.builder.carry(self.source.consts(), *c) {
                Some(new) => (name, Attr::Const(new)),
                None => (name, value.clone()),
            },
            _ => (name, value.clone()),
        };
        self.source[op].attrs.iter().map(copy).collect()
    }

    /// Copies an op, with its region; its results stand for the old ones.
    pub fn copy(&mut self, op: Op) -> Result<Op, Diagnostic> {
        let (operands, loc) = (self.operands(op)?, self.loc(self.source[op].loc));
        let (data, attrs) = (&self.source[op], self.attrs(op));
        let new = match data.region {
            None => self.builder.build(data.opcode, &operands, &attrs, loc)?,
            Some(region) => {
                let (block, args) = self.builder.open_region(data.opcode, &operands, loc)?;
                self.values
                    .extend(self.source[region].args.iter().copied().zip(args));
                for &inner in &self.source[region].ops {
                    self.copy(inner)?;
                }
                self.builder.close_region(block, &operands, &attrs, loc)?
            }
        };
        let results = self.builder.module()[new].results.clone();
        self.values
            .extend(self.source[op].results.iter().copied().zip(results));
        Ok(new)
    }

    /// The new module.
    pub fn finish(self) -> Module {
        self.builder.finish()
    }
}

/// The same module without ops that no output needs, and with entities numbered in order.
pub fn without_dead_ops(source: &Module) -> Result<Module, Diagnostic> {
    let mut live = vec![false; source.values().count()];
    let mut rewriter = Rewriter::new(source);
    let mut keep = Vec::new();
    for &op in source.body_ops().iter().rev() {
        let data = &source[op];
        if data.results.is_empty() || data.results.iter().any(|v| live[v.index()]) {
            data.operands.iter().for_each(|v| live[v.index()] = true);
            keep.push(op);
        }
    }
    for op in keep.into_iter().rev() {
        rewriter.copy(op)?;
    }
    Ok(rewriter.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Opcode;
    use crate::text::{parse, print_without_locations};

    fn read(lines: &str) -> Module {
        let text = format!("module @m(%0 \"x\": stream<2x2xf32>) {{\n{lines}}}\n");
        parse("r", &text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
    }

    const TEXT: &str = r#"
        %1 = stream.transpose(%0) : stream<2x2xf32>
        %2 = stream.constant() {value = dense<1x2xf32>[1.0, 2.0]} : stream<1x2xf32>
        %3 = stream.constant() {value = dense<1x1xf32>[3.0]} : stream<1x1xf32>
        %7 = stream.pipeline(%1, %2) {
        ^bb1(%4: stream<2xf32>, %5: stream<2xf32>):
          %6 = stream.alu(%4, %5) {op = add, elem = f32} : stream<2xf32>
          stream.yield(%6)
        } : stream<2x2xf32>
        stream.return(%7) {names = ["y"]}
    "#;

    #[test]
    fn dead_ops_go_and_the_rest_stays() {
        let copy = without_dead_ops(&read(TEXT)).unwrap();
        let text = print_without_locations(&copy);
        assert!(!text.contains("[3.0]"), "{text}");
        assert!(
            text.contains("%6 = stream.pipeline(%1, %2) {\n  ^bb1(%3: "),
            "{text}"
        );
        assert_eq!(without_dead_ops(&copy).unwrap(), copy);
    }

    #[test]
    fn a_pass_replaces_ops_and_names_its_rule() {
        let source = read(TEXT);
        let mut r = Rewriter::new(&source);
        for &op in source.body_ops() {
            if source[op].opcode == Opcode::StreamTranspose {
                let loc = r.fused("drop-transpose", &[op]);
                let x = r.operands(op).unwrap()[0];
                let attrs = [("start", Attr::Int(0)), ("count", Attr::Int(2))];
                let new = r
                    .builder
                    .one(Opcode::StreamLanes, &[x], &attrs, loc)
                    .unwrap();
                r.replace(source[op].results[0], new);
            } else {
                r.copy(op).unwrap();
            }
        }
        let made = r.finish();
        let first = made.body_ops()[0];
        assert_eq!(made[first].opcode, Opcode::StreamLanes);
        assert_eq!(
            made.locs().describe(made[first].loc),
            "r:3:14 (drop-transpose)"
        );
        assert_eq!(made.body_ops().len(), source.body_ops().len());
        assert!(crate::verify::verify(&made).is_ok());
    }

    #[test]
    fn a_value_without_copy_is_an_error() {
        let source = read(TEXT);
        let mut r = Rewriter::new(&source);
        assert_eq!(
            r.copy(source.body_ops()[3]).unwrap_err().message,
            "%1 has no copy"
        );
    }
}

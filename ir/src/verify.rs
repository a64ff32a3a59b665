//! The verifier: what a well-formed module is. It re-derives everything and trusts no earlier check.
//!
//! 1. Every block belongs to the body or to exactly one op, and every op to exactly one block.
//! 2. An operand is a value that is defined earlier in the same block; a region sees nothing from outside.
//! 3. A value is defined once, by the op or block that lists it.
//! 4. The number of operands is one that the op table allows.
//! 5. Attributes are declared in the op table, of the declared kind, each once, and every required one is there.
//! 6. An op has a region if and only if the op table says so, and the region's arguments are the inferred ones.
//! 7. Result types are the inferred ones.
//! 8. An op stands where its form allows: inner ops and yields in a region, all others in the body.
//! 9. A region ends with its yield, a return ends the body, and neither stands elsewhere.
//! 10. Constants are in the pool, and their data have the size of their type.
//! 11. Every op has a location of this module's table.
//! 12. The result of `tsp.act` is taken exactly once, by `tsp.accumulate`.
//! 13. Input names differ, and there is one for each argument of the body.
//!
//! All errors are collected. Whether the module is of one dialect is the business of `stage.rs`.

use crate::attr::Attr;
use crate::builder::operand_count;
use crate::diag::{Diagnostic, Place};
use crate::entity::{Block, Entity, Op, Value};
use crate::infer;
use crate::module::{Def, Module, OpData};
use crate::ops::Opcode;
use crate::table::Form;
use crate::types::Type;

/// Checks all rules; the error lists every violation, in the order of the ops.
pub fn verify(module: &Module) -> Result<(), Vec<Diagnostic>> {
    let mut v = Verifier {
        m: module,
        errors: Vec::new(),
        owner: vec![0; module.blocks.len()],
        placed: vec![0; module.ops.len()],
    };
    v.inputs();
    v.block(module.body(), Form::Plain);
    v.ownership();
    v.sums();
    if v.errors.is_empty() {
        Ok(())
    } else {
        Err(v.errors)
    }
}

struct Verifier<'m> {
    m: &'m Module,
    errors: Vec<Diagnostic>,
    /// For each block, how often it was met; for each op likewise.
    owner: Vec<usize>,
    placed: Vec<usize>,
}

impl Verifier<'_> {
    fn error(&mut self, op: Op, message: impl Into<String>) {
        let name = self.m.ops.get(op).map_or("op", |d| d.opcode.def().name);
        let message = format!("{name}: {}", message.into());
        self.errors.push(Diagnostic::new(message, self.m.place(op)));
    }

    fn module_error(&mut self, message: impl Into<String>) {
        self.errors.push(Diagnostic::new(
            message,
            Place::named(format!("@{}", self.m.name)),
        ));
    }

    fn inputs(&mut self) {
        let names = &self.m.input_names;
        if names.len() != self.m[self.m.body()].args.len() {
            self.module_error("inputs and their names differ in number");
        }
        for i in 1..names.len() {
            if names[..i].contains(&names[i]) {
                self.module_error(format!("input {:?} is given twice", names[i]));
            }
        }
    }

    /// Checks a block that is the body (`Plain`) or the region of an op (`Inner`).
    fn block(&mut self, block: Block, form: Form) {
        let Some(data) = self.m.blocks.get(block) else {
            return;
        };
        match self.owner.get_mut(block.index()) {
            Some(count) => *count += 1,
            None => return,
        }
        if self.owner[block.index()] > 1 {
            return;
        }
        let mut visible = vec![false; self.m.values.len()];
        for (i, &arg) in data.args.iter().enumerate() {
            if !self.define(arg, Def::Arg(block, i), &mut visible) {
                self.module_error(format!("argument {arg} of {block} has another definition"));
            }
        }
        for (i, &op) in data.ops.iter().enumerate() {
            let Some(d) = self.m.ops.get(op) else {
                self.module_error(format!("{block} lists {op}, which does not exist"));
                continue;
            };
            self.placed[op.index()] += 1;
            self.form(op, d, form, i + 1 == data.ops.len());
            self.op(op, d, &mut visible);
        }
        let last = data.ops.last().and_then(|&op| self.m.ops.get(op));
        if form == Form::Inner && last.is_none_or(|d| d.opcode.def().form != Form::Yield) {
            self.module_error(format!("{block} does not end with its yield"));
        }
    }

    fn define(&self, value: Value, def: Def, visible: &mut [bool]) -> bool {
        let right = self.m.values.get(value).is_some_and(|d| d.def == def);
        match visible.get_mut(value.index()) {
            Some(seen) if right && !*seen => {
                *seen = true;
                true
            }
            _ => false,
        }
    }

    fn form(&mut self, op: Op, data: &OpData, block: Form, last: bool) {
        let form = data.opcode.def().form;
        let inner = matches!(form, Form::Inner | Form::Yield);
        if inner != (block == Form::Inner) {
            self.error(
                op,
                if inner {
                    "may only stand in a region"
                } else {
                    "may not stand in a region"
                },
            );
        }
        if matches!(form, Form::Return | Form::Yield) && !last {
            self.error(op, "does not end its block");
        }
    }

    fn op(&mut self, op: Op, data: &OpData, visible: &mut [bool]) {
        let def = data.opcode.def();
        if let Err(why) = operand_count(data.opcode, data.operands.len()) {
            self.error(op, why);
        }
        let unseen = |v: &&Value| !visible.get(v.index()).copied().unwrap_or(false);
        for v in data.operands.iter().filter(unseen) {
            self.error(op, format!("{v} is not defined before its use"));
        }
        self.attrs(op, data);
        if self.m.locs.get(data.loc).is_none() {
            self.error(op, format!("{} is not a location of the module", data.loc));
        }
        if (def.form == Form::Region) != data.region.is_some() {
            self.error(
                op,
                if data.region.is_some() {
                    "may not have a region"
                } else {
                    "needs a region"
                },
            );
        }
        let yields = data
            .region
            .map(|block| self.region(op, data, block))
            .unwrap_or_default();
        self.types(op, data, &yields);
        for (i, &v) in data.results.iter().enumerate() {
            if !self.define(v, Def::Result(op, i), visible) {
                self.error(op, format!("{v} has another definition"));
            }
        }
    }

    fn attrs(&mut self, op: Op, data: &OpData) {
        let def = data.opcode.def();
        let mut seen = Vec::new();
        for (name, value) in data.attrs.iter() {
            match def.attr(name) {
                None => self.error(op, format!("has no attribute {name}")),
                Some((_, a)) if !value.is(a.kind) => {
                    self.error(
                        op,
                        format!("attribute {name} must be {}", a.kind.describe()),
                    );
                }
                Some(_) if seen.contains(&name) => {
                    self.error(op, format!("attribute {name} is given twice"))
                }
                Some(_) => seen.push(name),
            }
            if let Attr::Const(c) = value {
                match self.m.consts.get(*c) {
                    None => self.error(op, format!("{c} is not in the pool")),
                    Some(c) if c.data.len() != c.elements() * c.elem.bytes() => {
                        self.error(op, "the constant's data have not the size of its type");
                    }
                    Some(_) => {}
                }
            }
        }
        for a in def
            .attrs
            .iter()
            .filter(|a| a.required && !seen.contains(&a.name))
        {
            self.error(op, format!("attribute {} is missing", a.name));
        }
    }

    fn operand_types(&self, data: &OpData) -> Option<Vec<Type>> {
        data.operands
            .iter()
            .map(|&v| Some(self.m.values.get(v)?.ty.clone()))
            .collect()
    }

    /// Checks a region and returns the types of what it yields.
    fn region(&mut self, op: Op, data: &OpData, block: Block) -> Vec<Type> {
        let Some(body) = self.m.blocks.get(block) else {
            self.error(op, format!("{block} does not exist"));
            return Vec::new();
        };
        let types: Option<Vec<Type>> = body
            .args
            .iter()
            .map(|&v| Some(self.m.values.get(v)?.ty.clone()))
            .collect();
        let wanted = self
            .operand_types(data)
            .map(|types| infer::region_args(data.opcode, &types));
        if let (Some(Ok(wanted)), Some(types)) = (wanted, types)
            && wanted != types
        {
            self.error(op, format!("the arguments of {block} should be {wanted:?}"));
        }
        self.block(block, Form::Inner);
        let last = body.ops.last().and_then(|&op| self.m.ops.get(op));
        last.and_then(|d| self.operand_types(d)).unwrap_or_default()
    }

    fn types(&mut self, op: Op, data: &OpData, yields: &[Type]) {
        let Some(operands) = self.operand_types(data) else {
            return;
        };
        match infer::results(data.opcode, &operands, &data.attrs, yields, &self.m.consts) {
            Err(why) => self.error(op, why),
            Ok(types) => {
                let have: Option<Vec<Type>> = data
                    .results
                    .iter()
                    .map(|&v| Some(self.m.values.get(v)?.ty.clone()))
                    .collect();
                if have.as_ref() != Some(&types) {
                    self.error(op, format!("result types should be {types:?}"));
                }
            }
        }
    }

    fn ownership(&mut self) {
        for (block, _) in self.m.blocks.iter() {
            if self.owner[block.index()] != 1 {
                self.module_error(format!(
                    "{block} belongs to {} ops",
                    self.owner[block.index()]
                ));
            }
        }
        for (op, _) in self.m.ops.iter() {
            if self.placed[op.index()] != 1 {
                self.error(op, format!("stands in {} blocks", self.placed[op.index()]));
            }
        }
    }

    fn sums(&mut self) {
        let users = self.m.users();
        for (op, data) in self
            .m
            .ops
            .iter()
            .filter(|(_, d)| d.opcode == Opcode::TspAct)
        {
            for v in &data.results {
                let users = users.get(v.index()).map_or(&[][..], Vec::as_slice);
                let meets = |u: &Op| {
                    let user = self.m.ops.get(*u);
                    user.is_some_and(|d| {
                        d.opcode == Opcode::TspAccumulate && d.operands.first() == Some(v)
                    })
                };
                if users.len() != 1 || !users.iter().all(meets) {
                    let message = format!("{v} should meet one tsp.accumulate");
                    let mut error =
                        Diagnostic::new(format!("tsp.act: {message}"), self.m.place(op));
                    for &u in users {
                        error = error.with(self.m.place(u).label("taken here"));
                    }
                    self.errors.push(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Const, Loc};
    use crate::text::{parse, print};
    use crate::types::{Elem, Kind};

    fn pipeline() -> Module {
        let text = r#"module @m(%0 "x": stream<8x4xf32>) {
            %1 = stream.rows(%0) {start = 0, count = 8, step = 1} : stream<8x4xf32>
            %5 = stream.pipeline(%1) {
            ^bb1(%2: stream<4xf32>):
              %3 = stream.alu(%2) {op = exp, elem = f32} : stream<4xf32>
              stream.yield(%3)
            } : stream<8x4xf32>
            stream.return(%5) {names = ["y"]}
        }"#;
        parse("v", text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
    }

    const ROWS: usize = 0;
    const ALU: usize = 1;
    const YIELD: usize = 2;
    const PIPELINE: usize = 3;
    const RETURN: usize = 4;

    /// Breaks the module and expects an error with this text; what is broken must still print.
    fn breaks(message: &str, change: impl FnOnce(&mut Module)) {
        let mut m = pipeline();
        assert_eq!(verify(&m), Ok(()));
        change(&mut m);
        let errors = verify(&m).unwrap_err();
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(
            all.iter().any(|e| e.contains(message)),
            "{message}: {}",
            all.join("\n")
        );
        assert!(!print(&m).is_empty());
    }

    fn op(m: &mut Module, i: usize) -> &mut OpData {
        m.ops.get_mut(Op::new(i)).unwrap()
    }

    fn block(m: &mut Module, i: usize) -> &mut crate::module::BlockData {
        m.blocks.get_mut(Block::new(i)).unwrap()
    }

    #[test]
    fn rule_1_blocks_and_ops_have_one_owner() {
        breaks("stands in 2 blocks", |m| {
            block(m, 0).ops.insert(0, Op::new(ROWS))
        });
        breaks("^bb1 belongs to 0 ops", |m| op(m, PIPELINE).region = None);
        breaks("lists op99", |m| block(m, 0).ops.insert(0, Op::new(99)));
    }

    #[test]
    fn rule_2_operands_are_defined_before() {
        breaks("stream.pipeline: %1 is not defined before its use", |m| {
            block(m, 0).ops.swap(0, 1)
        });
        breaks("stream.alu: %1 is not defined before its use", |m| {
            op(m, ALU).operands[0] = Value::new(1)
        });
        breaks("%77 is not defined", |m| {
            op(m, ALU).operands[0] = Value::new(77)
        });
    }

    #[test]
    fn rule_3_values_are_defined_once() {
        breaks("stream.rows: %0 has another definition", |m| {
            op(m, ROWS).results[0] = Value::new(0)
        });
        breaks("argument %1 of ^bb1 has another definition", |m| {
            block(m, 1).args[0] = Value::new(1)
        });
    }

    #[test]
    fn rule_4_operand_counts() {
        breaks("takes 1 operands, has 0", |m| op(m, ROWS).operands.clear());
    }

    #[test]
    fn rule_5_attributes_are_declared() {
        breaks("has no attribute axis", |m| {
            op(m, ROWS).attrs.0.push(("axis", Attr::Int(1)))
        });
        breaks("attribute start must be integer", |m| {
            op(m, ROWS).attrs.0[0].1 = Attr::Bool(true)
        });
        breaks("attribute start is given twice", |m| {
            op(m, ROWS).attrs.0.push(("start", Attr::Int(0)))
        });
        breaks("attribute start is missing", |m| {
            drop(op(m, ROWS).attrs.0.remove(0))
        });
    }

    #[test]
    fn rule_6_regions() {
        breaks("needs a region", |m| op(m, PIPELINE).region = None);
        breaks("may not have a region", |m| {
            op(m, ROWS).region = Some(Block::new(1))
        });
        breaks("^bb9 does not exist", |m| {
            op(m, PIPELINE).region = Some(Block::new(9))
        });
        breaks("the arguments of ^bb1 should be [stream<4xf32>]", |m| {
            block(m, 1).args.clear()
        });
    }

    #[test]
    fn rule_7_result_types() {
        breaks("result types should be [stream<8x4xf32>]", |m| {
            m.values.get_mut(Value::new(1)).unwrap().ty =
                Type::new(Kind::Stream, [7, 4], Elem::F32).unwrap();
        });
        breaks("should be below 8", |m| {
            op(m, ROWS).attrs.0[0].1 = Attr::Int(8)
        });
    }

    #[test]
    fn rule_8_ops_stand_where_they_may() {
        breaks("stream.rows: may not stand in a region", |m| {
            block(m, 0).ops.remove(0);
            block(m, 1).ops.insert(0, Op::new(ROWS));
        });
        breaks("stream.alu: may only stand in a region", |m| {
            block(m, 1).ops.remove(0);
            block(m, 0).ops.insert(0, Op::new(ALU));
        });
    }

    #[test]
    fn rule_9_terminators() {
        breaks("^bb1 does not end with its yield", |m| {
            block(m, 1).ops.truncate(1)
        });
        breaks("stream.yield: does not end its block", |m| {
            block(m, 1).ops.swap(0, 1)
        });
        breaks("stream.return: does not end its block", |m| {
            block(m, 0).ops.rotate_right(1)
        });
        assert_eq!((YIELD, RETURN), (2, 4));
    }

    #[test]
    fn rule_10_constants() {
        breaks("const7 is not in the pool", |m| {
            let data = op(m, ROWS);
            data.opcode = Opcode::StreamConstant;
            data.attrs.0 = vec![("value", Attr::Const(Const::new(7)))];
        });
        breaks("the constant's data have not the size of its type", |m| {
            let good = crate::constant::ConstData::i8s(&[1, 1], &[1]).unwrap();
            let bad = crate::constant::ConstData {
                shape: vec![2, 1],
                ..good
            };
            let c = m.consts.add(bad);
            let data = op(m, ROWS);
            data.opcode = Opcode::StreamConstant;
            data.attrs.0 = vec![("value", Attr::Const(c))];
        });
    }

    #[test]
    fn rule_11_locations() {
        breaks("#loc99 is not a location", |m| {
            op(m, ROWS).loc = Loc::new(99)
        });
    }

    #[test]
    fn rule_12_sums_meet_one_accumulate() {
        let lines = crate::ops::prelude(crate::Dialect::Tsp)
            .split_once('\n')
            .unwrap()
            .1;
        let text = |more: &str| format!("module @m() {{\n{lines}{more}}}");
        let errors = |more: &str| {
            let m = parse("v", &text(more), &Default::default()).unwrap_or_else(|d| panic!("{d}"));
            verify(&m).map_err(|e| e.iter().map(ToString::to_string).collect::<String>())
        };
        let once = "%5 = tsp.accumulate(%4) : seq<20xi32>\n";
        assert_eq!(errors(once), Ok(()));
        assert!(
            errors("")
                .unwrap_err()
                .contains("tsp.act: %4 should meet one tsp.accumulate")
        );
        let twice = format!("{once}%6 = tsp.accumulate(%5, %4) : seq<20xi32>\n");
        assert!(errors(&twice).unwrap_err().contains("taken here"));
        let other = "%5 = tsp.alu(%4) {op = neg, elem = i32} : seq<20xi32>\n";
        assert!(errors(other).is_err());
    }

    #[test]
    fn rule_13_inputs_have_different_names() {
        breaks("inputs and their names differ in number", |m| {
            m.input_names.clear()
        });
        breaks("input \"x\" is given twice", |m| {
            m.input_names.push("x".into());
            let ty = Type::new(Kind::Stream, [1, 1], Elem::F32).unwrap();
            let arg = m.values.push(crate::module::ValueData {
                ty,
                def: Def::Arg(m.body(), 1),
            });
            block(m, 0).args.push(arg);
        });
    }

    #[test]
    fn all_errors_are_collected() {
        let mut m = pipeline();
        op(&mut m, ROWS).loc = Loc::new(99);
        op(&mut m, ALU).attrs.0.clear();
        assert!(verify(&m).unwrap_err().len() >= 2);
    }
}

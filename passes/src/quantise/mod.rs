//! `quantise`: every product of f32 becomes one of int8 or of fp16.
//!
//! Before: canonical `tensor.*`. After: `tensor.*` in which both operands of every product are i8 or f16; what was
//! between products is untouched, except that a bias takes up the correction of an offset, and that the division
//! of a softmax moves behind the product that uses it. The forms, for x of the product y = x·W or y = a·b:
//!
//! | site | operands | result |
//! |---|---|---|
//! | linear int8 | `quantize(x, r[in], o[1 or in])`, shared by all products of x; W i8 | `dequantize(acc, s[out])`, then the correction unless a bias has it |
//! | linear fp16 | `cast(x)`; W f16 | the product |
//! | attention int8 | `quantize(root, r[channels], [0])`, then the views | `dequantize(acc, s)`, s per head `[heads, 1, 1]` or `[1]` |
//! | attention fp16 | `cast(root)`, then the views | the product |
//! | softmax by v | e = exp(x − max) as `quantize(e, [127], [0])` or `cast(e)` | the result as above, divided by the row sums of the *rounded* e |
//!
//! Where a site is int8, values that are normalised become `bounded(x, energy)`: x, with what calibration saw of it.
//!
//! Scales are static, from [`Ranges`]. Outlier channels of linear int8 operands take several lanes (`split.rs`): such an
//! operand, and what it is made of lane by lane, has further lanes behind its channels; all else takes the first ones.
//! What it may not know: which model it is; of the machine more than the lanes of a vector.

mod attention;
mod linear;
mod plan;
mod ranges;
mod scale;
mod site;
mod split;
mod statistics;
mod widen;

pub use ranges::{Range, Ranges};
pub use site::{Kind, PerSite, Root, Site, sites};

use crate::pass::{Context, OptionDef, Options, PassDef};
use plan::Plan;
use split::{Layouts, Room};
use std::collections::BTreeMap;
use std::str::FromStr;
use tspc_ir::Opcode::{TensorAdd, TensorCast, TensorConstant};
use tspc_ir::eval::Data;
use tspc_ir::rewrite::without_dead_ops;
use tspc_ir::{
    Attr, ConstData, Diagnostic, Dialect, Elem, Loc, Module, Op, Opcode, Place, Rewriter, Value,
};

/// The pass.
pub const PASS: PassDef = PassDef {
    name: "quantise",
    sentence: "Makes every product one of int8, with static scales, or of fp16.",
    stage_in: Dialect::Tensor,
    stage_out: Dialect::Tensor,
    options: &[
        OptionDef {
            name: "precision",
            sentence: "int8 or fp16, then SITE=int8 or SITE=fp16, separated by commas; a site is attention, linear \
                       or part of a path.",
        },
        OptionDef {
            name: "migrate",
            sentence: "How far scales of int8 activations migrate into weights: auto or 0 to 1, then SITE=…, as \
                       precision.",
        },
        OptionDef {
            name: "split",
            sentence: "Which lanes outlier channels of int8 activations are split into: spare, those that pad the \
                       last vector, or none.",
        },
    ],
    run,
};

/// What a product multiplies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Format {
    /// Bytes, summed in i32.
    Int8,
    /// Half precision, summed in f32.
    Fp16,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "int8" => Ok(Format::Int8),
            "fp16" => Ok(Format::Fp16),
            _ => Err(format!("{text:?} should be int8 or fp16")),
        }
    }
}

/// The format of every product: `int8`, `int8,attention=fp16`, `int8,output.dense=fp16`.
pub type Precision = PerSite<Format>;

/// The exponent of migration.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Migrate {
    /// By the structure of the site, see `linear.rs`.
    Auto,
    /// This one.
    Fixed(f64),
}

impl FromStr for Migrate {
    type Err = String;

    fn from_str(text: &str) -> Result<Migrate, String> {
        match text.parse::<f64>() {
            Ok(alpha) if (0.0..=1.0).contains(&alpha) => Ok(Migrate::Fixed(alpha)),
            _ if text == "auto" => Ok(Migrate::Auto),
            _ => Err(format!("{text:?} should be auto or a number from 0 to 1")),
        }
    }
}

fn run(module: Module, context: &Context, options: &Options) -> Result<Module, Vec<Diagnostic>> {
    let all = || {
        let precision = match options.get("precision") {
            Some(text) => Precision::parse(text)?,
            None => context.precision.clone(),
        };
        let migrate = PerSite::<Migrate>::parse(options.get("migrate").unwrap_or("auto"))?;
        let split = match options.get("split") {
            None | Some("spare") => true,
            Some("none") => false,
            Some(other) => {
                let why = format!("{other:?} should be spare or none");
                return Err(Diagnostic::new(why, Place::named("split")));
            }
        };
        let sites = sites(&module);
        let mut plan = Plan {
            module: &module,
            formats: precision.resolve(&sites)?,
            migrate: migrate.resolve(&sites)?,
            ranges: context.ranges.as_ref(),
            energies: BTreeMap::new(),
            sites,
            layouts: Layouts::new(),
        };
        plan.check()?;
        if let (true, Some(ranges)) = (plan.formats.contains(&Format::Int8), plan.ranges) {
            plan.energies = statistics::energies(&module, ranges)?;
        }
        if split {
            plan.split(Room::of(&context.machine))?;
        }
        Quantise::new(&module, &plan).all()
    };
    all().map_err(|d| vec![d])
}

/// The rewriting; maps of what is shared are from old values to new ones.
struct Quantise<'m> {
    rewriter: Rewriter<'m>,
    plan: &'m Plan<'m>,
    users: Vec<Vec<Op>>,
    /// Inputs of linear sites and the exponent's bits → quantised, and how.
    inputs: BTreeMap<(Value, u64), (Value, scale::Activation)>,
    /// Values → their f16 casts.
    halves: BTreeMap<Value, Value>,
    /// Roots of attention and heads → quantised, and the scale of each head.
    roots: BTreeMap<(Value, usize), (Value, Vec<f32>)>,
    /// New operands and the old view over them → the new view.
    views: BTreeMap<(Value, Op), Value>,
    /// Split values → the new ones, in the lanes of their layouts.
    wide: BTreeMap<Value, Value>,
    /// Split values → their channels, each once.
    narrow: BTreeMap<Value, Value>,
    /// Additions of a bias that take up a correction.
    biases: BTreeMap<Op, Vec<f64>>,
}

impl<'m> Quantise<'m> {
    fn new(module: &'m Module, plan: &'m Plan<'m>) -> Quantise<'m> {
        Quantise {
            rewriter: Rewriter::new(module),
            plan,
            users: module.users(),
            inputs: BTreeMap::new(),
            halves: BTreeMap::new(),
            roots: BTreeMap::new(),
            views: BTreeMap::new(),
            wide: BTreeMap::new(),
            narrow: BTreeMap::new(),
            biases: BTreeMap::new(),
        }
    }

    fn all(mut self) -> Result<Module, Diagnostic> {
        let module = self.rewriter.source();
        let sites: BTreeMap<Op, usize> = (0..)
            .zip(&self.plan.sites)
            .map(|(i, s)| (s.op, i))
            .collect();
        for (name, input) in module.inputs() {
            // Of a split one, whose lanes the host fills, it is its channels that are bounded.
            if !self.plan.layouts.contains_key(&input) {
                let loc = self.rewriter.builder.locs().path(name);
                self.replaced(input, self.rewriter.value(input)?, loc)?;
            }
        }
        for &op in module.body_ops() {
            if module[op].opcode == TensorConstant {
                continue; // Copied when an op needs it, so that replaced weights are not.
            }
            let new = match (sites.get(&op), self.biases.remove(&op)) {
                (Some(&site), _) => match self.plan.sites[site].kind {
                    Kind::Linear => self.linear(site)?,
                    Kind::Attention => self.attention(site)?,
                },
                (None, Some(correction)) => self.corrected_bias(op, &correction)?,
                (None, None) => {
                    if let Some(layout) = self.layout_of(op) {
                        let wide = self.widened(op, &layout)?;
                        self.made(op, wide)?;
                        continue;
                    }
                    self.copied(op)?;
                    continue;
                }
            };
            self.made(op, new)?;
        }
        without_dead_ops(&self.rewriter.finish())
    }

    /// The same op on the new values.
    fn copied(&mut self, op: Op) -> Result<(), Diagnostic> {
        let data = &self.rewriter.source()[op];
        let operands = data.operands.iter().map(|&v| self.value(v));
        let operands = operands.collect::<Result<Vec<Value>, _>>()?;
        let (attrs, loc) = (self.rewriter.attrs(op), self.rewriter.loc(data.loc));
        let new = (self.rewriter.builder).build(data.opcode, &operands, &attrs, loc)?;
        let results = self.rewriter.builder.module()[new].results.clone();
        for (&old, new) in data.results.iter().zip(results) {
            self.replaced(old, new, loc)?;
        }
        Ok(())
    }

    /// The new value of an old one, channel by channel; a constant is copied when it is first asked for.
    fn value(&mut self, old: Value) -> Result<Value, Diagnostic> {
        if self.plan.layouts.contains_key(&old) {
            return self.narrow(old);
        }
        if let Some((op, _)) = self.constant_of(old)
            && self.rewriter.value(old).is_err()
        {
            self.rewriter.copy(op)?;
        }
        self.rewriter.value(old)
    }

    /// The op and data of an old constant.
    fn constant_of(&self, old: Value) -> Option<(Op, &'m ConstData)> {
        let module = self.rewriter.source();
        let op = module.def_op(old)?;
        Some((op, module.constant(op)?))
    }

    /// The fp32 numbers of an old constant.
    fn numbers_of(&self, old: Value) -> Option<Vec<f32>> {
        let (_, data) = self.constant_of(old)?;
        Some(Data::from_const(data).f32s().ok()?.to_vec())
    }

    /// An old value as f16; all that need it share one cast.
    fn half(&mut self, old: Value, loc: Loc) -> Result<Value, Diagnostic> {
        if let Some(&half) = self.halves.get(&old) {
            return Ok(half);
        }
        let half = match self.constant_of(old) {
            Some((_, data)) => {
                let half = tspc_ir::eval::Array {
                    shape: data.shape.clone(),
                    data: Data::from_const(data).convert(Elem::F16),
                };
                let data = half.to_const().map_err(|why| self.refuse(why, loc))?;
                self.rewriter
                    .builder
                    .constant_op(TensorConstant, data, loc)?
            }
            None => {
                let x = self.value(old)?;
                self.op(TensorCast, &[x], &[("elem", Attr::Elem(Elem::F16))], loc)?
            }
        };
        self.halves.insert(old, half);
        Ok(half)
    }

    fn op(
        &mut self,
        opcode: Opcode,
        operands: &[Value],
        attrs: &[(&str, Attr)],
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        self.rewriter.builder.one(opcode, operands, attrs, loc)
    }

    fn quantize(
        &mut self,
        x: Value,
        recip: &[f32],
        offsets: &[f32],
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        let recip = self.floats(&[recip.len()], recip, loc)?;
        let offset = self.floats(&[offsets.len()], offsets, loc)?;
        let attrs = [("elem", Attr::Elem(Elem::I8))];
        self.op(Opcode::TensorQuantize, &[x, recip, offset], &attrs, loc)
    }

    fn dequantize(
        &mut self,
        q: Value,
        shape: &[usize],
        scale: &[f32],
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        let scale = self.floats(shape, scale, loc)?;
        self.op(Opcode::TensorDequantize, &[q, scale], &[], loc)
    }

    fn floats(&mut self, shape: &[usize], values: &[f32], loc: Loc) -> Result<Value, Diagnostic> {
        let data = ConstData::f32s(shape, values).map_err(|why| self.refuse(why, loc))?;
        self.rewriter.builder.constant_op(TensorConstant, data, loc)
    }

    fn refuse(&self, why: String, loc: Loc) -> Diagnostic {
        let locs = self.rewriter.builder.module().locs();
        Diagnostic::new(why, Place::named(locs.describe(loc)))
    }
}

#[cfg(test)]
mod tests;

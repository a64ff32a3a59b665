//! tile: from `stream.*` of any size to `stream.*` that fits the chip's vectors and planes.
//!
//! Before: values have rows and lanes, and perhaps heads in front; inputs have rows and lanes only.
//! After: values have rows and at most 320 lanes, an install has at most 320 rows, and no `stream.heads`,
//! `stream.merge` or `stream.transpose` is left; concatenations stand only before installs (rows) and outputs (lanes),
//! windows only before installs.
//! Constants and inputs may be wider, for views show their tiles. Every output keeps its bits: a layout that would round
//! elsewhere is refused (the sign of a zero apart, see `products.rs` and `transpose.rs`).
//! What it may not know: places and cycles, and why the heads were asked for.

mod constants;
pub(crate) mod cuts;
mod diagonal;
mod gather;
mod layout;
mod pipelines;
mod products;
mod transpose;
mod values;
mod views;

use crate::egraph::cost::trip;
use crate::pass::{Context, Options, PassDef};
use constants::Part;
use cuts::Cut;
use layout::Layouts;
use std::collections::BTreeMap;
use tspc_ir::{
    Attr, Diagnostic, Dialect, Entity, Kind, Loc, Module, Op, Opcode, Place, Rewriter, Type, Value,
};
use tspc_machine::Machine;
use values::{Columns, InputView, Rep};

/// The pass.
pub const PASS: PassDef = PassDef {
    name: "tile",
    sentence: "Cuts streams into vectors and products into passes that fit the chip.",
    stage_in: Dialect::Stream,
    stage_out: Dialect::Stream,
    options: &[],
    run,
};

fn run(module: Module, context: &Context, _: &Options) -> Result<Module, Vec<Diagnostic>> {
    tile(&module, &context.machine).map_err(|d| vec![d])
}

/// Tiles a module for a machine. The error names the op that cannot be tiled, or two that ask for different layouts.
pub fn tile(source: &Module, machine: &Machine) -> Result<Module, Diagnostic> {
    check_ranks(source)?;
    let limits = Limits::new(machine);
    let mut tiler = Tiler {
        source,
        layouts: Layouts::new(source, &limits)?,
        limits,
        rewriter: Rewriter::new(source),
        reps: BTreeMap::new(),
        parts: BTreeMap::new(),
        there: BTreeMap::new(),
        at: Op::new(0),
    };
    for (_, old) in source.inputs() {
        let columns = Columns::Run(Cut::new(0, source.ty(old).last()));
        let root = tiler.rewriter.value(old)?;
        let rows = None;
        tiler.reps.insert(
            old,
            Rep::Input(InputView {
                root,
                columns,
                rows,
            }),
        );
    }
    for &op in source.body_ops() {
        tiler.op(op)?;
    }
    Ok(tiler.rewriter.finish())
}

/// Whether the tiles of a module will begin wherever its views of lanes do.
pub(crate) fn fits(module: &Module, machine: &Machine) -> bool {
    let layouts = Layouts::new(module, &Limits::new(machine));
    layouts.is_ok_and(|l| l.met(module))
}

/// The sizes of the chip that decide tiles.
pub(crate) struct Limits {
    /// Of a vector.
    lanes: usize,
    /// Weight columns of a group, i8 and f16.
    group_i8: usize,
    group_f16: usize,
    /// K lanes that one fp16 sum takes.
    k_f16: usize,
    /// Cycles that a sum is on its way to memory.
    trip: usize,
}

impl Limits {
    fn new(machine: &Machine) -> Limits {
        let lanes = (machine.superlanes * machine.lanes_per_superlane) as usize;
        Limits {
            lanes,
            group_i8: lanes / machine.mxm_groups_i8 as usize,
            group_f16: lanes / machine.mxm_groups_f16 as usize,
            k_f16: machine.mxm_k_f16 as usize,
            trip: trip(machine) as usize,
        }
    }
}

/// An op that was made before: opcode, operands, attributes.
type Made = (Opcode, Vec<Value>, Vec<(&'static str, Attr)>);

/// A tiled module in the making.
struct Tiler<'m> {
    source: &'m Module,
    layouts: Layouts,
    limits: Limits,
    rewriter: Rewriter<'m>,
    /// What stands for each old value so far.
    reps: BTreeMap<Value, Rep>,
    /// Parts of old constants as new values.
    parts: BTreeMap<(Value, Part), Value>,
    /// Constants, views and installs, each made once.
    there: BTreeMap<Made, Value>,
    /// The old op that is being tiled.
    at: Op,
}

impl Tiler<'_> {
    fn op(&mut self, op: Op) -> Result<(), Diagnostic> {
        self.at = op;
        let data = &self.source[op];
        if let Some(folded) = self.fold(op)? {
            self.reps.insert(data.results[0], Rep::Constant(folded));
            return Ok(());
        }
        let rep = match data.opcode {
            Opcode::StreamConstant => {
                let constant = self.source.constant(op).cloned();
                Rep::Constant(
                    constant.ok_or_else(|| self.refuse("the constant is not in the pool"))?,
                )
            }
            Opcode::StreamRows => self.rows_view(op)?,
            Opcode::StreamLanes => self.lanes_view(op)?,
            Opcode::StreamGather => self.gather_view(op)?,
            Opcode::StreamBroadcast => self.broadcast_view(op)?,
            Opcode::StreamByte => self.byte_view(op)?,
            Opcode::StreamHeads | Opcode::StreamMerge => self.heads_view(op)?,
            Opcode::StreamConcat => self.concat_view(op)?,
            Opcode::StreamTranspose => self.transpose(op)?,
            Opcode::StreamPass => self.pass(op)?,
            Opcode::StreamPipeline => {
                let reps = self.pipeline(op)?;
                self.reps.extend(data.results.iter().copied().zip(reps));
                return Ok(());
            }
            // Each pass installs the tiles that it needs.
            Opcode::StreamInstall => return Ok(()),
            Opcode::StreamReturn => return self.outputs(op),
            _ => return Err(self.refuse("expected an op of untiled stream.*")),
        };
        self.reps.insert(data.results[0], rep);
        Ok(())
    }

    /// An op with one result, made once for equal operands and attributes.
    fn shared(
        &mut self,
        opcode: Opcode,
        operands: &[Value],
        attrs: &[(&'static str, Attr)],
    ) -> Result<Value, Diagnostic> {
        let key = (opcode, operands.to_vec(), attrs.to_vec());
        if let Some(&value) = self.there.get(&key) {
            return Ok(value);
        }
        let loc = self.loc();
        let value = self.rewriter.builder.one(opcode, operands, attrs, loc)?;
        self.there.insert(key, value);
        Ok(value)
    }

    fn loc(&mut self) -> Loc {
        self.rewriter.loc(self.source[self.at].loc)
    }

    /// The type of a new value.
    fn ty(&self, new: Value) -> &Type {
        self.rewriter.builder.ty(new)
    }

    fn int(&self, name: &str) -> Result<i64, Diagnostic> {
        self.source[self.at]
            .attrs
            .int(name)
            .map_err(|e| self.refuse(e))
    }

    fn size(&self, name: &str) -> Result<usize, Diagnostic> {
        self.source[self.at]
            .attrs
            .size(name)
            .map_err(|e| self.refuse(e))
    }

    /// An error at the op that is being tiled.
    fn refuse(&self, message: impl Into<String>) -> Diagnostic {
        let name = self.source[self.at].opcode.def().name;
        Diagnostic::new(
            format!("{name}: {}", message.into()),
            self.source.place(self.at),
        )
    }
}

/// Inputs are rows of lanes; other values may have heads in front.
fn check_ranks(source: &Module) -> Result<(), Diagnostic> {
    for (name, v) in source.inputs() {
        let ty = source.ty(v);
        if ty.kind != Kind::Stream || ty.rank() != 2 {
            let message = format!("input {name} is {ty}, expected a stream of rows and lanes");
            return Err(Diagnostic::new(
                message,
                Place::named(format!("@{}", source.name)),
            ));
        }
    }
    for &op in source.body_ops() {
        for &v in &source[op].results {
            let ty = source.ty(v);
            if !(2..=3).contains(&ty.rank()) {
                let message = format!(
                    "{v} is {ty}, expected at most one dimension of heads before rows and lanes"
                );
                return Err(Diagnostic::new(message, source.place(op)));
            }
        }
    }
    Ok(())
}

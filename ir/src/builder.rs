//! Building modules: the only way to make an op. Every op that leaves here is typed, declared and located.
//!
//! Before: operands are values of this builder. After: the op is at the end of the open block and agrees with the
//! op table and with type inference. A refused op leaves the module unchanged, but for constants and locations.

use crate::attr::{Attr, Attrs};
use crate::constant::{ConstData, ConstPool};
use crate::diag::{Diagnostic, Place};
use crate::entity::{Block, Const, Loc, Op, Value};
use crate::infer;
use crate::loc::LocTable;
use crate::module::{BlockData, Def, Module, OpData, ValueData};
use crate::ops::Opcode;
use crate::table::Form;
use crate::types::Type;

/// Appends ops to a module.
#[derive(Debug)]
pub struct Builder {
    module: Module,
    open: Option<OpenRegion>,
}

/// The one region that is being built; pipelines do not nest.
#[derive(Debug)]
struct OpenRegion {
    opcode: Opcode,
    block: Block,
}

impl Builder {
    /// An empty module.
    pub fn new(name: impl Into<String>) -> Builder {
        Builder {
            module: Module::new(name),
            open: None,
        }
    }

    /// Names the module anew.
    pub fn rename(&mut self, name: impl Into<String>) {
        self.module.name = name.into();
    }

    /// Adds an input.
    pub fn input(&mut self, name: impl Into<String>, ty: Type) -> Value {
        self.module.input_names.push(name.into());
        self.arg(self.module.body(), ty)
    }

    /// The module so far.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// Locations, to enter more.
    pub fn locs(&mut self) -> &mut LocTable {
        &mut self.module.locs
    }

    /// Enters a constant into the pool.
    pub fn constant(&mut self, data: ConstData) -> Const {
        self.module.consts.add(data)
    }

    /// Enters a constant of another pool, without hashing it again; `None` if that pool has no such constant.
    pub fn carry(&mut self, from: &ConstPool, c: Const) -> Option<Const> {
        self.module.consts.carry(from, c)
    }

    /// The type of a value. Panics for a value of another module.
    pub fn ty(&self, value: Value) -> &Type {
        self.module.ty(value)
    }

    /// The finished module.
    pub fn finish(self) -> Module {
        self.module
    }

    /// Appends an op and infers its result types.
    pub fn build(
        &mut self,
        opcode: Opcode,
        operands: &[Value],
        attrs: &[(&str, Attr)],
        loc: Loc,
    ) -> Result<Op, Diagnostic> {
        if opcode.def().form == Form::Region {
            return Err(self.refuse(opcode, operands, loc, "the op needs a region"));
        }
        self.append(opcode, operands, attrs, None, loc)
    }

    /// Appends an op with exactly one result and returns it.
    pub fn one(
        &mut self,
        opcode: Opcode,
        operands: &[Value],
        attrs: &[(&str, Attr)],
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        let op = self.build(opcode, operands, attrs, loc)?;
        match self.module[op].results[..] {
            [value] => Ok(value),
            _ => Err(self.refuse(opcode, operands, loc, "the op has not exactly one result")),
        }
    }

    /// Appends a constant op of this opcode.
    pub fn constant_op(
        &mut self,
        opcode: Opcode,
        data: ConstData,
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        let c = self.constant(data);
        self.one(opcode, &[], &[("value", Attr::Const(c))], loc)
    }

    /// Appends a pipeline: `body` gets one row of every input and returns one row of every result.
    pub fn pipeline(
        &mut self,
        inputs: &[Value],
        loc: Loc,
        body: impl FnOnce(&mut Builder, &[Value]) -> Result<Vec<Value>, Diagnostic>,
    ) -> Result<Vec<Value>, Diagnostic> {
        let before = (
            self.module.values.len(),
            self.module.ops.len(),
            self.module.blocks.len(),
        );
        let built = self.pipeline_op(inputs, loc, body);
        if built.is_err() {
            self.open = None;
            self.module.values.truncate(before.0);
            self.module.ops.truncate(before.1);
            self.module.blocks.truncate(before.2);
        }
        built.map(|op| self.module[op].results.clone())
    }

    fn pipeline_op(
        &mut self,
        inputs: &[Value],
        loc: Loc,
        body: impl FnOnce(&mut Builder, &[Value]) -> Result<Vec<Value>, Diagnostic>,
    ) -> Result<Op, Diagnostic> {
        let (block, args) = self.open_region(Opcode::StreamPipeline, inputs, loc)?;
        let yields = body(self, &args)?;
        self.build(Opcode::StreamYield, &yields, &[], loc)?;
        self.close_region(block, inputs, &[], loc)
    }

    /// Opens the region of an op that will be appended by [`Builder::close_region`]; ops go there meanwhile.
    pub fn open_region(
        &mut self,
        opcode: Opcode,
        operands: &[Value],
        loc: Loc,
    ) -> Result<(Block, Vec<Value>), Diagnostic> {
        let refuse = |why: &str| self.refuse(opcode, operands, loc, why);
        if self.open.is_some() {
            return Err(refuse("regions do not nest"));
        }
        self.check_operands(opcode, operands, loc)?;
        let types = infer::region_args(opcode, &self.module.types(operands));
        let types = types.map_err(|why| self.refuse(opcode, operands, loc, &why))?;
        let block = self.module.blocks.push(BlockData::default());
        let args = types.into_iter().map(|ty| self.arg(block, ty)).collect();
        self.open = Some(OpenRegion { opcode, block });
        Ok((block, args))
    }

    /// Appends the op whose region was opened.
    pub fn close_region(
        &mut self,
        block: Block,
        operands: &[Value],
        attrs: &[(&str, Attr)],
        loc: Loc,
    ) -> Result<Op, Diagnostic> {
        match self.open.take() {
            Some(open) if open.block == block => {
                self.append(open.opcode, operands, attrs, Some(block), loc)
            }
            _ => Err(Diagnostic::new(
                "the region is not open",
                Place::named(self.module.locs.describe(loc)),
            )),
        }
    }

    fn append(
        &mut self,
        opcode: Opcode,
        operands: &[Value],
        attrs: &[(&str, Attr)],
        region: Option<Block>,
        loc: Loc,
    ) -> Result<Op, Diagnostic> {
        self.check_operands(opcode, operands, loc)?;
        let refuse = |why: String| self.refuse(opcode, operands, loc, &why);
        let inside = self.open.is_some();
        if inside != matches!(opcode.def().form, Form::Inner | Form::Yield) {
            return Err(refuse(format!(
                "the op may {}stand in a region",
                if inside { "not " } else { "only " }
            )));
        }
        let attrs = declared(opcode, attrs).map_err(refuse)?;
        let yields = match region.and_then(|b| self.module[b].ops.last().copied()) {
            Some(last) if self.module[last].opcode.def().form == Form::Yield => {
                self.module.types(&self.module[last].operands)
            }
            Some(_) => return Err(refuse("the region does not end with its terminator".into())),
            None => Vec::new(),
        };
        let types = infer::results(
            opcode,
            &self.module.types(operands),
            &attrs,
            &yields,
            &self.module.consts,
        );
        let types = types.map_err(refuse)?;
        let op = self.module.ops.push(OpData {
            opcode,
            operands: operands.to_vec(),
            attrs,
            results: Vec::new(),
            region,
            loc,
        });
        let results: Vec<Value> = types
            .into_iter()
            .enumerate()
            .map(|(i, ty)| {
                self.module.values.push(ValueData {
                    ty,
                    def: Def::Result(op, i),
                })
            })
            .collect();
        if let Some(data) = self.module.ops.get_mut(op) {
            data.results = results;
        }
        let block = self
            .open
            .as_ref()
            .map_or(self.module.body(), |open| open.block);
        if let Some(data) = self.module.blocks.get_mut(block) {
            data.ops.push(op);
        }
        Ok(op)
    }

    fn arg(&mut self, block: Block, ty: Type) -> Value {
        let index = self.module[block].args.len();
        let value = self.module.values.push(ValueData {
            ty,
            def: Def::Arg(block, index),
        });
        if let Some(data) = self.module.blocks.get_mut(block) {
            data.args.push(value);
        }
        value
    }

    fn check_operands(
        &self,
        opcode: Opcode,
        operands: &[Value],
        loc: Loc,
    ) -> Result<(), Diagnostic> {
        if let Some(v) = operands
            .iter()
            .find(|&&v| self.module.values.get(v).is_none())
        {
            return Err(self.refuse(
                opcode,
                operands,
                loc,
                &format!("{v} is not a value of this module"),
            ));
        }
        operand_count(opcode, operands.len())
            .map_err(|why| self.refuse(opcode, operands, loc, &why))
    }

    fn refuse(&self, opcode: Opcode, operands: &[Value], loc: Loc, why: &str) -> Diagnostic {
        let name = opcode.def().name;
        let list: Vec<String> = operands
            .iter()
            .map(|&v| match self.module.values.get(v) {
                Some(data) => format!("{v}: {}", data.ty),
                None => v.to_string(),
            })
            .collect();
        let place = Place {
            line: format!("{name}({})", list.join(", ")),
            width: name.len(),
            ..Place::named(self.module.locs.describe(loc))
        };
        Diagnostic::new(format!("{name}: {why}"), place)
    }
}

/// Whether the op table allows this number of operands.
pub(crate) fn operand_count(opcode: Opcode, n: usize) -> Result<(), String> {
    let (least, most) = opcode.def().operand_range();
    if (least..=most).contains(&n) {
        return Ok(());
    }
    let wanted = if most == usize::MAX {
        format!("at least {least}")
    } else if least == most {
        least.to_string()
    } else {
        format!("{least} or {most}")
    };
    Err(format!("takes {wanted} operands, has {n}"))
}

/// The attributes in the table's order, each declared once and of its kind, every required one there.
fn declared(opcode: Opcode, attrs: &[(&str, Attr)]) -> Result<Attrs, String> {
    let def = opcode.def();
    let mut out = Attrs::default();
    for (name, value) in attrs {
        let (_, attr) = def
            .attr(name)
            .ok_or_else(|| format!("has no attribute {name}"))?;
        if !value.is(attr.kind) {
            return Err(format!("attribute {name} must be {}", attr.kind.describe()));
        }
        if out.has(name) {
            return Err(format!("attribute {name} is given twice"));
        }
        out.insert(def, attr.name, value.clone());
    }
    match def.attrs.iter().find(|a| a.required && !out.has(a.name)) {
        Some(a) => Err(format!("attribute {} is missing", a.name)),
        None => Ok(out),
    }
}

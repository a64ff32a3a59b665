//! A module: inputs, a body of ops in order, and the tables that they refer to.
//!
//! Modules only grow: a pass that removes or reorders ops copies into a new module (`rewrite.rs`). So entity
//! numbers are dense and in order of creation. What it may not know: what any op means.

use crate::attr::{Attr, Attrs};
use crate::constant::{ConstData, ConstPool};
use crate::diag::Place;
use crate::entity::{Block, Const, Entity, EntityMap, Loc, Op, Value};
use crate::loc::{LocData, LocTable};
use crate::ops::Opcode;
use crate::types::Type;
use std::ops::Index;

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Def {
    /// Argument `1` of block `0`.
    Arg(Block, usize),
    /// Result `1` of op `0`.
    Result(Op, usize),
}

/// A value: its type and its definition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValueData {
    /// The type.
    pub ty: Type,
    /// The definition.
    pub def: Def,
}

/// An op.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpData {
    /// Which op of the table.
    pub opcode: Opcode,
    /// What it takes.
    pub operands: Vec<Value>,
    /// Its compile-time facts.
    pub attrs: Attrs,
    /// What it gives.
    pub results: Vec<Value>,
    /// Its region, if it has one.
    pub region: Option<Block>,
    /// Where it comes from.
    pub loc: Loc,
}

/// Ops in order, under arguments.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BlockData {
    /// Values from outside: the module's inputs, or one row of each input of a pipeline.
    pub args: Vec<Value>,
    /// The ops.
    pub ops: Vec<Op>,
}

/// A module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name, `@name` in the text.
    pub name: String,
    pub(crate) input_names: Vec<String>,
    pub(crate) values: EntityMap<Value, ValueData>,
    pub(crate) ops: EntityMap<Op, OpData>,
    pub(crate) blocks: EntityMap<Block, BlockData>,
    pub(crate) locs: LocTable,
    pub(crate) consts: ConstPool,
}

impl Module {
    pub(crate) fn new(name: impl Into<String>) -> Module {
        let mut blocks = EntityMap::default();
        let _: Block = blocks.push(BlockData::default());
        Module {
            name: name.into(),
            input_names: Vec::new(),
            values: EntityMap::default(),
            ops: EntityMap::default(),
            blocks,
            locs: LocTable::default(),
            consts: ConstPool::default(),
        }
    }

    /// The block that holds the module's ops; its arguments are the inputs.
    pub fn body(&self) -> Block {
        Block::new(0)
    }

    /// Ops of the body, in order.
    pub fn body_ops(&self) -> &[Op] {
        &self[self.body()].ops
    }

    /// Names and values of the inputs.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Value)> {
        self.input_names
            .iter()
            .map(String::as_str)
            .zip(self[self.body()].args.iter().copied())
    }

    /// Names and values of the outputs: the operands of the return; none without one.
    pub fn outputs(&self) -> Vec<(&str, Value)> {
        let Some(last) = self.body_ops().last().map(|&op| &self[op]) else {
            return Vec::new();
        };
        let Ok(names) = last.attrs.strs("names") else {
            return Vec::new();
        };
        names
            .iter()
            .map(String::as_str)
            .zip(last.operands.iter().copied())
            .collect()
    }

    /// Locations.
    pub fn locs(&self) -> &LocTable {
        &self.locs
    }

    /// Locations, to enter more.
    pub fn locs_mut(&mut self) -> &mut LocTable {
        &mut self.locs
    }

    /// Constants.
    pub fn consts(&self) -> &ConstPool {
        &self.consts
    }

    /// All values, in order of creation.
    pub fn values(&self) -> impl Iterator<Item = (Value, &ValueData)> {
        self.values.iter()
    }

    /// All ops, those of regions included, in order of creation.
    pub fn ops(&self) -> impl Iterator<Item = (Op, &OpData)> {
        self.ops.iter()
    }

    /// The type of a value. Panics for a value of another module.
    pub fn ty(&self, value: Value) -> &Type {
        &self[value].ty
    }

    /// The types of values.
    pub fn types(&self, values: &[Value]) -> Vec<Type> {
        values.iter().map(|&v| self[v].ty.clone()).collect()
    }

    /// The op that defines a value; `None` for an argument.
    pub fn def_op(&self, value: Value) -> Option<Op> {
        match self[value].def {
            Def::Result(op, _) => Some(op),
            Def::Arg(..) => None,
        }
    }

    /// The data of a constant op or image.
    pub fn constant(&self, op: Op) -> Option<&ConstData> {
        self.consts.get(self[op].attrs.constant("value").ok()?)
    }

    /// For each value, the ops that take it, once per operand, in order.
    pub fn users(&self) -> Vec<Vec<Op>> {
        let mut users = vec![Vec::new(); self.values.len()];
        for (op, data) in self.ops.iter() {
            for v in &data.operands {
                if let Some(list) = users.get_mut(v.index()) {
                    list.push(op);
                }
            }
        }
        users
    }

    /// Adds a fact to an op. A fact has one owner: setting one that is there, or one that the op table does not
    /// declare for the op, is an error.
    pub fn set_fact(&mut self, op: Op, name: &str, value: impl Into<Attr>) -> Result<(), String> {
        let data = self.ops.get_mut(op).ok_or("no such op")?;
        let def = data.opcode.def();
        let value = value.into();
        let fact = def.facts.iter().find(|f| f.name == name);
        let fact = fact.ok_or_else(|| format!("{} has no fact {name}", def.name))?;
        if !value.is(fact.kind) {
            return Err(format!("{name} must be {}", fact.kind.describe()));
        }
        if data.attrs.has(name) {
            return Err(format!("{name} of {op} was decided before"));
        }
        data.attrs.insert(def, fact.name, value);
        Ok(())
    }

    /// The op as a place in a diagnostic: its location, its line, carets under its name.
    pub fn place(&self, op: Op) -> Place {
        let Some(data) = self.ops.get(op) else {
            return Place::named(op.to_string());
        };
        let line = crate::text::op_line(self, op);
        let name = data.opcode.def().name;
        let column = line.find(name).unwrap_or(0);
        let mut place = Place {
            line,
            column,
            width: name.len(),
            ..Place::named(self.locs.describe(data.loc))
        };
        if let Some(LocData::FileSpan { line, .. }) = self.locs.get(data.loc) {
            place.line_number = *line;
        }
        place
    }

    /// A constant's name in the text of diagnostics.
    pub fn const_name(&self, c: Const) -> String {
        self.consts
            .hash(c)
            .map_or_else(|| c.to_string(), |h| h.short())
    }
}

macro_rules! index {
    ($($key:ident $data:ident $field:ident;)*) => {$(
        impl Index<$key> for Module {
            type Output = $data;
            /// Panics for a reference of another module.
            fn index(&self, key: $key) -> &$data {
                match self.$field.get(key) {
                    Some(data) => data,
                    None => panic!("{key} is of another module"),
                }
            }
        }
    )*};
}

index! {
    Value ValueData values;
    Op OpData ops;
    Block BlockData blocks;
}

/// Equality of meaning: the same ops in the same order, up to the numbering of entities and unused table entries.
impl PartialEq for Module {
    fn eq(&self, other: &Module) -> bool {
        crate::equal::modules(self, other)
    }
}

//! Reference evaluation: what every op means.
//!
//! `stream.*` and `tsp.*` are evaluated bit for bit as the chip computes (machine: "Arithmetic"), without time;
//! `tensor.*` in fp32 with fixed rounding points, see `tensor.rs`. All of it is deterministic on every host: the
//! transcendental functions are those of one pure-Rust library. Before: the module passes the verifier. What it
//! may not know: place and time.

mod alu;
mod data;
mod output;
mod product;
mod stream;
mod tensor;
mod tsp;

pub use alu::run as alu_lanes;
pub use data::{Array, Data};

use crate::diag::{Diagnostic, Place};
use crate::entity::{Entity, Op, Value};
use crate::module::{Module, OpData};
use crate::ops::Opcode;
use crate::table::Dialect;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Arrays by the name of an input or output.
pub type Arrays = BTreeMap<String, Array>;

/// The outputs of a module for these inputs. The error names the op that cannot be computed (an i32 overflow, a
/// word that was never written, …) or an input that is missing or of another type.
pub fn evaluate(module: &Module, inputs: &Arrays) -> Result<Arrays, Diagnostic> {
    evaluate_with(module, inputs, &mut |_, _| {})
}

/// The same; `observe` sees every array that an op of the body gives, in order.
pub fn evaluate_with(
    module: &Module,
    inputs: &Arrays,
    observe: &mut dyn FnMut(Value, &Array),
) -> Result<Arrays, Diagnostic> {
    let mut e = Evaluator {
        module,
        inputs,
        cells: vec![None; module.values().count()],
        uses: module.users().iter().map(Vec::len).collect(),
        outputs: output::Outputs::default(),
    };
    for (name, value) in module.inputs() {
        let refuse = |why: String| Diagnostic::new(why, Place::named(format!("input {name}")));
        let array = inputs
            .get(name)
            .ok_or_else(|| refuse(format!("input {name} is missing")))?;
        let ty = module.ty(value);
        if array.shape != ty.shape || array.data.elem() != ty.elem {
            let (shape, elem) = (&array.shape, array.data.elem().name());
            return Err(refuse(format!(
                "input {name} is {shape:?} of {elem}, should be {ty}"
            )));
        }
        e.cells[value.index()] = Some(Cell::Array(Arc::new(array.clone())));
    }
    for &op in module.body_ops() {
        let fail = |why: String| {
            Diagnostic::new(
                format!("{}: {why}", module[op].opcode.def().name),
                module.place(op),
            )
        };
        e.op(op).map_err(fail)?;
        for &v in &module[op].results {
            if let Some(Cell::Array(array)) = &e.cells[v.index()] {
                observe(v, array);
            }
        }
        e.release(op);
    }
    let arrays = e.outputs.finish();
    arrays.map_err(|why| Diagnostic::new(why, Place::named(format!("@{}", module.name))))
}

/// What a value holds.
#[derive(Clone)]
enum Cell {
    /// A tensor, a stream, a sequence (count × 320), or the weights of a stream (as installed: columns × K).
    Array(Arc<Array>),
    /// A `mem`.
    Buffer(Arc<tsp::Buffer>),
    /// The weights of the `tsp` dialect.
    Weights(Arc<tsp::Weights>),
}

struct Evaluator<'m> {
    module: &'m Module,
    inputs: &'m Arrays,
    cells: Vec<Option<Cell>>,
    /// Uses still to come; a value without any is dropped.
    uses: Vec<usize>,
    outputs: output::Outputs,
}

impl Evaluator<'_> {
    fn op(&mut self, op: Op) -> Result<(), String> {
        let data = &self.module[op];
        match data.opcode {
            Opcode::TensorReturn | Opcode::StreamReturn => {
                for (name, &v) in data.attrs.strs("names")?.iter().zip(&data.operands) {
                    let array = self.array(v)?.clone();
                    self.outputs.whole(name, array);
                }
                Ok(())
            }
            _ => match data.opcode.def().dialect {
                Dialect::Tensor => self.tensor(op),
                Dialect::Stream => self.stream(op),
                Dialect::Tsp => self.tsp(op),
            },
        }
    }

    fn release(&mut self, op: Op) {
        let data = &self.module[op];
        for v in &data.operands {
            self.uses[v.index()] -= 1;
        }
        for v in data.operands.iter().chain(&data.results) {
            if self.uses[v.index()] == 0 {
                self.cells[v.index()] = None;
            }
        }
    }

    fn array(&self, v: Value) -> Result<&Array, String> {
        match &self.cells[v.index()] {
            Some(Cell::Array(a)) => Ok(a),
            _ => Err(format!("{v} has no array")),
        }
    }

    fn operand(&self, data: &OpData, i: usize) -> Result<&Array, String> {
        self.array(*data.operands.get(i).ok_or("an operand is missing")?)
    }

    fn set(&mut self, op: Op, i: usize, cell: Cell) -> Result<(), String> {
        let v = self.module[op]
            .results
            .get(i)
            .ok_or("a result is missing")?;
        self.cells[v.index()] = Some(cell);
        Ok(())
    }

    /// Sets the first result to elements under the inferred shape.
    fn give(&mut self, op: Op, data: Data) -> Result<(), String> {
        let ty = self.module.ty(*self.module[op]
            .results
            .first()
            .ok_or("a result is missing")?);
        let shape = if ty.kind == crate::Kind::Seq {
            vec![ty.last(), crate::infer::LANES]
        } else {
            ty.shape.clone()
        };
        self.set(op, 0, Cell::Array(Arc::new(Array { shape, data })))
    }
}

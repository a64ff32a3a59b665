//! What an operand of a tiled `stream.*` op is in terms of values that exist: rows and lanes of a root value.

use tspc_ir as ir;
use tspc_ir::Opcode;

use crate::Refusal;

/// Lanes of a vector on the chip.
pub const LANES: usize = 320;

/// Rows `start`, `start + step`, … of `lanes` lanes from `lane` on of a value that no view made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    pub root: ir::Value,
    pub start: i64,
    pub step: i64,
    pub count: usize,
    pub lane: usize,
    pub lanes: usize,
    /// All lanes are the one at `lane`.
    pub repeated: bool,
}

/// A refusal at an op.
pub fn refuse(module: &ir::Module, op: ir::Op, message: impl Into<String>) -> Refusal {
    let name = module[op].opcode.def().name;
    let location = module.locs().describe(module[op].loc);
    Refusal {
        location,
        message: format!("{name}: {}", message.into()),
    }
}

/// Looks through `stream.rows`, `stream.lanes` and `stream.broadcast`.
pub fn resolve(module: &ir::Module, value: ir::Value) -> Result<View, Refusal> {
    let ty = module.ty(value);
    let op = module.def_op(value);
    let whole = || View {
        root: value,
        start: 0,
        step: 1,
        count: ty.elements() / ty.last(),
        lane: 0,
        lanes: ty.last(),
        repeated: false,
    };
    let Some(op) = op else { return Ok(whole()) };
    let data = &module[op];
    let number = |name: &str| data.attrs.int(name).map_err(|e| refuse(module, op, e));
    match data.opcode {
        Opcode::StreamRows => {
            let inner = resolve(module, data.operands[0])?;
            let (start, step, count) = (number("start")?, number("step")?, number("count")?);
            Ok(View {
                start: inner.start + start * inner.step,
                step: inner.step * step,
                count: count as usize,
                ..inner
            })
        }
        Opcode::StreamLanes => {
            let inner = resolve(module, data.operands[0])?;
            let (start, count) = (number("start")?, number("count")?);
            let moved = if inner.repeated { 0 } else { start as usize };
            Ok(View {
                lane: inner.lane + moved,
                lanes: count as usize,
                ..inner
            })
        }
        Opcode::StreamBroadcast => {
            let inner = resolve(module, data.operands[0])?;
            if inner.computed(module) {
                let why =
                    "only lanes of inputs and constants are repeated, by what fills the memory";
                return Err(refuse(module, op, why));
            }
            Ok(View {
                lanes: number("lanes")? as usize,
                repeated: true,
                ..inner
            })
        }
        // The host fills the lanes, so it is as if the input had them.
        Opcode::StreamGather if module.def_op(data.operands[0]).is_some() => {
            Err(refuse(module, op, "expected lanes of an input"))
        }
        Opcode::StreamConstant
        | Opcode::StreamGather
        | Opcode::StreamPass
        | Opcode::StreamPipeline => Ok(whole()),
        Opcode::StreamConcat => Err(refuse(
            module,
            op,
            "can only be installed (rows) or leave the program (lanes)",
        )),
        _ => Err(refuse(
            module,
            op,
            "expected tiled stream.*; run the tile pass first",
        )),
    }
}

impl View {
    /// Whether a chain makes the value: its vectors are stored whole. Of constants and inputs the memory holds what
    /// each reader wants, zeros beyond it.
    pub fn computed(&self, module: &ir::Module) -> bool {
        let root = module.def_op(self.root);
        let there = [Opcode::StreamConstant, Opcode::StreamGather];
        root.is_some_and(|op| !there.contains(&module[op].opcode))
    }
}

/// The parts of a value along its rows: those of a `stream.concat {axis = rows}`, or itself.
pub fn row_parts(module: &ir::Module, value: ir::Value) -> Result<Vec<View>, Refusal> {
    parts(module, value, "rows")
}

/// The parts of a value along its lanes.
pub fn lane_parts(module: &ir::Module, value: ir::Value) -> Result<Vec<View>, Refusal> {
    parts(module, value, "lanes")
}

fn parts(module: &ir::Module, value: ir::Value, axis: &str) -> Result<Vec<View>, Refusal> {
    match module.def_op(value) {
        Some(op) if module[op].opcode == Opcode::StreamConcat => {
            if module[op]
                .attrs
                .sym("axis")
                .map_err(|e| refuse(module, op, e))?
                != axis
            {
                return Err(refuse(
                    module,
                    op,
                    format!("expected a concatenation of {axis} here"),
                ));
            }
            module[op]
                .operands
                .iter()
                .map(|&v| resolve(module, v))
                .collect()
        }
        _ => Ok(vec![resolve(module, value)?]),
    }
}

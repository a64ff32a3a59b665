//! What an operand of a tiled `stream.*` op is in terms of values that exist: rows and lanes of a root value.

use tspc_ir as ir;
use tspc_ir::Opcode;
use tspc_program::ElemType;

use super::elem_type;
use crate::Refusal;

/// Lanes of a vector on the chip.
pub const LANES: usize = 320;

/// Rows `start`, `start + step`, … of `lanes` lanes from `lane` on of a value that no view made, or one byte of each of
/// its elements.
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
    /// The byte and the type that it is read as, if it is one.
    pub byte: Option<(u8, ElemType)>,
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

/// Looks through `stream.rows`, `stream.lanes`, `stream.broadcast` and `stream.byte`.
pub fn resolve(module: &ir::Module, value: ir::Value) -> Result<View, Refusal> {
    let ty = module.ty(value);
    let op = module.def_op(value);
    let all = || View {
        root: value,
        start: 0,
        step: 1,
        count: ty.elements() / ty.last(),
        lane: 0,
        lanes: ty.last(),
        repeated: false,
        byte: None,
    };
    let Some(op) = op else { return Ok(all()) };
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
        Opcode::StreamByte => {
            let inner = resolve(module, data.operands[0])?;
            if !inner.computed(module) {
                return Err(refuse(
                    module,
                    op,
                    "only bytes of what a pass or pipeline makes are read alone",
                ));
            }
            let byte = Some((number("byte")? as u8, elem_type(ty.elem)));
            Ok(View { byte, ..inner })
        }
        // The host fills the lanes, so it is as if the input had them.
        Opcode::StreamGather if module.def_op(data.operands[0]).is_some() => {
            Err(refuse(module, op, "expected lanes of an input"))
        }
        Opcode::StreamConstant
        | Opcode::StreamGather
        | Opcode::StreamPass
        | Opcode::StreamPipeline => Ok(all()),
        Opcode::StreamWindow => Err(refuse(module, op, "can only be installed")),
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

/// The same, of a value whose bytes are taken together.
pub fn whole(module: &ir::Module, value: ir::Value) -> Result<View, Refusal> {
    let view = resolve(module, value)?;
    match (view.byte, module.def_op(value)) {
        (Some(_), Some(op)) => {
            let why = "only a pass takes bytes of numbers, as what streams";
            Err(refuse(module, op, why))
        }
        _ => Ok(view),
    }
}

impl View {
    /// What is read: the elements of the root, or bytes of them.
    pub fn elem(&self, module: &ir::Module) -> ElemType {
        let root = elem_type(module.ty(self.root).elem);
        self.byte.map_or(root, |(_, elem)| elem)
    }

    /// Whether a chain makes the value: its vectors are stored whole. Of constants and inputs the memory holds what
    /// each reader wants, zeros beyond it.
    pub fn computed(&self, module: &ir::Module) -> bool {
        let root = module.def_op(self.root);
        let there = [Opcode::StreamConstant, Opcode::StreamGather];
        root.is_some_and(|op| !there.contains(&module[op].opcode))
    }
}

/// First lane and number of lanes that count.
pub type Window = (usize, usize);

/// The parts of what is installed: those of a `stream.concat {axis = rows}`, or itself; with their windows.
pub fn installed_parts(
    module: &ir::Module,
    value: ir::Value,
) -> Result<Vec<(View, Option<Window>)>, Refusal> {
    let part = |v: ir::Value| {
        let op = module.def_op(v);
        let Some(op) = op.filter(|&op| module[op].opcode == Opcode::StreamWindow) else {
            return Ok((whole(module, v)?, None));
        };
        let data = &module[op];
        let number = |name: &str| data.attrs.size(name).map_err(|e| refuse(module, op, e));
        let window = (number("start")?, number("count")?);
        Ok((whole(module, data.operands[0])?, Some(window)))
    };
    parts(module, value, "rows")?
        .into_iter()
        .map(part)
        .collect()
}

/// The parts of a value along its lanes.
pub fn lane_parts(module: &ir::Module, value: ir::Value) -> Result<Vec<View>, Refusal> {
    let parts = parts(module, value, "lanes")?.into_iter();
    parts.map(|v| whole(module, v)).collect()
}

fn parts(module: &ir::Module, value: ir::Value, axis: &str) -> Result<Vec<ir::Value>, Refusal> {
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
            Ok(module[op].operands.clone())
        }
        _ => Ok(vec![value]),
    }
}

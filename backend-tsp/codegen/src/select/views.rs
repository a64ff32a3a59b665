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

/// Looks through `stream.rows` and `stream.lanes`.
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
            Ok(View {
                lane: inner.lane + start as usize,
                lanes: count as usize,
                ..inner
            })
        }
        Opcode::StreamHeads | Opcode::StreamMerge | Opcode::StreamTranspose => Err(refuse(
            module,
            op,
            "expected tiled stream.*; run the tile pass first",
        )),
        _ => Ok(whole()),
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

/// Whether the lanes beyond a value's own hold zero when it is computed on all 320: then they add nothing to a
/// pass. Constants and inputs are padded with zeros, results of passes have zero weights there; a pipeline
/// keeps zeros only if each of its operations does.
pub struct Clean(Vec<bool>);

impl Clean {
    /// Analyses a module.
    pub fn new(module: &ir::Module) -> Clean {
        let mut clean = vec![true; module.values().count()];
        for &op in module.body_ops() {
            let data = &module[op];
            let of = |clean: &Vec<bool>, v: ir::Value| clean[ir::Entity::index(v)];
            match data.opcode {
                Opcode::StreamPipeline => {
                    let Some(block) = data.region else { continue };
                    for (&arg, &input) in module[block].args.iter().zip(&data.operands) {
                        clean[ir::Entity::index(arg)] = of(&clean, input);
                    }
                    for &inner in &module[block].ops {
                        let alu = &module[inner];
                        match alu.opcode {
                            Opcode::StreamYield => {
                                for (&result, &yielded) in data.results.iter().zip(&alu.operands) {
                                    clean[ir::Entity::index(result)] = of(&clean, yielded);
                                }
                            }
                            _ => {
                                let zeros: Vec<bool> =
                                    alu.operands.iter().map(|&v| of(&clean, v)).collect();
                                let imm = alu.attrs.imm().ok().flatten();
                                let zero =
                                    keeps_zero(alu.attrs.sym("op").unwrap_or(""), &zeros, imm);
                                alu.results
                                    .iter()
                                    .for_each(|&r| clean[ir::Entity::index(r)] = zero);
                            }
                        }
                    }
                }
                Opcode::StreamRows => {
                    clean[ir::Entity::index(data.results[0])] = of(&clean, data.operands[0]);
                }
                // Some lanes of a wider value: what lies beyond them is data.
                Opcode::StreamLanes => {
                    let inner = module.ty(data.operands[0]).last();
                    let start = data.attrs.size("start").unwrap_or(0);
                    let whole = start == 0 && module.ty(data.results[0]).last() == inner;
                    let root = resolve(module, data.operands[0])
                        .ok()
                        .and_then(|v| module.def_op(v.root));
                    let padded = match root {
                        None => true,
                        Some(root) => module[root].opcode == Opcode::StreamConstant,
                    };
                    clean[ir::Entity::index(data.results[0])] =
                        padded || whole && of(&clean, data.operands[0]);
                }
                _ => {}
            }
        }
        Clean(clean)
    }

    /// Whether lanes beyond the value's own are zero.
    pub fn is(&self, value: ir::Value) -> bool {
        self.0[ir::Entity::index(value)]
    }
}

/// Whether an operation on zeros (where `zeros` says so) gives zero; immediates count by their bits.
fn keeps_zero(op: &str, zeros: &[bool], imm: Option<u32>) -> bool {
    let all = zeros.iter().all(|z| *z) && imm.is_none_or(|i| i == 0);
    let finite = imm.is_none_or(|i| f32::from_bits(i).is_finite());
    match op {
        // 0·x is 0 for the finite values that constants and immediates are.
        "mul" | "mul.sat" | "mul.mod" if imm.is_some() => zeros.iter().all(|z| *z) && finite,
        "cvt" | "copy" | "neg" | "abs" | "relu" | "tanh" => all,
        "add" | "sub" | "mul" | "add.sat" | "sub.sat" | "mul.sat" | "add.mod" | "sub.mod"
        | "mul.mod" | "max" | "min" | "and" | "or" | "xor" => all,
        "mask" => zeros[0] && imm.is_none(),
        _ => false,
    }
}

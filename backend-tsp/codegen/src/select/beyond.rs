//! What the lanes beyond a value's own hold when it is computed on all 320.
//!
//! Constants and inputs are padded with zeros, passes have zero weights there, and a pipeline computes there what it
//! computes everywhere: so the content is known, but for lanes of a wider value, where it is data. A pass may
//! run over lanes beyond its K if they add nothing: zero on one side, on the other any finite number.
//! Assumes that activations are finite: an infinity times a zero weight is NaN beyond the columns as within them.

use tspc_ir as ir;
use tspc_ir::{Elem, Entity, Opcode};

use super::views::resolve;

/// Per value: the bits in the lanes beyond its own, if they are known.
pub struct Beyond(Vec<Option<u32>>);

/// What a pass multiplies beyond its K.
pub enum Product {
    /// Zeros.
    Nothing,
    /// Zeros, once the activations there are.
    NothingInWindow,
    /// Perhaps an infinity, which no window hides.
    Unknown,
}

impl Beyond {
    /// Analyses a module.
    pub fn new(module: &ir::Module) -> Beyond {
        let mut beyond = Beyond(vec![Some(0); module.values().count()]);
        for &op in module.body_ops() {
            let data = &module[op];
            match data.opcode {
                Opcode::StreamPipeline => beyond.pipeline(module, op),
                Opcode::StreamRows => beyond.set(data.results[0], beyond.of(data.operands[0])),
                Opcode::StreamByte => {
                    let byte =
                        |bits: u32| data.attrs.int("byte").ok().map(|k| bits >> (8 * k) & 0xff);
                    beyond.set(data.results[0], beyond.of(data.operands[0]).and_then(byte));
                }
                Opcode::StreamLanes => {
                    let inner = data.operands[0];
                    let whole = module.ty(inner).last() == module.ty(data.results[0]).last();
                    let computed = resolve(module, inner).is_ok_and(|v| v.computed(module));
                    beyond.set(
                        data.results[0],
                        match (computed, whole) {
                            (false, _) => Some(0),
                            (true, true) => beyond.of(inner),
                            (true, false) => None,
                        },
                    );
                }
                // What it zeroes is zero beyond the lanes, too.
                Opcode::StreamWindow => beyond.set(data.results[0], Some(0)),
                Opcode::StreamPass => {
                    // Zero weights leave the partial sum; 0 + -0 is 0.
                    let partial = data.operands.get(2).map_or(Some(0), |&p| beyond.of(p));
                    let negative_zero =
                        module.ty(data.results[0]).elem == Elem::F32 && partial == Some(1 << 31);
                    beyond.set(
                        data.results[0],
                        if negative_zero { Some(0) } else { partial },
                    );
                }
                _ => {}
            }
        }
        beyond
    }

    fn pipeline(&mut self, module: &ir::Module, op: ir::Op) {
        let data = &module[op];
        let Some(block) = data.region else { return };
        for (&arg, &input) in module[block].args.iter().zip(&data.operands) {
            self.set(arg, self.of(input));
        }
        for &inner in &module[block].ops {
            let alu = &module[inner];
            if alu.opcode == Opcode::StreamYield {
                for (&result, &yielded) in data.results.iter().zip(&alu.operands) {
                    self.set(result, self.of(yielded));
                }
                continue;
            }
            let lane = |&v: &ir::Value| Some((module.ty(v).elem, [self.of(v)?]));
            let lanes: Option<Vec<(Elem, [u32; 1])>> = alu.operands.iter().map(lane).collect();
            let result = lanes.and_then(|lanes| {
                let lanes: Vec<(Elem, &[u32])> = lanes.iter().map(|(e, l)| (*e, &l[..])).collect();
                ir::eval::alu_lanes(&alu.attrs, &lanes).ok()
            });
            self.set(alu.results[0], result.map(|lanes| lanes[0]));
        }
    }

    fn set(&mut self, value: ir::Value, bits: Option<u32>) {
        self.0[value.index()] = bits;
    }

    fn of(&self, value: ir::Value) -> Option<u32> {
        self.0[value.index()]
    }

    /// What x times the installed values adds beyond its lanes.
    pub fn product(&self, module: &ir::Module, x: ir::Value, installed: &[ir::Value]) -> Product {
        let zero = |v: ir::Value| self.of(v) == Some(0);
        let finite = |v: ir::Value| match module.ty(v).elem {
            // Exponent bits all set: an infinity or NaN.
            Elem::F16 => self.of(v).is_some_and(|bits| bits & 0x7c00 != 0x7c00),
            _ => true,
        };
        let weights = |is: &dyn Fn(ir::Value) -> bool| installed.iter().all(|&v| is(v));
        if zero(x) && weights(&finite) || weights(&zero) && finite(x) {
            Product::Nothing
        } else if weights(&finite) {
            Product::NothingInWindow
        } else {
            Product::Unknown
        }
    }
}

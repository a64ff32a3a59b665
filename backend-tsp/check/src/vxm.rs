//! VXM ALUs (machine.md section 3, VXM).

use tspc_program::{AluInstr, AluOp, Operand, ResultMode};

use crate::follow::{Chip, Now};
use crate::instruction::mesh_column;
use crate::lines::{Point, Spot};
use crate::op_types::is_transcendental;

impl Chip<'_> {
    pub(crate) fn alu_drives(&mut self, now: Now, alu: &AluInstr, number: u8) {
        let latency = if is_transcendental(alu.op) {
            self.m.vxm_latency_transcendental
        } else {
            self.m.vxm_latency
        };
        let point = match alu.mode {
            ResultMode::Out => Point::VXM_OUT,
            ResultMode::Mesh => {
                let next = mesh_column(number, alu.result) + 1;
                if next > 3 {
                    return; // Rule `mesh-edge`.
                }
                Point::mesh(next)
            }
        };
        for byte in 0..alu.ty.bytes() {
            let spot = Spot {
                stream: alu.result.byte(byte),
                point,
            };
            let token = now.token().of_value(byte, alu.ty.bytes());
            self.put(now, spot, now.cycle + u64::from(latency), token);
        }
    }

    pub(crate) fn alu_takes(&mut self, now: Now, alu: &AluInstr, number: u8) {
        for (slot, operand) in [(0, Some(alu.a)), (4, alu.b)] {
            let Some(Operand::Stream { stream, ty }) = operand else {
                continue;
            };
            let point = Point::mesh(mesh_column(number, stream));
            // A copy of single bytes moves byte planes as they are.
            let plane = alu.op == AluOp::Copy && ty.bytes() == 1;
            for byte in 0..ty.bytes() {
                let spot = Spot {
                    stream: stream.byte(byte),
                    point,
                };
                if plane {
                    self.get(now, slot, spot, now.cycle);
                } else {
                    self.get_byte(now, slot + byte, byte, spot, now.cycle);
                }
            }
        }
    }
}

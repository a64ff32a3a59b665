//! The VXM: one ALU operation on the mesh (machine.md section 3).

use tspc_program::{AluInstr, AluOp, Direction, ElemType, Operand, ResultMode, Stream};

use crate::arith::{self, Lanes};
use crate::fabric::{Fabric, Target};
use crate::fault::{Check, Dispatch};
use crate::pool::LANES;

/// Delays of the VXM.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// Of an ordinary operation.
    pub plain: u64,
    /// Of exp, tanh and rsqrt.
    pub transcendental: u64,
}

/// Column 0…3 of the mesh as counted in a direction.
pub fn column(column: u8, dir: Direction, columns: u8) -> usize {
    match dir {
        Direction::East => column as usize,
        Direction::West => (columns - 1 - column) as usize,
    }
}

/// Executes an operation of ALU `alu` that validation has accepted.
pub fn execute(
    fabric: &mut Fabric,
    latency: Latency,
    alu: u8,
    i: &AluInstr,
    by: Dispatch,
) -> Check {
    let columns = fabric.timing.mesh_columns as u8;
    let here = |dir| column(alu % columns, dir, columns);
    let load = |fabric: &Fabric, operand: Operand, lanes: &mut Lanes| -> Check {
        match operand {
            Operand::Imm => lanes.fill(i.imm),
            Operand::Stream { stream, ty } => gather(fabric, stream, ty, here(stream.dir), lanes)?,
        }
        Ok(())
    };
    let mut a = [0; LANES];
    load(fabric, i.a, &mut a)?;
    match i.b {
        Some(operand) => {
            let mut b = [0; LANES];
            load(fabric, operand, &mut b)?;
            let ty = [i.a, operand].into_iter().find_map(elem).unwrap_or(i.ty);
            arith::binary(i.op, ty, &mut a, &b)?;
        }
        None => arith::unary(i.op, elem(i.a).unwrap_or(i.ty), i.ty, &mut a)?,
    }
    let delay = match i.op {
        AluOp::Exp | AluOp::Tanh | AluOp::Rsqrt => latency.transcendental,
        _ => latency.plain,
    };
    let target = match i.mode {
        ResultMode::Mesh => Target::Column(here(i.result.dir) + 1),
        ResultMode::Out => Target::Position(fabric.timing.exit()),
    };
    for k in 0..i.ty.bytes() {
        let out = fabric.emit(i.result.byte(k), target, delay, by);
        for (out, lane) in out.iter_mut().zip(&a) {
            *out = (lane >> (8 * k)) as u8;
        }
    }
    Ok(())
}

fn elem(operand: Operand) -> Option<ElemType> {
    match operand {
        Operand::Stream { ty, .. } => Some(ty),
        Operand::Imm => None,
    }
}

/// The bytes of a group, little-endian, as the low bits of each lane.
fn gather(
    fabric: &Fabric,
    stream: Stream,
    ty: ElemType,
    column: usize,
    lanes: &mut Lanes,
) -> Check {
    for k in 0..ty.bytes() {
        let bytes = fabric.take_wire(stream.byte(k), column)?;
        for (lane, byte) in lanes.iter_mut().zip(bytes) {
            *lane |= u32::from(*byte) << (8 * k);
        }
    }
    Ok(())
}

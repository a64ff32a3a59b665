//! The fields that are changed. To add one: a line here and its function.

use crate::subject::{Change, Subject};
use crate::tiled::Seeded;
use crate::{image, operands, ports, time};

/// What must become of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// When, where and whether an instruction acts: rejected by the checker.
    Place,
    /// What is computed: rejected, a fault that lies in the data, or another output.
    Data,
}

/// A field, and one change of it; none if the program has nothing of the kind, or for an unlucky choice.
pub struct Field {
    pub name: &'static str,
    pub class: Class,
    pub change: fn(&Subject, &mut Seeded) -> Option<Change>,
}

macro_rules! fields {
    ($($class:ident $name:literal $change:expr;)*) => {
        pub const FIELDS: &[Field] = &[
            $(Field { name: $name, class: Class::$class, change: $change }),*
        ];
    };
}

fields! {
    Place "time: nop"                 time::nop;
    Place "time: one instruction"     time::one_instruction;
    Place "time: repeat interval"     time::repeat_interval;
    Place "time: repeat count"        time::repeat_count;
    Place "dropped"                   time::dropped;
    Place "unit: moved"               time::moved;
    Place "unit: queues exchanged"    time::exchanged;
    Place "stream: MEM"               operands::mem_stream;
    Place "stream: MEM direction"     operands::mem_direction;
    Place "stream: ALU operand"       operands::alu_operand;
    Place "stream: ALU result"        operands::alu_result;
    Place "stream: ALU mesh or out"   operands::alu_mode;
    Place "stream: MXM"               operands::mxm_stream;
    Place "stream: SXM"               operands::sxm_stream;
    Place "address"                   operands::address;
    Place "address: step"             operands::address_step;
    Place "address: bank"             operands::bank;
    Place "address: lw group"         operands::lw_group;
    Place "address: iw groups"        operands::iw_groups;
    Place "address: input or output"  ports::address;
    Place "partial sum"               operands::accumulate;
    Data  "operation"                 operands::operation;
    Data  "operand exchange"          operands::exchange;
    Data  "ALU type"                  operands::alu_type;
    Data  "MXM type"                  operands::mxm_type;
    Data  "immediate"                 operands::immediate;
    Data  "shift"                     operands::shift;
    Data  "image: weights"            image::weights;
    Data  "image: vectors"            image::vectors;
    Data  "image: maps"               image::maps;
    Data  "input or output lanes"     ports::lanes;
}

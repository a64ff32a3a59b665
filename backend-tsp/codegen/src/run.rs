//! Timed runs: what schedule makes and allocate and lower consume.
//!
//! A run is one instruction, or one instruction repeated with an interval; all but the word addresses is known.

use tspc_program::{AluInstr, ElemType, QueueId, Stream};

use crate::problem::BufferId;

/// Index of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(pub u32);

/// The runs that make the rows of a byte plane, one after another.
pub type Makers = Vec<RunId>;

/// What a run does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Word `start + i·step` of the buffer.
    Read {
        /// Driven.
        stream: Stream,
        /// From where.
        buffer: BufferId,
        /// Word of iteration 0.
        start: u32,
        /// Words per iteration.
        step: i32,
    },
    /// Rows `first`, `first + interval`, … of one byte plane to words 0, 1, ….
    Write {
        /// Taken.
        stream: Stream,
        /// Byte of the element.
        byte: u8,
        /// Row of iteration 0.
        first: u32,
        /// Where to.
        buffer: BufferId,
    },
    /// A VXM operation.
    Alu(AluInstr),
    /// Groups `group`, `group` + 1, ….
    Lw {
        /// Group of iteration 0.
        group: u8,
        /// First stream.
        b: u8,
        /// fp16 half.
        f16: Option<u8>,
    },
    /// New weights.
    Iw {
        /// Groups.
        groups: u8,
        /// fp16 half.
        f16: Option<u8>,
    },
    /// Activation rows.
    Act {
        /// First stream.
        stream: u8,
        /// Type.
        ty: ElemType,
    },
    /// Results, with a partial sum or without.
    Accumulate {
        /// Partial sum.
        partial: Option<u8>,
        /// Result.
        d: u8,
    },
    /// Lane window of streams on the way to the port.
    Distribute {
        /// First selected stream.
        stream: u8,
        /// The type of each value on them; its size is the number of its streams.
        ty: ElemType,
        /// Map stream.
        map: u8,
        /// First result stream.
        dst: u8,
    },
}

/// An instruction with its time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its queue.
    pub queue: QueueId,
    /// Dispatch of iteration 0.
    pub cycle: i64,
    /// Iterations, ≥ 1.
    pub count: u32,
    /// Cycles between iterations, ≥ 1.
    pub interval: u32,
    /// What it does.
    pub action: Action,
    /// Who makes its operands, byte by byte: operand a, then b, of an ALU; streams of a load; loads of an install;
    /// activation and weights; sum and partial sum; vectors and map; what is written. A read has its buffer.
    pub takes: Vec<Makers>,
    /// Index of the chain that it belongs to.
    pub chain: u32,
}

impl Run {
    /// Dispatch of the last iteration.
    pub fn last(&self) -> i64 {
        self.cycle + i64::from(self.count - 1) * i64::from(self.interval)
    }
}

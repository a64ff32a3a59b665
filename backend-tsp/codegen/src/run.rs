//! Timed runs: what schedule makes and allocate and emit consume.
//!
//! A run is one instruction, or one instruction repeated with an interval; all but the word addresses is known.

use tspc_program::{AluInstr, ElemType, QueueId, Stream};

use crate::problem::BufferId;

/// Index of a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(pub u32);

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
    /// Words 0, 1, ….
    Write {
        /// Taken.
        stream: Stream,
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
    /// Lane window of `count` streams on the way to the port.
    Distribute {
        /// Selected streams of the distributor's eight.
        mask: u8,
        /// Map stream.
        map: u8,
        /// First result stream.
        dst: u8,
    },
}

/// An operand: iteration i of the run takes what iteration `first + i·step` of the producer made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Take {
    /// Slot, as in [`tspc_program::Use::slot`].
    pub slot: u8,
    /// Producer; `None`: a word that is there at cycle 0.
    pub producer: Option<RunId>,
    /// Producer's iteration for iteration 0.
    pub first: u32,
    /// Producer's iterations per iteration.
    pub step: i32,
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
    /// Operands.
    pub takes: Vec<Take>,
    /// Index of the chain that it belongs to.
    pub chain: u32,
}

impl Run {
    /// Dispatch of the last iteration.
    pub fn last(&self) -> i64 {
        self.cycle + i64::from(self.count - 1) * i64::from(self.interval)
    }
}

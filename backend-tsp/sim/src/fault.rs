//! Faults: what the chip cannot do, and where a program asked for it.
//!
//! One table declares every kind with its stable id and its rule; the documentation lists the same rows.

use std::fmt;

use tspc_program::{Consumer, Instr, Program, QueueId, Site, Source, Unit};

macro_rules! kinds {
    ($($variant:ident $id:literal $doc:literal;)*) => {
        /// What went wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum FaultKind { $(#[doc = $doc] $variant,)* }

        impl FaultKind {
            /// All kinds, in the order of the documentation.
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$variant),*];
            /// The stable kebab-case id.
            pub fn id(self) -> &'static str { match self { $(FaultKind::$variant => $id),* } }
            /// The rule that was broken, in one sentence.
            pub fn rule(self) -> &'static str { match self { $(FaultKind::$variant => $doc),* } }
        }
    };
}

kinds! {
    // Before cycle 0.
    MachineMismatch "machine-mismatch" "The program was compiled for another machine file.";
    MalformedProgram "malformed-program" "The image, an input or an output does not fit the memory, or there are not 144 queues.";
    MalformedQueue "malformed-queue" "A nop waits at least one cycle; a repeat has n, d ≥ 1 and follows an instruction that is neither nop nor repeat.";
    MalformedInstruction "malformed-instruction" "A field of an instruction is out of range, misaligned or of the wrong type.";
    WrongUnit "wrong-unit" "An instruction stands in the queue of a unit that does not execute it.";
    TextOverflow "text-overflow" "The program text must fit in the reserved slices.";
    TextSlice "text-slice" "The reserved slices hold program text and nothing else.";
    BadInput "bad-input" "Every input is given once, with rows × cols elements.";
    // Streams.
    EmptyStream "empty-stream" "An instruction takes only bytes that are there.";
    TwoProducers "two-producers" "At most one instruction drives a stream at one place in one cycle.";
    // MEM.
    Uninitialised "uninitialised-read" "A word is read only if it is in the initial image or was written.";
    ReadTooEarly "read-too-early" "A written word is read no earlier than the write-to-read time after the write.";
    SameBank "same-bank" "The read and the write of one instruction use different banks.";
    LeavesBank "leaves-bank" "The address step of a repeat stays in the bank.";
    MapAddress "map-address" "A gather or scatter map holds word addresses of the bank.";
    // VXM.
    WireReach "wire-reach" "An ALU reaches the wires 2r … 2r+3 mod 8 of its row r.";
    WireConflict "wire-conflict" "Two operands do not use one wire number in opposite directions.";
    LastColumn "last-column" "A mesh result needs a next column in its direction.";
    SmallAlu "small-alu" "exp, tanh and rsqrt run on the large ALUs only.";
    NoImmediates "no-immediates" "This machine has no immediates.";
    ShiftCount "shift-count" "Shift counts are 0 … 31.";
    // MXM.
    GroupRange "group-range" "An lw's group stays inside the plane in every iteration.";
    LwAfterIw "lw-after-iw" "The spare buffer is free again only some cycles after an iw.";
    MissingLw "missing-lw" "An iw installs only groups that were loaded since the last iw.";
    ActDuringIw "act-during-iw" "No activation dispatches from an iw until the new weights are there.";
    NoWeights "no-weights" "An activation meets installed weights.";
    WeightType "weight-type" "An activation's type is that of the installed weights.";
    UnmatchedAct "unmatched-act" "Every activation meets an instruction of its plane's accumulate queue.";
    UnmatchedAccumulate "unmatched-accumulate" "Every out, acc and drop meets an activation of its plane.";
    Overflow "overflow" "An int32 sum of the MXM does not overflow.";
    OddPlane "odd-plane" "While an fp16 unit runs, the odd plane's queues hold only nops.";
    // SXM.
    NotABijection "not-a-bijection" "A permute's map names every lane exactly once.";
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Where an instruction ran: its place in the program and which of its dispatches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Dispatch {
    /// Queue and index in it.
    pub site: Site,
    /// 0 for the dispatch itself, then the iterations of its repeat.
    pub iteration: u32,
}

impl fmt::Display for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.site.queue, self.site.index)?;
        if self.iteration > 0 {
            write!(f, " iteration {}", self.iteration)?;
        }
        Ok(())
    }
}

/// A broken rule: the simulation stops at the first one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which rule.
    pub kind: FaultKind,
    /// The cycle in which it was broken; 0 for what is found before the start.
    pub cycle: u64,
    /// The unit; `None`: the host, with inputs, outputs and the container.
    pub unit: Option<Unit>,
    /// The instruction, unless the fault is not one instruction's.
    pub at: Option<Dispatch>,
    /// Text of that instruction.
    pub instruction: Option<String>,
    /// What exactly, with the numbers.
    pub message: String,
    /// The part of the model that the instruction serves, from the program's `uses`.
    pub location: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cycle {}: ", self.cycle)?;
        match self.unit {
            Some(unit) => write!(f, "{unit}")?,
            None => write!(f, "host")?,
        }
        if let Some(at) = self.at {
            write!(f, ", instruction {}", at.site.index)?;
            if at.iteration > 0 {
                write!(f, ", iteration {}", at.iteration)?;
            }
        }
        if let Some(text) = &self.instruction {
            write!(f, " `{text}`")?;
        }
        write!(f, ": {} [{}]", self.message, self.kind)?;
        if let Some(location) = &self.location {
            write!(f, " in {location}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// A rule broken inside a unit, before anyone knows which dispatch it was.
#[derive(Debug)]
pub(crate) struct Break {
    pub kind: FaultKind,
    pub message: String,
    /// The dispatch to blame, if it is not the one that is executing.
    pub at: Option<Dispatch>,
}

/// What the units return.
pub(crate) type Check<T = ()> = Result<T, Box<Break>>;

impl FaultKind {
    /// A break of this rule by the executing instruction.
    pub(crate) fn because(self, message: impl Into<String>) -> Box<Break> {
        Box::new(Break {
            kind: self,
            message: message.into(),
            at: None,
        })
    }

    /// A break of this rule by the dispatch `at`.
    pub(crate) fn blame(self, at: Dispatch, message: impl Into<String>) -> Box<Break> {
        Box::new(Break {
            kind: self,
            message: message.into(),
            at: Some(at),
        })
    }

    /// A fault of the host or the container, before cycle 0.
    pub(crate) fn before_start(self, message: impl Into<String>) -> Fault {
        Fault {
            kind: self,
            cycle: 0,
            unit: None,
            at: None,
            instruction: None,
            message: message.into(),
            location: None,
        }
    }
}

impl Break {
    /// The fault, with everything that the program can say about the instruction.
    pub fn locate(self, program: &Program, cycle: u64, executing: Option<Dispatch>) -> Fault {
        let at = self.at.or(executing);
        let instr = at.and_then(|at| instruction(program, at.site));
        Fault {
            kind: self.kind,
            cycle,
            unit: at.map(|at| at.site.queue.unit()),
            at,
            instruction: instr.map(|i| format!("{i:?}")),
            message: self.message,
            location: at.and_then(|at| location(program, at)),
        }
    }
}

fn instruction(program: &Program, site: Site) -> Option<&Instr> {
    program
        .queues
        .get(site.queue.index())?
        .get(site.index as usize)
}

/// The model's path that a dispatch serves: as consumer, or else as the producer of what another takes.
fn location(program: &Program, at: Dispatch) -> Option<String> {
    let consumes = program.uses.iter().find(|u| {
        u.consumer == Consumer::Instr(at.site)
            && (u.first..u.first.saturating_add(u.count)).contains(&at.iteration)
    });
    let produces = || {
        program
            .uses
            .iter()
            .find(|u| matches!(u.source, Source::Dispatch { site, .. } if site == at.site))
    };
    let used = consumes.or_else(produces)?;
    program.locations.get(used.loc as usize).cloned()
}

/// The dispatch of instruction `index` of queue `queue`.
pub(crate) fn dispatch(queue: QueueId, index: usize, iteration: u32) -> Dispatch {
    Dispatch {
        site: Site {
            queue,
            index: index as u32,
        },
        iteration,
    }
}

//! A whole program: queues, memory image, input/output table, `uses`.

use crate::instr::{Address, ElemType, Instr, MemAccess};
use crate::unit::{Hemisphere, QueueId};

/// An instruction's place: queue and index in that queue's list (nops and repeats count).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Site {
    /// The queue.
    pub queue: QueueId,
    /// Index in the queue.
    pub index: u32,
}

/// Words with constants, present at cycle 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageSegment {
    /// Hemisphere of the slice.
    pub hemi: Hemisphere,
    /// Slice 0…43.
    pub slice: u8,
    /// First word; the segment stays in its bank.
    pub addr: Address,
    /// A multiple of 320 bytes.
    pub bytes: Vec<u8>,
}

/// A run of words in one slice: word i at `addr + i·step`, all in one bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WordRun {
    /// Hemisphere of the slice.
    pub hemi: Hemisphere,
    /// Slice 0…43.
    pub slice: u8,
    /// Word 0.
    pub addr: Address,
    /// Signed step.
    pub step: i16,
    /// Words.
    pub count: u32,
}

/// A group of at most 320 columns of an input or output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IoTile {
    /// For each of the 320 lanes the column that it holds; `None`: zero in an input, ignored in an output.
    /// A column may be in several lanes (broadcast) of an input, in one of an output.
    pub lanes: Vec<Option<u32>>,
    /// For each byte of the element, little-endian, the runs that hold rows 0, 1, … in order.
    pub planes: Vec<Vec<WordRun>>,
}

/// A named input or output, a matrix of `rows` × `cols`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IoEntry {
    /// Name, unique among inputs and among outputs.
    pub name: String,
    /// Element type.
    pub elem: ElemType,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Where they are.
    pub tiles: Vec<IoTile>,
}

/// Who takes an operand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Consumer {
    /// An instruction. Slots: see [`Use::slot`].
    Instr(Site),
    /// The host, reading run `run` (counted over tiles, planes and runs, in order) of output `entry`.
    /// Iterations are the words of the run; the slot is 0.
    Output {
        /// Index in `Program::outputs`.
        entry: u32,
        /// Index among the entry's runs.
        run: u32,
    },
}

/// Where an operand comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// Iteration `first + i·step` of the instruction, for the i-th iteration that the record covers.
    Dispatch {
        /// The producing instruction.
        site: Site,
        /// Its iteration: 0 is the dispatch itself, then the repeats.
        first: u32,
        /// Producer iterations per consumer iteration.
        step: i32,
    },
    /// The initial image or an input: for words of memory only, in the slice that the consumer reads.
    Image {
        /// Address of the word for the first iteration that the record covers.
        word: Address,
        /// Words per consumer iteration.
        step: i16,
    },
    /// The clock: for [`INSTALL_TIME`] only.
    Clock {
        /// The cycle of the dispatch.
        cycle: u64,
    },
}

/// The slot of an `iw` that says when it dispatches. No stream ties an `iw` to a cycle: without this record it could
/// move between the last load and the first activation unseen. At most one; it is no operand.
pub const INSTALL_TIME: u8 = 40;

/// For `count` iterations of one operand of one instruction: which dispatch made it, and for whom.
///
/// Every operand that is taken, in every iteration, is covered by exactly one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// Who takes it.
    pub consumer: Consumer,
    /// Which operand byte:
    /// - MEM: 0 word of a `read` (made by the write that stored it, or `Image`); 1 map of a `gather`;
    ///   2 byte stream of the write part; 3 map of a `scatter`; 4+k word of a `gather` in superlane k.
    /// - VXM: 0…3 bytes of operand a, 4…7 bytes of operand b (immediates have none).
    /// - MXM `lw`: 0…15 the streams. `iw`: j = the `lw` that loaded group j, for each j < n; [`INSTALL_TIME`].
    ///   `act`: 0, 1 the bytes; 2 the `iw` whose weights it meets.
    ///   `out`, `acc`, `drop`: 0…3 bytes of the partial sum (`acc` only); 4 the `act` that it meets.
    /// - SXM `distribute`: 0…7 stream 8q+i (selected ones only), 8 map. `transpose`: 0…15.
    ///   `permute`: 0…3 source, 4, 5 map. `shift`: 0…3.
    pub slot: u8,
    /// First iteration of the consumer.
    pub first: u32,
    /// Iterations covered, ≥ 1.
    pub count: u32,
    /// Who made it.
    pub source: Source,
    /// Index in `Program::locations`: the part of the model that it serves.
    pub loc: u32,
}

impl Source {
    /// The iteration or word of the first iteration that the record covers; 0 for the clock.
    pub fn first(self) -> u32 {
        match self {
            Source::Dispatch { first, .. } => first,
            Source::Image { word, .. } => word.into(),
            Source::Clock { .. } => 0,
        }
    }

    /// The same with another [`first`](Source::first), if there is one of this number.
    pub(crate) fn with_first(self, number: i64) -> Option<Source> {
        Some(match self {
            Source::Dispatch { site, step, .. } => Source::Dispatch {
                site,
                first: u32::try_from(number).ok()?,
                step,
            },
            Source::Image { step, .. } => Source::Image {
                word: Address::try_from(number).ok()?,
                step,
            },
            Source::Clock { .. } => return (number == 0).then_some(self),
        })
    }
}

/// A program for one chip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Name of the machine file.
    pub machine: String,
    /// Hash of the machine file (`tspc_machine::Machine::hash`).
    pub machine_hash: String,
    /// 144 queues.
    pub queues: Vec<Vec<Instr>>,
    /// Constants.
    pub image: Vec<ImageSegment>,
    /// What the host writes before cycle 0.
    pub inputs: Vec<IoEntry>,
    /// What the host reads afterwards.
    pub outputs: Vec<IoEntry>,
    /// Who takes what from whom.
    pub uses: Vec<Use>,
    /// Paths in the model, named by `uses`.
    pub locations: Vec<String>,
}

impl Program {
    /// The words of memory that a `read`, or the host in a run of an output, names itself from iteration `first` on.
    pub fn own_words(&self, consumer: Consumer, first: u32) -> Option<Source> {
        let (addr, step) = match consumer {
            Consumer::Instr(Site { queue, index }) => {
                let instr = self.queues.get(queue.index())?.get(index as usize)?;
                let Instr::Mem { read, .. } = *instr else {
                    return None;
                };
                let MemAccess::Direct { addr, step } = read?.access else {
                    return None;
                };
                (addr, step)
            }
            Consumer::Output { entry, run } => {
                let entry = self.outputs.get(entry as usize)?;
                let run = entry.runs().nth(run as usize)?;
                (run.addr, run.step)
            }
        };
        let word = i64::from(addr) + i64::from(first) * i64::from(step);
        Some(Source::Image {
            word: Address::try_from(word).ok()?,
            step,
        })
    }
}

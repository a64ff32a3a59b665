//! Names of the chip's parts: hemispheres, directions, streams, units and the 144 queues.
//!
//! Knows the floor plan (machine.json `floor_plan`), no delay and no resource rule.

use std::fmt;

/// One half of the chip, seen from the VXM in the middle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hemisphere {
    /// Planes 0 and 1.
    West,
    /// Planes 2 and 3.
    East,
}

impl Hemisphere {
    /// Both, in queue order.
    pub const ALL: [Hemisphere; 2] = [Hemisphere::West, Hemisphere::East];

    /// The direction that leads away from the VXM here.
    pub fn outward(self) -> Direction {
        match self {
            Hemisphere::West => Direction::West,
            Hemisphere::East => Direction::East,
        }
    }

    /// The direction that leads to the VXM here.
    pub fn inward(self) -> Direction {
        self.outward().reverse()
    }

    /// 0 for West, 1 for East.
    pub fn index(self) -> usize {
        self as usize
    }

    /// `W` or `E`.
    pub fn letter(self) -> char {
        match self {
            Hemisphere::West => 'W',
            Hemisphere::East => 'E',
        }
    }
}

/// The way a stream flows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// Westward.
    West,
    /// Eastward.
    East,
}

impl Direction {
    /// The opposite direction.
    pub fn reverse(self) -> Direction {
        match self {
            Direction::West => Direction::East,
            Direction::East => Direction::West,
        }
    }

    /// 0 for westward, 1 for eastward.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A byte stream together with its direction; prints as `e7` or `w31`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stream {
    /// Where it flows.
    pub dir: Direction,
    /// 0…31.
    pub id: u8,
}

impl Stream {
    /// Byte `k` of the aligned group that starts here.
    pub fn byte(self, k: u8) -> Stream {
        Stream {
            dir: self.dir,
            id: self.id + k,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = if self.dir == Direction::East {
            'e'
        } else {
            'w'
        };
        write!(f, "{letter}{}", self.id)
    }
}

/// The queues of one hemisphere's SXM, in queue order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SxmUnit {
    /// Distributor 0…3; distributor q serves streams 8q…8q+7.
    Distributor(u8),
    /// Transposer 0 or 1.
    Transposer(u8),
    /// The permutor.
    Permutor,
    /// Towards higher lanes.
    ShiftUp,
    /// Towards lower lanes.
    ShiftDown,
    /// 0…4: select, rotate, and three for C2C and host; no instructions in v1.
    Reserved(u8),
}

/// The three queues of one MXM plane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MxmQueue {
    /// `lw`, `iw`.
    Weight,
    /// `act`.
    Activation,
    /// `out`, `acc`, `drop`.
    Accumulate,
}

/// What a queue feeds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Unit {
    /// VXM ALU 0…15: row a/4, column a%4.
    Alu(u8),
    /// MEM slice 0…43 of a hemisphere.
    Mem(Hemisphere, u8),
    /// An SXM sub-unit.
    Sxm(Hemisphere, SxmUnit),
    /// A queue of plane 0 or 1 of a hemisphere (chip-wide plane number = 2·hemisphere + plane).
    Mxm(Hemisphere, u8, MxmQueue),
}

/// Number of queues (machine.json `queues.count`).
pub const QUEUES: usize = 144;
/// MEM slices per hemisphere.
pub const SLICES: u8 = 44;
const PER_HEMISPHERE: u8 = SLICES + 14 + 6;

/// A queue's number, 0…143: ALUs 0…15, then West, then East: MEM 0…43, SXM 14, MXM plane by plane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QueueId(u8);

impl QueueId {
    /// The queue with this number, if there is one.
    pub fn new(number: usize) -> Option<QueueId> {
        (number < QUEUES).then_some(QueueId(number as u8))
    }

    /// All queues, in order.
    pub fn all() -> impl Iterator<Item = QueueId> {
        (0..QUEUES as u8).map(QueueId)
    }

    /// 0…143.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// What this queue feeds.
    pub fn unit(self) -> Unit {
        if self.0 < 16 {
            return Unit::Alu(self.0);
        }
        let k = self.0 - 16;
        let hemi = Hemisphere::ALL[(k / PER_HEMISPHERE) as usize];
        match k % PER_HEMISPHERE {
            s @ 0..SLICES => Unit::Mem(hemi, s),
            x @ SLICES..58 => Unit::Sxm(
                hemi,
                match x - SLICES {
                    q @ 0..4 => SxmUnit::Distributor(q),
                    t @ 4..6 => SxmUnit::Transposer(t - 4),
                    6 => SxmUnit::Permutor,
                    7 => SxmUnit::ShiftUp,
                    8 => SxmUnit::ShiftDown,
                    r => SxmUnit::Reserved(r - 9),
                },
            ),
            m => {
                let kind = [MxmQueue::Weight, MxmQueue::Activation, MxmQueue::Accumulate]
                    [((m - 58) % 3) as usize];
                Unit::Mxm(hemi, (m - 58) / 3, kind)
            }
        }
    }
}

impl Unit {
    /// The queue of this unit; `None` for a number outside the floor plan.
    pub fn queue(self) -> Option<QueueId> {
        let base = |h: Hemisphere| 16 + PER_HEMISPHERE * h as u8;
        let n = match self {
            Unit::Alu(a) if a < 16 => a,
            Unit::Mem(h, s) if s < SLICES => base(h) + s,
            Unit::Sxm(h, x) => {
                base(h)
                    + SLICES
                    + match x {
                        SxmUnit::Distributor(q) if q < 4 => q,
                        SxmUnit::Transposer(t) if t < 2 => 4 + t,
                        SxmUnit::Permutor => 6,
                        SxmUnit::ShiftUp => 7,
                        SxmUnit::ShiftDown => 8,
                        SxmUnit::Reserved(r) if r < 5 => 9 + r,
                        _ => return None,
                    }
            }
            Unit::Mxm(h, p, q) if p < 2 => base(h) + 58 + 3 * p + q as u8,
            _ => return None,
        };
        Some(QueueId(n))
    }
}

impl fmt::Display for Unit {
    /// `ALU7`, `MEM_W12`, `SXM_E.permutor`, `MXM2.act` (chip-wide plane number).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Unit::Alu(a) => write!(f, "ALU{a}"),
            Unit::Mem(h, s) => write!(f, "MEM_{}{s}", h.letter()),
            Unit::Sxm(h, x) => {
                write!(f, "SXM_{}.", h.letter())?;
                match x {
                    SxmUnit::Distributor(q) => write!(f, "distributor{q}"),
                    SxmUnit::Transposer(t) => write!(f, "transposer{t}"),
                    SxmUnit::Permutor => write!(f, "permutor"),
                    SxmUnit::ShiftUp => write!(f, "up"),
                    SxmUnit::ShiftDown => write!(f, "down"),
                    SxmUnit::Reserved(r) => write!(f, "reserved{r}"),
                }
            }
            Unit::Mxm(h, p, q) => {
                let q = match q {
                    MxmQueue::Weight => "weight",
                    MxmQueue::Activation => "act",
                    MxmQueue::Accumulate => "acc",
                };
                write!(f, "MXM{}.{q}", 2 * h.index() as u8 + p)
            }
        }
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unit().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_numbers_round_trip() {
        for q in QueueId::all() {
            assert_eq!(q.unit().queue(), Some(q), "{q}");
        }
        assert_eq!(Unit::Mem(Hemisphere::East, 0).queue().unwrap().index(), 80);
        assert_eq!(QueueId::new(143).unwrap().to_string(), "MXM3.acc");
        assert_eq!(QueueId::new(144), None);
    }
}

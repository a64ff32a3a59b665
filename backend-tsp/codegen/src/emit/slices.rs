//! What a queue does, turn by turn: a slice that reads one bank while it writes the other has one instruction for both.
//!
//! An op is a run of dispatches. Where a read and a write of a slice overlap, both are cut where the other begins or
//! ends, so that each turn is one instruction with its repeat (machine.md, MEM and ICU).

use tspc_program::{Instr, MemAccess, MemPart};

use super::Dispatch;
use super::facts::BANK_SHIFT;

/// One instruction with its repeat.
pub struct Turn<'a> {
    /// Dispatch of iteration 0.
    pub cycle: i64,
    pub count: u32,
    pub interval: i64,
    /// Whose: one, or a read and a write.
    pub dispatches: Vec<&'a Dispatch>,
}

/// The turns of one queue, whose dispatches are in order.
pub fn turns<'a>(run: &[&'a Dispatch]) -> Vec<Turn<'a>> {
    let mut turns = Vec::new();
    let mut rest = run;
    while !rest.is_empty() {
        // Dispatches that overlap in time, one way or another.
        let mut end = rest[0].end();
        let mut n = 1;
        while n < rest.len() && rest[n].cycle < end {
            end = end.max(rest[n].end());
            n += 1;
        }
        cut(&rest[..n], &mut turns);
        rest = &rest[n..];
    }
    turns
}

/// Cuts dispatches that overlap where any of them begins or ends; of one with gaps, each iteration.
fn cut<'a>(together: &[&'a Dispatch], turns: &mut Vec<Turn<'a>>) {
    if let [alone] = together {
        turns.push(Turn {
            cycle: alone.cycle,
            count: alone.count,
            interval: alone.interval,
            dispatches: vec![alone],
        });
        return;
    }
    let mut stretches: Vec<(i64, i64, &Dispatch)> = Vec::new();
    for &d in together {
        match d.interval {
            1 => stretches.push((d.cycle, d.end(), d)),
            interval => stretches.extend((0..i64::from(d.count)).map(|i| {
                let cycle = d.cycle + i * interval;
                (cycle, cycle + 1, d)
            })),
        }
    }
    let ends = stretches.iter().flat_map(|s| [s.0, s.1]);
    let mut cuts: Vec<i64> = ends.collect();
    cuts.sort_unstable();
    cuts.dedup();
    for pair in cuts.windows(2) {
        let here = stretches.iter().filter(|s| s.0 < pair[1] && pair[0] < s.1);
        let dispatches: Vec<&Dispatch> = here.map(|s| s.2).collect();
        if !dispatches.is_empty() {
            turns.push(Turn {
                cycle: pair[0],
                count: (pair[1] - pair[0]) as u32,
                interval: 1,
                dispatches,
            });
        }
    }
}

impl Dispatch {
    /// One past the last cycle.
    fn end(&self) -> i64 {
        self.cycle + i64::from(self.count - 1) * self.interval + 1
    }
}

impl Turn<'_> {
    /// One past the last cycle.
    pub fn end(&self) -> i64 {
        self.cycle + i64::from(self.count - 1) * self.interval + 1
    }

    /// The iteration of an op's dispatch with which the turn begins.
    pub fn first(&self, d: &Dispatch) -> u32 {
        ((self.cycle - d.cycle) / d.interval) as u32
    }

    /// Whether its dispatches cannot share an instruction: only a read and a write can, in different banks.
    pub fn conflicts(&self) -> bool {
        if self.dispatches.len() != 2 {
            return self.dispatches.len() > 2;
        }
        let bank = |part: MemPart| match part.access {
            MemAccess::Direct { addr, .. } => Some(addr >> BANK_SHIFT),
            _ => None,
        };
        match self.instr() {
            Instr::Mem {
                read: Some(read),
                write: Some(write),
            } => bank(read) == bank(write),
            _ => true,
        }
    }

    /// The instruction.
    pub fn instr(&self) -> Instr {
        let part = |part: Option<MemPart>, d: &Dispatch| {
            part.map(|part| MemPart {
                access: match part.access {
                    MemAccess::Direct { addr, step } => MemAccess::Direct {
                        addr: (i64::from(addr) + i64::from(self.first(d)) * i64::from(step)) as u16,
                        step: if self.count > 1 { step } else { 0 },
                    },
                    other => other,
                },
                ..part
            })
        };
        let (mut reads, mut writes) = (None, None);
        for d in &self.dispatches {
            let Instr::Mem { read, write } = d.instr else {
                return d.instr;
            };
            reads = reads.or(part(read, d));
            writes = writes.or(part(write, d));
        }
        Instr::Mem {
            read: reads,
            write: writes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tspc_ir::Entity;
    use tspc_program::{Direction, Hemisphere, Stream, Unit};

    fn access(cycle: i64, count: u32, interval: i64, addr: u16, write: bool) -> Dispatch {
        let stream = Stream {
            dir: Direction::East,
            id: 0,
        };
        let part = Some(MemPart {
            stream,
            access: MemAccess::Direct { addr, step: 1 },
        });
        let (read, write) = if write { (None, part) } else { (part, None) };
        Dispatch {
            op: tspc_ir::Op::new(0),
            queue: Unit::Mem(Hemisphere::West, 0).queue().unwrap(),
            cycle,
            count,
            interval,
            instr: Instr::Mem { read, write },
        }
    }

    fn address(part: Option<MemPart>) -> Option<u16> {
        match part?.access {
            MemAccess::Direct { addr, .. } => Some(addr),
            _ => None,
        }
    }

    #[test]
    fn a_read_and_a_write_share_instructions_while_they_overlap() {
        let (read, write) = (access(10, 32, 1, 100, false), access(30, 32, 1, 4096, true));
        let turns = turns(&[&read, &write]);
        let seen: Vec<_> = turns
            .iter()
            .map(|t| {
                let Instr::Mem { read, write } = t.instr() else {
                    unreachable!("turns of accesses are accesses")
                };
                (t.cycle, t.count, address(read), address(write))
            })
            .collect();
        let expected = [
            (10, 20, Some(100), None),
            (30, 12, Some(120), Some(4096)),
            (42, 20, None, Some(4108)),
        ];
        assert_eq!(seen, expected);
        assert!(turns.iter().all(|t| !t.conflicts()));
        assert_eq!((turns[1].first(&read), turns[2].first(&write)), (20, 12));
    }

    #[test]
    fn what_does_not_overlap_stays_whole() {
        let (a, b) = (access(0, 8, 16, 0, true), access(113, 4, 1, 9, false));
        let turns = turns(&[&a, &b]);
        let whole: Vec<_> = turns
            .iter()
            .map(|t| (t.cycle, t.count, t.interval))
            .collect();
        assert_eq!(whole, [(0, 8, 16), (113, 4, 1)]);
    }

    #[test]
    fn what_falls_into_gaps_has_turns_of_its_own() {
        let (gaps, read) = (access(0, 3, 16, 4096, true), access(14, 8, 1, 0, false));
        let turns = turns(&[&gaps, &read]);
        let seen: Vec<_> = turns
            .iter()
            .map(|t| (t.cycle, t.count, t.dispatches.len()))
            .collect();
        assert_eq!(
            seen,
            [(0, 1, 1), (14, 2, 1), (16, 1, 2), (17, 5, 1), (32, 1, 1)]
        );
        assert!(turns.iter().all(|t| !t.conflicts()));
        assert_eq!(turns[4].first(&gaps), 2);
    }

    #[test]
    fn two_reads_or_one_bank_cannot_share() {
        let (a, b) = (access(0, 8, 1, 0, false), access(4, 8, 1, 50, false));
        assert!(turns(&[&a, &b]).iter().any(Turn::conflicts));
        let (gaps, read) = (access(0, 8, 16, 90, true), access(14, 8, 1, 0, false));
        assert!(turns(&[&gaps, &read]).iter().any(Turn::conflicts));
    }
}

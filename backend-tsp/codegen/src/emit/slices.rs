//! What a queue does, turn by turn: a slice that reads one bank while it writes the other has one instruction for both.
//!
//! An op is a run of dispatches. Where a read and a write of a slice overlap, both are cut where the other begins or
//! ends, so that each turn is one instruction with its repeat (machine.md, MEM and ICU).

use tspc_program::{Instr, MemAccess, MemPart};

use super::Dispatch;

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

/// Cuts dispatches that overlap where any of them begins or ends.
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
    let ends = together.iter().flat_map(|d| [d.cycle, d.end()]);
    let mut cuts: Vec<i64> = ends.collect();
    cuts.sort_unstable();
    cuts.dedup();
    for pair in cuts.windows(2) {
        let here = together
            .iter()
            .filter(|d| d.cycle < pair[1] && pair[0] < d.end());
        let dispatches: Vec<&Dispatch> = here.copied().collect();
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

    /// Whether its dispatches cannot share an instruction.
    pub fn conflicts(&self) -> bool {
        let parts = |d: &Dispatch| match d.instr {
            Instr::Mem { read, write } => (read.is_some(), write.is_some()),
            _ => (true, true),
        };
        match self.dispatches[..] {
            [_] => false,
            [a, b] => {
                let ((ar, aw), (br, bw)) = (parts(a), parts(b));
                ar && br
                    || aw && bw
                    || a.interval != 1 && a.count > 1
                    || b.interval != 1 && b.count > 1
            }
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

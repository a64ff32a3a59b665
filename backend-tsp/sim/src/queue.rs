//! One instruction queue: what dispatches when (machine.md section 3, ICU).

use tspc_program::Instr;

/// A queue at its next dispatch.
pub struct Queue<'p> {
    instrs: &'p [Instr],
    /// Index of the instruction that dispatches next; `instrs.len()` when the queue is empty.
    index: usize,
    /// 0, or the iteration of its repeat.
    iteration: u32,
    /// The cycle in which it dispatches; `u64::MAX` when the queue is empty.
    pub next: u64,
}

/// Refuses sequences that have no meaning; index and reason.
pub fn check(instrs: &[Instr]) -> Result<(), (usize, &'static str)> {
    for (index, instr) in instrs.iter().enumerate() {
        let wrong = match instr {
            Instr::Nop { n: 0 } => "a nop waits at least one cycle",
            Instr::Repeat { n: 0, .. } | Instr::Repeat { d: 0, .. } => {
                "a repeat has n ≥ 1 and d ≥ 1"
            }
            Instr::Repeat { .. } => match index.checked_sub(1).map(|before| &instrs[before]) {
                None => "a repeat needs an instruction before it",
                Some(Instr::Nop { .. }) => "a nop is not repeated",
                Some(Instr::Repeat { .. }) => "a repeat is not repeated",
                Some(_) => continue,
            },
            _ => continue,
        };
        return Err((index, wrong));
    }
    Ok(())
}

impl<'p> Queue<'p> {
    /// A queue that [`check`] accepts, at cycle 0.
    pub fn new(instrs: &'p [Instr]) -> Queue<'p> {
        let mut queue = Queue {
            instrs,
            index: 0,
            iteration: 0,
            next: 0,
        };
        queue.pass_nops();
        queue
    }

    /// The dispatch that is due at `self.next`: index, iteration, instruction.
    pub fn current(&self) -> Option<(usize, u32, &'p Instr)> {
        self.instrs
            .get(self.index)
            .map(|instr| (self.index, self.iteration, instr))
    }

    /// Goes on to the dispatch after the current one.
    pub fn advance(&mut self) {
        if let Some(Instr::Repeat { n, d }) = self.instrs.get(self.index + 1) {
            if self.iteration < u32::from(*n) {
                self.iteration += 1;
                self.next += u64::from(*d);
                return;
            }
            self.index += 1;
        }
        self.index += 1;
        self.iteration = 0;
        self.next += 1;
        self.pass_nops();
    }

    fn pass_nops(&mut self) {
        while let Some(Instr::Nop { n }) = self.instrs.get(self.index) {
            self.index += 1;
            self.next += u64::from(*n);
        }
        if self.index >= self.instrs.len() {
            self.next = u64::MAX;
        }
    }
}

/// One more than the last cycle in which one of the queues dispatches.
pub fn length(queues: &[Vec<Instr>]) -> u64 {
    let last = |instrs: &Vec<Instr>| {
        let (mut next, mut last) = (0u64, 0);
        for (index, instr) in instrs.iter().enumerate() {
            match instr {
                Instr::Nop { n } => next += u64::from(*n),
                Instr::Repeat { .. } => {}
                _ => {
                    if let Some(Instr::Repeat { n, d }) = instrs.get(index + 1) {
                        next += u64::from(*n) * u64::from(*d);
                    }
                    next += 1;
                    last = next;
                }
            }
        }
        last
    };
    queues.iter().map(last).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nops_and_repeats_in_time() {
        let instrs = [
            Instr::Nop { n: 5 },
            Instr::Drop,
            Instr::Repeat { n: 2, d: 3 },
            Instr::Drop,
            Instr::Nop { n: 4 },
            Instr::Nop { n: 1 },
            Instr::Drop,
        ];
        assert_eq!(check(&instrs), Ok(()));
        let mut queue = Queue::new(&instrs);
        let mut seen = Vec::new();
        while let Some((index, iteration, _)) = queue.current() {
            seen.push((queue.next, index, iteration));
            queue.advance();
        }
        // A nop reached at 13 holds the next one back to 17.
        assert_eq!(
            seen,
            [(5, 1, 0), (8, 1, 1), (11, 1, 2), (12, 3, 0), (18, 6, 0)]
        );
        assert_eq!(queue.next, u64::MAX);
        assert_eq!(length(&[instrs.to_vec()]), 19);
    }

    #[test]
    fn sequences_without_meaning() {
        let repeat = Instr::Repeat { n: 1, d: 1 };
        let cases: [(&[Instr], usize); 6] = [
            (&[Instr::Nop { n: 0 }], 0),
            (&[repeat], 0),
            (&[Instr::Nop { n: 1 }, repeat], 1),
            (&[Instr::Drop, repeat, repeat], 2),
            (&[Instr::Drop, Instr::Repeat { n: 0, d: 1 }], 1),
            (&[Instr::Drop, Instr::Repeat { n: 1, d: 0 }], 1),
        ];
        for (instrs, index) in cases {
            assert_eq!(check(instrs).map_err(|e| e.0), Err(index), "{instrs:?}");
        }
    }
}

//! When a queue dispatches: cycles as `nop` and `repeat` imply them.
//!
//! Part of the format, not of the machine: no delay of any unit enters here (machine.md section 3, ICU).
//!
//! 1. A queue starts at cycle 0.
//! 2. A `nop n` reached at t: the next instruction dispatches at t+n.
//! 3. Any other instruction dispatched at t: the next one may dispatch at t+1.
//! 4. A `repeat n, d` after an instruction dispatched at t: that one again at t+d … t+nd, the next one at
//!    t+nd+1. The repeat takes no cycle of its own.
//!
//! Cycles are u64; more than 2^32 instructions in one queue, whose text no memory holds, would be needed to
//! exceed them. Sums saturate all the same.

use crate::instr::Instr;

/// An instruction of a queue with all its dispatches; see [`dispatches`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dispatch {
    /// Index in the queue.
    pub index: usize,
    /// Cycle of iteration 0.
    pub first: u64,
    /// Iterations after the first: the `n` of the repeat that follows, else 0.
    pub n: u16,
    /// Cycles between iterations: the `d` of the repeat that follows, else 1.
    pub d: u16,
}

impl Dispatch {
    /// Number of iterations, n+1.
    pub fn iterations(&self) -> u32 {
        u32::from(self.n) + 1
    }

    /// Cycle of iteration `i`, which need not exist.
    pub fn cycle(&self, i: u32) -> u64 {
        self.first.saturating_add(u64::from(i) * u64::from(self.d))
    }

    /// Cycle of the last iteration.
    pub fn last(&self) -> u64 {
        self.cycle(u32::from(self.n))
    }
}

/// What a queue dispatches, in order; nops and repeats are folded into the cycles. A repeat without an
/// instruction before it, which [`validate`](crate::Program::validate) refuses, counts for nothing.
pub fn dispatches(queue: &[Instr]) -> impl Iterator<Item = Dispatch> + '_ {
    let mut free = 0u64;
    queue
        .iter()
        .enumerate()
        .filter_map(move |(index, instr)| match *instr {
            Instr::Nop { n } => {
                free = free.saturating_add(n.into());
                None
            }
            Instr::Repeat { .. } => None,
            _ => {
                let (n, d) = match queue.get(index + 1) {
                    Some(&Instr::Repeat { n, d }) => (n, d),
                    _ => (0, 1),
                };
                let dispatch = Dispatch {
                    index,
                    first: free,
                    n,
                    d,
                };
                free = dispatch.last().saturating_add(1);
                Some(dispatch)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(queue: &[Instr]) -> Vec<(usize, u64, u64)> {
        dispatches(queue)
            .map(|x| (x.index, x.first, x.last()))
            .collect()
    }

    #[test]
    fn an_instruction_takes_one_cycle() {
        assert_eq!(of(&[Instr::Drop, Instr::Drop]), [(0, 0, 0), (1, 1, 1)]);
    }

    #[test]
    fn a_nop_delays_what_follows_by_n_from_where_it_is_reached() {
        let queue = [
            Instr::Nop { n: 5 },
            Instr::Drop,
            Instr::Nop { n: 1 },
            Instr::Nop { n: 2 },
            Instr::Drop,
        ];
        assert_eq!(of(&queue), [(1, 5, 5), (4, 9, 9)]);
    }

    #[test]
    fn a_repeat_takes_no_cycle_of_its_own() {
        let queue = [Instr::Drop, Instr::Repeat { n: 3, d: 4 }, Instr::Drop];
        assert_eq!(of(&queue), [(0, 0, 12), (2, 13, 13)]);
        let [first, _] = dispatches(&queue).collect::<Vec<_>>()[..] else {
            panic!()
        };
        assert_eq!((first.iterations(), first.cycle(2)), (4, 8));
    }

    #[test]
    fn long_waits_do_not_wrap() {
        let mut queue = vec![
            Instr::Drop,
            Instr::Repeat {
                n: u16::MAX,
                d: u16::MAX,
            },
        ];
        queue.extend([Instr::Nop { n: u16::MAX }, Instr::Drop]);
        let max = u64::from(u16::MAX);
        assert_eq!(of(&queue)[1].1, max * max + 1 + max);
    }

    #[test]
    fn a_stray_repeat_counts_for_nothing() {
        assert_eq!(
            of(&[Instr::Repeat { n: 3, d: 4 }, Instr::Drop]),
            [(1, 0, 0)]
        );
    }
}

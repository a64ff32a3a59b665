//! The `uses` records, indexed by consumer, and the walk along them in iteration order.
//!
//! Before: the program's structure is sound. Holds: the token that a record names for an iteration is found in
//! constant time as iterations go up.

use tspc_program::{Consumer, INSTALL_TIME, Program, Source, Use};

use crate::sites::Sites;
use crate::token::Token;

/// Operand slots of an instruction: 0…39 (`iw` of 40 groups). Behind them is the time of an `iw`, no operand.
pub(crate) const SLOTS: usize = INSTALL_TIME as usize;

/// Records by consumer.
#[derive(Default)]
pub(crate) struct Uses {
    /// Indices in `Program::uses`, by site, slot and first iteration.
    order: Vec<u32>,
    /// Where a site's records begin in `order`, and the end.
    begin: Vec<u32>,
    /// Indices of the records of outputs, by entry, run and first word.
    outputs: Vec<u32>,
}

impl Uses {
    /// Records whose consumer does not exist are left out (and refused elsewhere).
    pub(crate) fn new(program: &Program, sites: &Sites) -> Uses {
        let consumer = |u: &Use| match u.consumer {
            Consumer::Instr(site) => sites.number(site),
            Consumer::Output { .. } => None,
        };
        let mut begin = vec![0u32; sites.len() + 1];
        let mut outputs = Vec::new();
        for (i, u) in program.uses.iter().enumerate() {
            match consumer(u) {
                Some(site) => begin[site as usize + 1] += 1,
                None if matches!(u.consumer, Consumer::Output { .. }) => outputs.push(i as u32),
                None => {}
            }
        }
        for site in 0..sites.len() {
            begin[site + 1] += begin[site];
        }
        let mut order = vec![0u32; *begin.last().unwrap_or(&0) as usize];
        let mut next = begin.clone();
        for (i, u) in program.uses.iter().enumerate() {
            if let Some(site) = consumer(u) {
                order[next[site as usize] as usize] = i as u32;
                next[site as usize] += 1;
            }
        }
        let record = |i: &u32| &program.uses[*i as usize];
        for site in 0..sites.len() {
            order[begin[site] as usize..begin[site + 1] as usize]
                .sort_unstable_by_key(|i| (record(i).slot, record(i).first, *i));
        }
        outputs.sort_unstable_by_key(|i| (record(i).consumer, record(i).first, *i));
        Uses {
            order,
            begin,
            outputs,
        }
    }

    /// Records of a site, by slot and first iteration.
    pub(crate) fn of_site(&self, site: u32) -> &[u32] {
        let site = site as usize;
        match (self.begin.get(site), self.begin.get(site + 1)) {
            (Some(&a), Some(&b)) => &self.order[a as usize..b as usize],
            _ => &[],
        }
    }

    /// Records of an output's run, by first word.
    pub(crate) fn of_run(&self, program: &Program, entry: u32, run: u32) -> &[u32] {
        let consumer = Consumer::Output { entry, run };
        let key = |i: &u32| program.uses[*i as usize].consumer;
        let a = self.outputs.partition_point(|i| key(i) < consumer);
        let b = self.outputs.partition_point(|i| key(i) <= consumer);
        &self.outputs[a..b]
    }

    /// A location that the site serves.
    pub(crate) fn location(&self, program: &Program, site: u32) -> Option<u32> {
        self.of_site(site)
            .first()
            .map(|&i| program.uses[i as usize].loc)
    }
}

/// The walk along the records of one operand.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    /// Iterations `from` ≤ i < `until` are covered by `record`.
    from: u32,
    until: u32,
    /// Index in `Program::uses`.
    record: u32,
    token: Token,
    step: i64,
    /// Next record and the end, in the list that is walked.
    next: u32,
    end: u32,
}

impl Walk {
    pub(crate) const EMPTY: Walk = Walk {
        from: 0,
        until: 0,
        record: 0,
        token: Token::NOTHING,
        step: 0,
        next: 0,
        end: 0,
    };

    /// Along `list[next..end]`, all of one slot, sorted by first iteration.
    pub(crate) fn new(next: usize, end: usize) -> Walk {
        Walk {
            next: next as u32,
            end: end as u32,
            ..Walk::EMPTY
        }
    }

    /// Who makes the operand of this iteration, and the record that says so; iterations may not go down.
    pub(crate) fn at(
        &mut self,
        iteration: u32,
        list: &[u32],
        program: &Program,
        sites: &Sites,
    ) -> Option<(Token, u32)> {
        while iteration >= self.until {
            if self.next == self.end {
                return None;
            }
            self.record = list[self.next as usize];
            self.next += 1;
            let u = &program.uses[self.record as usize];
            self.from = u.first;
            self.until = u.first.saturating_add(u.count);
            (self.token, self.step) = match u.source {
                Source::Image { word, step } => (Token::input(word), i64::from(step)),
                Source::Clock { .. } => return None,
                Source::Dispatch { site, first, step } => {
                    (Token::dispatch(sites.number(site)?, first), i64::from(step))
                }
            };
        }
        let i = iteration.checked_sub(self.from)?;
        Some((self.token.later(i64::from(i) * self.step), self.record))
    }
}

/// What is wrong with the cover of `iterations` by records of one slot, sorted by first iteration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CoverFault {
    /// No record for this iteration.
    Gap(u32),
    /// Record `.1` covers the iteration again.
    Twice(u32, u32),
    /// Record `.1` covers an iteration that does not exist.
    Beyond(u32, u32),
}

/// Every fault, in iteration order.
pub(crate) fn cover_faults(iterations: u32, list: &[u32], uses: &[Use]) -> Vec<CoverFault> {
    let mut faults = Vec::new();
    let mut covered = 0u64;
    for &record in list {
        let u = &uses[record as usize];
        let (first, end) = (u64::from(u.first), u64::from(u.first) + u64::from(u.count));
        if first > covered && covered < u64::from(iterations) {
            faults.push(CoverFault::Gap(covered as u32));
        } else if first < covered {
            faults.push(CoverFault::Twice(u.first, record));
        }
        if end > u64::from(iterations) {
            faults.push(CoverFault::Beyond(iterations.max(u.first), record));
        }
        covered = covered.max(end);
    }
    if covered < u64::from(iterations) {
        faults.push(CoverFault::Gap(covered as u32));
    }
    faults
}

#[cfg(test)]
mod tests {
    use tspc_program::{QueueId, Site};

    use super::*;

    fn record(first: u32, count: u32) -> Use {
        let site = Site {
            queue: QueueId::new(0).unwrap(),
            index: 0,
        };
        Use {
            consumer: Consumer::Instr(site),
            slot: 0,
            first,
            count,
            source: Source::Image { word: 0, step: 0 },
            loc: 0,
        }
    }

    #[test]
    fn covers_are_exact() {
        let uses = [
            record(0, 3),
            record(3, 2),
            record(2, 1),
            record(5, 1),
            record(9, 1),
        ];
        let faults = |n, list: &[u32]| cover_faults(n, list, &uses);
        assert_eq!(faults(5, &[0, 1]), []);
        assert_eq!(faults(6, &[0, 1]), [CoverFault::Gap(5)]);
        assert_eq!(faults(6, &[0, 3]), [CoverFault::Gap(3)]);
        assert_eq!(faults(3, &[0, 2]), [CoverFault::Twice(2, 2)]);
        assert_eq!(faults(4, &[0, 1]), [CoverFault::Beyond(4, 1)]);
        assert_eq!(faults(3, &[0, 4]), [CoverFault::Beyond(9, 4)]);
        assert_eq!(faults(1, &[]), [CoverFault::Gap(0)]);
    }
}

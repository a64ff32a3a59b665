//! Sites in a row, with the cycles in which they dispatch: what `nop` and `repeat` imply (machine.md, ICU).
//!
//! Total on any program: a repeat of nothing counts for nothing here (and is refused elsewhere).

use tspc_program::{Instr, Program, QueueId, Site};

use crate::token::{Maker, Token};

/// When a site dispatches: iteration i at `start + i·interval`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dispatches {
    /// Cycle of iteration 0.
    pub(crate) start: u64,
    /// Iterations; 0 for nops and repeats.
    pub(crate) count: u32,
    pub(crate) interval: u16,
}

impl Dispatches {
    pub(crate) fn cycle(&self, iteration: u32) -> u64 {
        self.start + u64::from(iteration) * u64::from(self.interval)
    }
}

/// All sites, numbered queue by queue.
#[derive(Default)]
pub(crate) struct Sites {
    /// First site of each queue, and the end.
    base: Vec<u32>,
    times: Vec<Dispatches>,
}

impl Sites {
    /// At most `MAX_SITES` instructions.
    pub(crate) fn new(program: &Program) -> Sites {
        let mut sites = Sites {
            base: vec![0],
            times: Vec::new(),
        };
        for queue in &program.queues {
            let mut free = 0u64; // Cycle in which the queue reaches its next instruction.
            for instr in queue {
                let first = *sites.base.last().unwrap_or(&0) as usize == sites.times.len();
                let now = Dispatches {
                    start: free,
                    count: 0,
                    interval: 1,
                };
                let now = match *instr {
                    Instr::Nop { n } => {
                        free += u64::from(n);
                        now
                    }
                    Instr::Repeat { n, d } => {
                        if let Some(previous) =
                            sites.times.last_mut().filter(|p| !first && p.count == 1)
                        {
                            previous.count = u32::from(n) + 1;
                            previous.interval = d;
                            free += u64::from(n) * u64::from(d);
                        }
                        now
                    }
                    _ => {
                        free += 1;
                        Dispatches { count: 1, ..now }
                    }
                };
                sites.times.push(now);
            }
            sites.base.push(sites.times.len() as u32);
        }
        sites
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Sites of a queue.
    pub(crate) fn of_queue(&self, queue: QueueId) -> std::ops::Range<u32> {
        self.base[queue.index()]..self.base[queue.index() + 1]
    }

    pub(crate) fn number(&self, site: Site) -> Option<u32> {
        let queue = self.of_queue(site.queue);
        let number = queue.start.checked_add(site.index)?;
        queue.contains(&number).then_some(number)
    }

    pub(crate) fn site(&self, number: u32) -> Option<Site> {
        let queue = self
            .base
            .partition_point(|&first| first <= number)
            .checked_sub(1)?;
        Some(Site {
            queue: QueueId::new(queue)?,
            index: number - self.base[queue],
        })
    }

    pub(crate) fn times(&self, number: u32) -> Dispatches {
        self.times[number as usize]
    }

    /// `MEM_W3[12] iteration 4 (cycle 55)`.
    pub(crate) fn describe(&self, token: Token) -> String {
        match token.maker() {
            Maker::Nobody => "nothing".into(),
            Maker::Image(word) => format!("the initial image or an input, word {word}"),
            Maker::Mixed(_) => "several scatters".into(),
            Maker::Dispatch { site, iteration } => match self.site(site) {
                Some(Site { queue, index }) => {
                    let times = self.times(site);
                    let turn = if times.count > 1 {
                        format!(" iteration {iteration}")
                    } else {
                        String::new()
                    };
                    format!("{queue}[{index}]{turn} (cycle {})", times.cycle(iteration))
                }
                None => format!("site {site}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nops_and_repeats_imply_the_cycles() {
        let mut queues = vec![Vec::new(); tspc_program::QUEUES];
        let read = Instr::Mem {
            read: None,
            write: None,
        };
        queues[0] = vec![Instr::Drop];
        queues[20] = vec![
            Instr::Nop { n: 4 },
            read,
            Instr::Repeat { n: 2, d: 5 },
            read,
            Instr::Nop { n: 3 },
            read,
        ];
        let program = Program {
            machine: String::new(),
            machine_hash: String::new(),
            queues,
            image: vec![],
            inputs: vec![],
            outputs: vec![],
            uses: vec![],
            locations: vec![],
        };
        let sites = Sites::new(&program);
        let starts: Vec<_> = (1..7)
            .map(|s| (sites.times(s).start, sites.times(s).count))
            .collect();
        // A nop reached at 16 makes the next instruction dispatch at 19.
        assert_eq!(starts, [(0, 0), (4, 3), (5, 0), (15, 1), (16, 0), (19, 1)]);
        assert_eq!(sites.times(2).cycle(2), 14);
        let site = Site {
            queue: QueueId::new(20).unwrap(),
            index: 3,
        };
        assert_eq!(sites.number(site), Some(4));
        assert_eq!(sites.site(4), Some(site));
        assert_eq!(sites.number(Site { index: 6, ..site }), None);
        assert_eq!(
            sites.describe(Token::dispatch(2, 1)),
            "MEM_W4[1] iteration 1 (cycle 9)"
        );
    }
}

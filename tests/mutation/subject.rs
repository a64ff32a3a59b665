//! A program that is changed: what can be chosen in it, and what a change is.

use tspc::program::{Instr, Program, QueueId, Site};

use crate::image::Readers;
use crate::tiled::Seeded;

/// Where a change is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Place {
    /// An instruction and, for times, its neighbours.
    Instr(Site),
    /// A byte of an image segment.
    Image { segment: usize, byte: usize },
    /// The table of inputs and outputs.
    Table,
}

/// A program with one change.
pub struct Change {
    /// For people, and to tell changes apart.
    pub what: String,
    pub place: Place,
    pub program: Program,
}

pub struct Subject<'a> {
    pub program: &'a Program,
    pub readers: Readers,
}

impl<'a> Subject<'a> {
    pub fn new(program: &'a Program) -> Subject<'a> {
        Subject {
            program,
            readers: Readers::new(program),
        }
    }

    pub fn instr(&self, site: Site) -> &'a Instr {
        &self.program.queues[site.queue.index()][site.index as usize]
    }

    /// The instruction `offset` places after `site`.
    pub fn beside(&self, site: Site, offset: i64) -> Option<&'a Instr> {
        let index = i64::from(site.index) + offset;
        self.program.queues[site.queue.index()].get(usize::try_from(index).ok()?)
    }

    /// The count and the interval of the repeat after an instruction.
    pub fn repeat(&self, site: Site) -> Option<(u16, u16)> {
        match self.beside(site, 1) {
            Some(&Instr::Repeat { n, d }) => Some((n, d)),
            _ => None,
        }
    }

    /// One of the sites for which `holds`.
    pub fn pick(&self, dice: &mut Seeded, holds: impl Fn(Site, &Instr) -> bool) -> Option<Site> {
        let mut sites = Vec::new();
        for queue in QueueId::all() {
            for (index, instr) in (0..).zip(&self.program.queues[queue.index()]) {
                let site = Site { queue, index };
                if holds(site, instr) {
                    sites.push(site);
                }
            }
        }
        one_of(dice, &sites)
    }

    /// Other instructions in the place of some.
    pub fn replaced(&self, site: Site, others: &[(i64, Instr)]) -> Change {
        let mut program = self.program.clone();
        let queue = &mut program.queues[site.queue.index()];
        let mut what = format!("{}[{}]", site.queue, site.index);
        for &(offset, instr) in others {
            let old = &mut queue[(i64::from(site.index) + offset) as usize];
            what += &format!("; `{old}` is `{instr}`");
            *old = instr;
        }
        Change {
            what,
            place: Place::Instr(site),
            program,
        }
    }
}

/// Whether an instruction dispatches.
pub fn dispatches(instr: &Instr) -> bool {
    !matches!(instr, Instr::Nop { .. } | Instr::Repeat { .. })
}

pub fn one_of<T: Copy>(dice: &mut Seeded, all: &[T]) -> Option<T> {
    let n = all.len() as u64;
    (n > 0).then(|| all[(dice.next() % n) as usize])
}

/// 0 ≤ number < n.
pub fn below(dice: &mut Seeded, n: u64) -> u64 {
    dice.next() % n
}

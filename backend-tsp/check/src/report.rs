//! What the checker hands out: violations with place, cycle and shortfall, and a few totals.

use std::fmt;

use tspc_program::{Consumer, Program, Site};

use crate::rule::Rule;
use crate::sites::Sites;
use crate::uses::Uses;

/// Violations that a report keeps: the first ones found. The others are only counted.
pub const VIOLATIONS_KEPT: usize = 256;

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Cycle of the dispatch; `None` if it is not about a dispatch.
    pub cycle: Option<u64>,
    /// The unit, as in the listing; `program`, `image`, `inputs`, `outputs` or `uses` if there is none.
    pub unit: String,
    /// The instruction, if it is about one.
    pub site: Option<Site>,
    /// Which dispatch of the instruction: 0, then the repeats.
    pub iteration: u32,
    /// The instruction as text; empty if there is none.
    pub instruction: String,
    /// What is wrong, with the second place and the shortfall.
    pub message: String,
    /// The part of the model that the instruction serves; empty if `uses` does not say.
    pub location: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cycle {
            Some(cycle) => write!(f, "cycle {cycle}, {}", self.unit)?,
            None => write!(f, "{}", self.unit)?,
        }
        if let Some(site) = self.site {
            write!(f, "[{}]", site.index)?;
        }
        if self.iteration > 0 {
            write!(f, " iteration {}", self.iteration)?;
        }
        write!(f, ": {}: {}", self.rule, self.message)?;
        if !self.instruction.is_empty() {
            write!(f, "\n    {}", self.instruction)?;
        }
        if !self.location.is_empty() {
            write!(f, "\n    for {}", self.location)?;
        }
        Ok(())
    }
}

/// The verdict on a program: accepted if there are no violations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// At most [`VIOLATIONS_KEPT`], sorted by cycle, then queue.
    pub violations: Vec<Violation>,
    /// All violations, kept or not.
    pub total: u64,
    /// Dispatches of all queues; 0 if the structure of the program is broken.
    pub dispatches: u64,
    /// On-chip latency: dispatch of the last write of an output word, plus write and stagger. `None` if no
    /// instruction writes an output word.
    pub cycles: Option<u64>,
    /// Bytes of program text.
    pub text_bytes: u64,
    /// Words of memory that the image, the inputs or a write touch.
    pub sram_words: u64,
}

impl Report {
    /// Whether the program may run.
    pub fn accepted(&self) -> bool {
        self.total == 0
    }
}

/// What a violation is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Dispatch {
        site: u32,
        iteration: u32,
    },
    /// A part of the program, by name.
    Part(&'static str),
}

struct Found {
    rule: Rule,
    place: Place,
    location: Option<u32>,
    message: String,
}

/// Violations as they are found.
#[derive(Default)]
pub(crate) struct Log {
    found: Vec<Found>,
    pub(crate) total: u64,
    pub(crate) stop: bool,
}

impl Log {
    /// `location` is an index in `Program::locations`. The message is made only if it is kept.
    pub(crate) fn push(
        &mut self,
        rule: Rule,
        place: Place,
        location: Option<u32>,
        message: impl FnOnce() -> String,
    ) {
        self.total += 1;
        self.stop |= rule.stops();
        if self.found.len() < VIOLATIONS_KEPT {
            self.found.push(Found {
                rule,
                place,
                location,
                message: message(),
            });
        }
    }

    /// About a part of the program as a whole.
    pub(crate) fn part(&mut self, rule: Rule, part: &'static str, message: String) {
        self.push(rule, Place::Part(part), None, || message);
    }

    /// Everything found, in report order.
    pub(crate) fn into_violations(
        self,
        program: &Program,
        sites: &Sites,
        uses: &Uses,
    ) -> Vec<Violation> {
        let mut violations: Vec<_> = self
            .found
            .into_iter()
            .map(|found| violation(found, program, sites, uses))
            .collect();
        violations.sort_by_key(|v| (v.cycle, v.site, v.iteration));
        violations
    }
}

fn violation(found: Found, program: &Program, sites: &Sites, uses: &Uses) -> Violation {
    let mut v = Violation {
        rule: found.rule,
        cycle: None,
        unit: String::new(),
        site: None,
        iteration: 0,
        instruction: String::new(),
        message: found.message,
        location: String::new(),
    };
    let mut location = found.location;
    match found.place {
        Place::Part(part) => v.unit = part.to_string(),
        Place::Dispatch {
            site: number,
            iteration,
        } => {
            v.site = sites.site(number);
            v.iteration = iteration;
            v.cycle = Some(sites.times(number).cycle(iteration));
            location = location.or_else(|| uses.location(program, number));
        }
    }
    if let Some(Site { queue, index }) = v.site {
        v.unit = queue.to_string();
        let instr = program
            .queues
            .get(queue.index())
            .and_then(|q| q.get(index as usize));
        v.instruction = instr.map_or(String::new(), |i| format!("{i:?}"));
    }
    if let Some(path) = location.and_then(|l| program.locations.get(l as usize)) {
        v.location.clone_from(path);
    }
    v
}

/// `output 2 run 5`, or the site.
pub(crate) fn consumer_name(consumer: Consumer) -> String {
    match consumer {
        Consumer::Instr(Site { queue, index }) => format!("{queue}[{index}]"),
        Consumer::Output { entry, run } => format!("output {entry} run {run}"),
    }
}

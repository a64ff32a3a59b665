//! What fixed a cycle: from a dispatch back to the beginning, each time to what its run waited for longest.
//!
//! Holds after: the walk visits no run twice, so it ends; slack that is not zero is time that no operand, plane or
//! queue explains.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use super::phases::title_of;
use super::waits::{Kind, Point, Wait, Waits};
use crate::program::{Consumer, QueueId, Source};

/// A run on the way.
#[derive(Clone, Copy)]
pub struct Step {
    /// The dispatch of the run through which the walk came.
    pub from: Point,
    /// The dispatch of the run that could not be earlier.
    pub at: Point,
    /// What it waited for; none if the beginning of the program is nearest.
    pub wait: Option<Wait>,
}

/// The walk from a dispatch back to the beginning, one step a run.
pub fn walk<'a>(waits: &'a Waits<'a>, start: Point) -> impl Iterator<Item = Step> + 'a {
    let mut known = BTreeSet::new();
    let mut next = Some(start);
    std::iter::from_fn(move || {
        let from = next?;
        let run = waits.run_of(from.node);
        known.insert(run);
        let wait = waits.binding(run, &|other| known.contains(&other));
        next = wait.map(|w| w.on);
        let at = wait.map_or_else(|| waits.first(run), |w| w.at);
        Some(Step { from, at, wait })
    })
}

/// The dispatch that fixes the latency: the last write of a word of an output (machine.md, section 5).
pub fn last_output(waits: &Waits) -> Option<Point> {
    let outputs = waits.program.uses.iter().filter_map(|u| {
        let (Consumer::Output { .. }, Source::Dispatch { site, first, step }) =
            (u.consumer, u.source)
        else {
            return None;
        };
        let node = waits.node(site)?;
        let last = i64::from(first) + i64::from(u.count.saturating_sub(1)) * i64::from(step);
        let iteration = first.max(u32::try_from(last).ok()?);
        Some(Point { node, iteration })
    });
    outputs.max_by_key(|&p| (waits.cycle(p), std::cmp::Reverse(p)))
}

/// An answer: the chain of runs that fixed a dispatch.
pub struct Chain<'a> {
    waits: &'a Waits<'a>,
    start: Point,
    steps: Vec<Step>,
}

impl<'a> Chain<'a> {
    /// Walks back from a dispatch.
    pub fn new(waits: &'a Waits<'a>, start: Point) -> Chain<'a> {
        let steps = walk(waits, start).collect();
        Chain {
            waits,
            start,
            steps,
        }
    }

    /// For scripts: every step.
    pub fn json(&self) -> Value {
        let step = |s: &Step| {
            let waits_for = s.wait.map(|w| {
                let mut on = self.dispatch(w.on);
                on["kind"] = w.kind.name().into();
                on["slack"] = w.slack.into();
                on
            });
            let mut value = self.dispatch(s.at);
            value["needed"] = self.waits.cycle(s.from).into();
            value["waits_for"] = waits_for.into();
            value
        };
        json!({
            "dispatch": self.dispatch(self.start),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }

    fn dispatch(&self, point: Point) -> Value {
        let node = &self.waits.nodes[point.node];
        json!({
            "cycle": self.waits.cycle(point),
            "unit": node.queue.to_string(),
            "instruction": self.waits.instr(point.node).to_string(),
            "iteration": point.iteration,
            "location": self.waits.location(point.node),
        })
    }

    /// For people: a line per step, alike ones in one, `lines` at most.
    pub fn text(&self, lines: usize) -> String {
        let mut out = String::new();
        let node = &self.waits.nodes[self.start.node];
        let _ = writeln!(
            out,
            "cycle {}: {} {}, for {}\n",
            self.waits.cycle(self.start),
            node.queue,
            self.waits.instr(self.start.node),
            self.waits.location(self.start.node)
        );
        let _ = writeln!(
            out,
            "   cycle   needed  unit              operation                                     slack  it waits for"
        );
        let alike = |a: &Step, b: &Step| self.kinship(a) == self.kinship(b);
        let groups: Vec<&[Step]> = self.steps.chunk_by(alike).collect();
        let mut phase = String::new();
        for group in groups.iter().take(lines) {
            // The steps go back in time.
            let (late, early) = (&group[0], &group[group.len() - 1]);
            let node = late.at.node;
            let here = title_of(self.waits.location(node));
            if here != phase {
                let _ = writeln!(out, "{here}");
            }
            let slack: u64 = group.iter().map(|s| self.slack(s)).sum();
            let times = match group.len() {
                1 => String::new(),
                n => format!(", {n} times"),
            };
            let _ = writeln!(
                out,
                "{:>8} {:>8}  {:<17} {:<45} {slack:>5}  {}{times}",
                self.waits.cycle(early.at),
                self.waits.cycle(late.from),
                self.waits.nodes[node].queue.to_string(),
                self.waits.instr(node).to_string(),
                reason(self.waits, early.wait, &here),
            );
            phase = here;
        }
        if let Some(rest) = groups.len().checked_sub(lines).filter(|&n| n > 0) {
            let _ = writeln!(out, "{rest} more lines (--lines)");
        }
        self.summary(&mut out);
        out
    }

    /// What steps have in common that share a line.
    fn kinship(&self, step: &Step) -> (QueueId, String, Option<Kind>, Option<u32>) {
        let node = step.at.node;
        let instr = self.waits.instr(node).to_string();
        let verb = instr.split(' ').next().unwrap_or_default().to_string();
        let (queue, location) = (
            self.waits.nodes[node].queue,
            self.waits.nodes[node].location,
        );
        (queue, verb, step.wait.map(|w| w.kind), location)
    }

    /// What the wait leaves unexplained; before the first run all there is.
    fn slack(&self, step: &Step) -> u64 {
        step.wait.map_or(self.waits.cycle(step.at), |w| w.slack)
    }

    /// How often each kind of wait is on the way, and the slack that it leaves.
    fn summary(&self, out: &mut String) {
        let mut kinds: BTreeMap<Kind, (u64, u64)> = BTreeMap::new();
        for wait in self.steps.iter().filter_map(|s| s.wait) {
            let (times, slack) = kinds.entry(wait.kind).or_default();
            *times += 1;
            *slack += wait.slack;
        }
        let _ = writeln!(out, "\n{:<10} {:>8} {:>8}", "waits for", "times", "slack");
        for (kind, (times, slack)) in kinds {
            let _ = writeln!(out, "  {:<10} {times:>6} {slack:>8}", kind.name());
        }
    }
}

/// What a wait is for, seen from a phase.
pub(super) fn reason(waits: &Waits, wait: Option<Wait>, here: &str) -> String {
    let Some(Wait { on, kind, .. }) = wait else {
        return "nothing in the program".into();
    };
    let (queue, cycle) = (waits.nodes[on.node].queue, waits.cycle(on));
    let what = match kind {
        Kind::Word => format!("the word that {queue} writes at {cycle}"),
        Kind::Weights => format!("its weights, which {queue} installs at {cycle}"),
        Kind::Load => format!("the weights that {queue} loads at {cycle}"),
        Kind::Plane => format!("the plane, which {queue} needs until {cycle}"),
        Kind::Buffer => format!("the words that {queue} writes until {cycle}"),
        _ => format!("{queue}, which is busy until {cycle}"),
    };
    match title_of(waits.location(on.node)) {
        there if there == here => what,
        there => format!("{what} for {there}"),
    }
}

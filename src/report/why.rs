//! Why a program takes as long as it does: for the whole, each layer and each phase its cycles, the best lower bound
//! and what binds; and what the planes waited for where they were idle longest.
//!
//! A stretch is a time in which at most one plane runs; it belongs to the phase of the pass that ends it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::blame::{Step, last_output, reason, walk};
use super::parts::{Part, parts};
use super::phases::{phase_of, title, title_of};
use super::waits::{Kind, Point, Waits};
use crate::machine::Machine;
use crate::program::{ElemType, Instr};

/// Stretches that are told of a part.
const TOLD: usize = 3;

/// A layer, and the name of a phase in it.
type Key = (Option<usize>, String);

/// A time in which at most one plane runs.
struct Stretch {
    start: u64,
    end: u64,
    /// The phase of what follows.
    key: Key,
    /// What it waited for.
    told: String,
}

/// The answer.
pub struct Why {
    whole: Part,
    layers: BTreeMap<usize, Part>,
    /// In the order in which they begin.
    phases: Vec<(Key, Part)>,
    /// The longest first.
    stretches: Vec<Stretch>,
}

impl Why {
    /// Looks at a program of a latency, if it has outputs.
    pub fn new(waits: &Waits, machine: &Machine, cycles: Option<u64>) -> Why {
        let keys: Vec<Key> = (0..waits.nodes.len())
            .map(|node| phase_of(waits.location(node)))
            .collect();
        let phases = parts(waits, machine, |node| Some(keys[node].clone()));
        let mut phases: Vec<(Key, Part)> = phases.into_iter().collect();
        phases.sort_by_key(|(_, part)| part.start);
        let layers = parts(waits, machine, |node| keys[node].0);
        let whole = whole(waits, machine, cycles);
        Why {
            whole,
            layers,
            phases,
            stretches: stretches(waits, &keys),
        }
    }

    /// For scripts: every stretch of every phase that is told.
    pub fn json(&self) -> Value {
        let part = |name: &str, layer: Option<usize>, part: &Part, told: Vec<&Stretch>| {
            let (binds, bound) = part.bound();
            let stretch = |s: &&Stretch| json!({"start": s.start, "end": s.end, "why": s.told});
            json!({
                "name": name, "layer": layer, "cycles": part.cycles, "bound": bound,
                "gap": part.cycles.saturating_sub(bound), "binds": binds, "bounds": part.bounds,
                "idle": told.iter().map(stretch).collect::<Vec<_>>(),
            })
        };
        let layers = self.layers.iter();
        let phases = self.phases.iter();
        json!({
            "whole": part("", None, &self.whole, self.told(|_| true).collect()),
            "layers": layers.map(|(l, p)| part("", Some(*l), p, self.told(|k| k.0 == Some(*l)).collect()))
                .collect::<Vec<_>>(),
            "phases": phases.map(|(k, p)| part(&k.1, k.0, p, self.told(|other| other == k).collect()))
                .collect::<Vec<_>>(),
        })
    }

    /// The longest stretches of some phases.
    fn told(&self, mine: impl Fn(&Key) -> bool) -> impl Iterator<Item = &Stretch> {
        let own = self.stretches.iter().filter(move |s| mine(&s.key));
        own.take(TOLD)
    }

    /// For people: the whole, the layers, the phases; of the phases' stretches those of the layer with the widest gap.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let head = "cycles    bound      gap  binds";
        let _ = writeln!(out, "\nwhy                                      {head}");
        line(&mut out, "the whole", &self.whole);
        for stretch in self.told(|_| true) {
            sentence(&mut out, stretch);
        }
        for (layer, part) in &self.layers {
            line(&mut out, &format!("layer {layer}"), part);
        }
        let gap = |part: &Part| part.cycles.saturating_sub(part.bound().1);
        let widest = self.layers.iter().max_by_key(|(_, p)| gap(p));
        let widest = widest.map(|(layer, _)| *layer);
        let _ = writeln!(out);
        for (key, part) in &self.phases {
            line(&mut out, &title(key.0, &key.1), part);
            if key.0.is_none() || key.0 == widest {
                for stretch in self.told(|other| other == key) {
                    sentence(&mut out, stretch);
                }
            }
        }
        out
    }
}

/// The whole program of a latency, if it has outputs.
pub fn whole(waits: &Waits, machine: &Machine, cycles: Option<u64>) -> Part {
    // What comes after the last output does not count.
    let output = last_output(waits).map(|p| waits.cycle(p));
    let whole = parts(waits, machine, |node| {
        let counts = |end| waits.nodes[node].time.last() <= end;
        output.is_none_or(counts).then_some(())
    });
    let mut whole = whole.into_values().next().unwrap_or_default();
    if let (Some(cycles), Some(chain)) = (cycles, whole.bounds.get_mut("dependencies")) {
        whole.cycles = cycles;
        // The last write is followed by its delay and the stagger (machine.md, section 5).
        *chain += u64::from(machine.mem_write_to_read + machine.stagger_cycles) - 1;
    }
    whole
}

fn line(out: &mut String, name: &str, part: &Part) {
    let (binds, bound) = part.bound();
    let gap = part.cycles.saturating_sub(bound);
    let _ = writeln!(
        out,
        "  {name:<36} {:>8} {bound:>8} {gap:>8}  {binds}",
        part.cycles
    );
}

fn sentence(out: &mut String, stretch: &Stretch) {
    let Stretch { start, told, .. } = stretch;
    let _ = writeln!(out, "      at {start}: {told}");
}

/// All stretches in which at most one plane runs, the longest first.
fn stretches(waits: &Waits, keys: &[Key]) -> Vec<Stretch> {
    // Planes more or fewer from a cycle on, with the pass.
    let mut changes: Vec<(u64, i32, usize)> = Vec::new();
    for node in 0..waits.nodes.len() {
        if let Instr::Act { ty, .. } = waits.instr(node) {
            let planes = if *ty == ElemType::F16 { 2 } else { 1 };
            let time = &waits.nodes[node].time;
            changes.push((time.first, planes, node));
            changes.push((time.last() + 1, -planes, node));
        }
    }
    changes.sort_unstable();
    let (mut running, mut since) = (0, Some(0));
    let mut found = Vec::new();
    for (cycle, change, node) in changes {
        running += change;
        match (running, since) {
            (2.., Some(start)) => {
                found.push((start, cycle, Point { node, iteration: 0 }));
                since = None;
            }
            (..2, None) => since = Some(cycle),
            _ => {}
        }
    }
    if let (Some(start), Some(last)) = (since, last_output(waits)) {
        found.push((start, waits.cycle(last), last));
    }
    found.retain(|(start, end, _)| end > start);
    found.sort_by_key(|&(start, end, _)| (Reverse(end - start), start));
    let stretch = |(start, end, next): (u64, u64, Point)| Stretch {
        start,
        end,
        key: keys[next.node].clone(),
        told: tell(waits, start, end, next),
    };
    found.into_iter().map(stretch).collect()
}

/// A stretch in one sentence.
fn tell(waits: &Waits, start: u64, end: u64, next: Point) -> String {
    let here = title_of(waits.location(next.node));
    let runs = in_stretch(waits, start, end, next);
    // Cycles by the phase that they went to, and waits by their kind.
    let mut spent: BTreeMap<String, u64> = BTreeMap::new();
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for run in &runs {
        let phase = title_of(waits.location(run.step.at.node));
        *spent.entry(phase).or_default() += run.cycles;
        if let Some(wait) = run.step.wait {
            *kinds.entry(wait.kind).or_default() += 1;
        }
    }
    let first = runs.first().and_then(|run| run.step.wait);
    let most = spent.iter().max_by_key(|&(phase, n)| (n, Reverse(phase)));
    let most = most.map_or(String::new(), |(phase, n)| {
        format!(", {n} cycles for {phase}")
    });
    let kinds = kinds
        .iter()
        .map(|(kind, n)| format!("{n} × {}", kind.name()));
    let kinds = match kinds.collect::<Vec<_>>() {
        list if list.is_empty() => String::new(),
        list => format!(" ({})", list.join(", ")),
    };
    let unexplained = match runs.iter().map(|run| run.slack).sum::<u64>() {
        0 => String::new(),
        n => format!(", {n} unexplained"),
    };
    let verb = match waits.instr(next.node) {
        Instr::Act { .. } => "runs",
        _ => "writes the last of",
    };
    format!(
        "{} cycles until {} {verb} {here}; it waited for {}. {} in a row{kinds}{most}{unexplained}.",
        end - start,
        waits.nodes[next.node].queue,
        reason(waits, first, &here),
        match runs.len() {
            1 => "1 run".to_string(),
            n => format!("{n} runs"),
        },
    )
}

/// A run on the way back through a stretch.
struct Passed {
    step: Step,
    /// Cycles of the stretch from where the run was bound to where the one before it in the walk was.
    cycles: u64,
    /// Cycles of the stretch before that which its wait does not explain.
    slack: u64,
}

/// The walk back from what ends a stretch to its start.
fn in_stretch(waits: &Waits, start: u64, end: u64, next: Point) -> Vec<Passed> {
    let mut until = end;
    let mut passed = Vec::new();
    for step in walk(waits, next) {
        let at = waits.cycle(step.at).clamp(start, until);
        let slack = step.wait.map_or(at, |w| w.slack).min(at - start);
        let cycles = until - at;
        passed.push(Passed {
            step,
            cycles,
            slack,
        });
        until = at - slack;
        if until == start {
            break;
        }
    }
    passed
}

//! Why two operations are not in one pipeline.
//!
//! In the order of what a reader can act on: what they have become, what stands between them, the form that would
//! bring them together and its cost, the rules that would have helped and what held them back.

use std::collections::BTreeMap;

use egg::{Id, Language};
use tspc_ir::{Diagnostic, Opcode, Place, Value};

use super::blocked::{Why, blocked};
use super::near::near;
use super::pipelines::Formed;
use super::{Distinct, Explained, Fusion, per_lane, word};
use crate::egraph::decode::pipelines::Room;
use crate::egraph::decode::plan::{NodeId, What};
use crate::egraph::extract::{extract_with, with_form};
use crate::egraph::language::Node;
use crate::egraph::saturate::Solved;
use crate::egraph::{decoded, rules};

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The two values, in words.
    pub of: [String; 2],
    /// Whether they are in one pipeline or not, in a sentence.
    pub verdict: String,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.of[0], self.of[1], self.verdict)?;
        self.reasons.iter().try_for_each(|r| writeln!(f, "- {r}"))
    }
}

/// What became of a value.
enum Fate {
    /// Operations of the plan; whether they compute it transposed.
    Lanes(Vec<NodeId>, bool),
    /// Something that is no operation of a pipeline, in words.
    Other(String),
    /// Nothing: other forms took its place.
    Gone,
}

/// A value in its region.
struct At<'a> {
    value: Value,
    part: usize,
    distinct: &'a Distinct,
    which: usize,
    class: Id,
}

/// Why the operations of two values are not in one pipeline, if they are not.
pub fn why_not(
    explained: &Explained,
    room: Room,
    [a, b]: [Value; 2],
) -> Result<Answer, Diagnostic> {
    let mut answer = Answer {
        of: [explained.describe(a), explained.describe(b)],
        verdict: "They are not in one pipeline.".into(),
        reasons: Vec::new(),
    };
    if a == b {
        answer.verdict = "They are one operation.".into();
        return Ok(answer);
    }
    let (mut found, mut outside) = (Vec::new(), Vec::new());
    for value in [a, b] {
        match explained.at(value) {
            Ok(at) => found.push(at),
            Err(why) => outside.push(format!("{value} {why}")),
        }
    }
    let [a, b] = &found[..] else {
        answer.reasons = outside;
        return Ok(answer);
    };
    let mut seeker = Seeker {
        explained,
        answer,
        ends: [a, b],
    };
    seeker.seek(room)?;
    Ok(seeker.answer)
}

impl<'m> Explained<'m> {
    fn at(&self, value: Value) -> Result<At<'_>, String> {
        let op = self.source.def_op(value);
        let Some(op) = op else {
            return Err("is an input of the module: nothing computes it".into());
        };
        if self.source[op].opcode == Opcode::TensorConstant {
            return Err("is a constant: the compiler computes it".into());
        }
        let part = self.parts.iter().position(|p| p.ops.contains(&op));
        let part = part.ok_or("is in no region")?;
        let encoded = &self.parts[part].encoded;
        let node = encoded.of.get(&value);
        let node =
            node.ok_or("is half of a layout: it moves no byte, and no pipeline computes it")?;
        let which = self.parts[part].which;
        let distinct = &self.distinct[which];
        let class = distinct.class(usize::from(*node));
        Ok(At {
            value,
            part,
            distinct,
            which,
            class,
        })
    }
}

impl At<'_> {
    /// The node of the extracted term that computes it, and whether that is its transposed.
    fn planned(&self) -> Option<(usize, bool)> {
        let (graph, extracted) = (self.distinct.graph(), self.distinct.extracted());
        let own = extracted.get(&self.class).map(|&node| (node, false));
        let turned = || {
            graph[self.class].iter().find_map(|node| match node {
                Node::Transpose([x]) => extracted.get(&graph.find(*x)).map(|&node| (node, true)),
                _ => None,
            })
        };
        // Where both are computed, the one that pipelines hold is the transposed.
        let layout = |node: usize| {
            let term = self.distinct.solved.as_ref().map(|s| &s.term.nodes[node]);
            matches!(term, Ok(Node::Transpose(_)))
        };
        match own {
            Some((node, _)) if layout(node) => turned().or(own),
            Some(own) => Some(own),
            None => turned(),
        }
    }
}

struct Seeker<'a, 'm> {
    explained: &'a Explained<'m>,
    answer: Answer,
    ends: [&'a At<'a>; 2],
}

impl Seeker<'_, '_> {
    fn say(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        if !self.answer.reasons.contains(&reason) {
            self.answer.reasons.push(reason);
        }
    }

    fn seek(&mut self, room: Room) -> Result<(), Diagnostic> {
        let [a, b] = self.ends;
        let mut formless = false;
        for (i, end) in [a, b].into_iter().enumerate() {
            if i == 1 && b.which == a.which {
                break;
            }
            if let Err(why) = &end.distinct.solved {
                self.say(format!("there is no program: {why}"));
                formless = true;
            }
        }
        if !formless {
            self.structure(room)?;
        }
        if a.part == b.part {
            self.rules();
        } else {
            self.say(format!(
                "they are in different regions, {} and {}; rules do not look across, since the value \
                 between them is written to memory anyway",
                a.part, b.part
            ));
        }
        for end in [a, b] {
            let (saturated, stop) = end.distinct.saturated.stop();
            if !saturated {
                self.say(format!(
                    "region {} is not saturated ({stop}): rules that were not tried might have helped",
                    end.which
                ));
            }
        }
        Ok(())
    }

    /// What the two became, and what stood in the way when pipelines were formed.
    fn structure(&mut self, room: Room) -> Result<(), Diagnostic> {
        let explained = self.explained;
        let solved = explained.distinct.iter().map(|d| d.solved.clone());
        let solved = solved.collect::<Result<Vec<Solved>, String>>();
        let refuse = |why: String| Diagnostic::new(why, Place::named("why-not"));
        let solved = solved.map_err(refuse)?;
        let (source, machine) = (explained.source, explained.machine);
        let (planned, _) = decoded(source, machine, &explained.parts, &solved, room)?;
        let formed = Formed::new(source, &planned.plan, room);
        let fate = |at: &At| {
            let solved = &solved[at.which];
            if at.distinct.graph()[at.class].data.constant {
                return Fate::Other("depends on constants only: the compiler computes it".into());
            }
            let Some((node, turned)) = at.planned() else {
                return Fate::Gone;
            };
            let span = planned.spans[at.part][node].clone().map(NodeId);
            let alu = |n: &NodeId| matches!(planned.plan[*n].what, What::Alu(..));
            let lanes: Vec<NodeId> = span.filter(alu).collect();
            match lanes.is_empty() {
                false => Fate::Lanes(lanes, turned),
                true => Fate::Other(in_words(&solved.term.nodes[node]).into()),
            }
        };
        let fates = self.ends.map(fate);
        for (end, fate) in self.ends.into_iter().zip(&fates) {
            if let Fate::Lanes(_, true) = fate {
                let value = end.value;
                self.say(format!(
                    "{value} is computed transposed: what the model has as rows are lanes"
                ));
            }
        }
        if let [Fate::Lanes(a, _), Fate::Lanes(b, _)] = &fates {
            let (of_a, of_b) = (formed.of(a), formed.of(b));
            if let Some(&p) = of_a.intersection(&of_b).next() {
                self.answer.verdict = format!(
                    "They are in one pipeline, number {p}, of {} operations.",
                    formed.size(p)
                );
                return Ok(());
            }
            let (earlier, later) = if a.last() < b.last() { (a, b) } else { (b, a) };
            for reason in formed.apart(earlier, later) {
                self.say(reason);
            }
            self.together();
        }
        let mut fused = Vec::new();
        for (end, fate) in self.ends.into_iter().zip(&fates) {
            match fate {
                Fate::Lanes(..) => {}
                Fate::Other(what) => self.say(format!("{} {what}", end.value)),
                Fate::Gone => fused.extend(self.gone(end)),
            }
        }
        if let [a, b] = &fused[..]
            && a == b
        {
            self.answer.verdict = "They are both parts of one fusion.".into();
        }
        Ok(())
    }

    /// A value that is not computed: the fusion that it is part of, and what it would cost as it is written.
    fn gone(&mut self, end: &At) -> Option<Fusion> {
        let part = &self.explained.parts[end.part];
        let inside = |f: &Fusion| {
            f.replaced
                .iter()
                .any(|&n| end.distinct.class(n) == end.class)
        };
        let fusion = self.explained.fusions(end.which).into_iter().find(inside);
        let Some(fusion) = fusion else {
            self.say(format!("{} is not computed: nothing takes it", end.value));
            return None;
        };
        let instance = end.distinct.instances.iter().position(|&i| i == end.part);
        let root = instance.and_then(|i| fusion.values.get(i));
        let root = root.map_or("a fusion".into(), ToString::to_string);
        let (before, after) = (&fusion.before, &fusion.after);
        let to = match after.operations.is_empty() {
            true => "nothing".into(),
            false => after.operations.join(", "),
        };
        self.say(format!(
            "{} is not computed as such: {} for {root} became {to}, by {}",
            end.value,
            before.operations.join(", "),
            chain(&fusion.rules),
        ));
        // The same again with every operation of it as it is written.
        let written: BTreeMap<Id, Vec<Node>> = fusion
            .replaced
            .iter()
            .map(|&n| (end.distinct.class(n), vec![end.distinct.encoded(part, n)]))
            .collect();
        self.alternative(end, &written, "as it is written");
        Some(fusion)
    }

    /// Whether a region has a form in which these classes have only these nodes, and what it costs.
    fn alternative(&mut self, end: &At, allowed: &BTreeMap<Id, Vec<Node>>, how: &str) {
        let (distinct, cost) = (end.distinct, &self.explained.cost);
        let graph = distinct.graph();
        let same = |a: &Node, b: &Node| a.clone().map_children(|c| graph.find(c)) == *b;
        let price = |class: Id, node: &Node| match allowed.get(&graph.find(class)) {
            Some(nodes) if !nodes.iter().any(|n| same(node, n)) => None,
            Some(_) => cost.of_form(graph, node),
            None => cost.of(graph, node),
        };
        let encoded = &self.explained.parts[end.part].encoded;
        let roots: Vec<Id> = encoded
            .roots
            .iter()
            .map(|(_, id)| distinct.class(usize::from(*id)))
            .collect();
        let Ok(solved) = &distinct.solved else {
            return;
        };
        let chosen = solved.term.cost;
        let reason = match extract_with(graph, &price, &roots) {
            Ok(term) => format!(
                "{how}, the region costs {}; in the form chosen it costs {chosen}",
                term.cost
            ),
            Err(_) => {
                let mut nodes = encoded.term.as_ref().iter().enumerate();
                let known = with_form(graph, &price);
                let formless = |&(n, _): &(usize, &Node)| !known.contains(&distinct.class(n));
                let first = nodes.find(formless).map(|(_, node)| word(node));
                let first = first.unwrap_or_else(|| "what it needs".into());
                format!("{how}, the region has no form: the chip lacks {first}")
            }
        };
        self.say(reason);
    }

    /// The form in which only per-lane operations stand between the two, if the e-graph has one that was not chosen.
    fn together(&mut self) {
        let [a, b] = self.ends;
        if a.part != b.part {
            return;
        }
        let Some(path) =
            between(a.distinct, a.class, b.class).or_else(|| between(a.distinct, b.class, a.class))
        else {
            return;
        };
        let Ok(solved) = &a.distinct.solved else {
            return;
        };
        let extracted = a.distinct.extracted();
        let chosen = |class: &Id, node: &Node| {
            let at = extracted.get(class);
            at.is_some_and(|&i| a.distinct.chosen(solved, i) == *node)
        };
        if path.iter().all(|(class, node)| chosen(class, node)) {
            return;
        }
        let words: Vec<String> = path.iter().map(|(_, n)| word(n)).collect();
        let how = format!("with {} from one to the other", words.join(", "));
        let path = path.into_iter().map(|(c, n)| (c, vec![n])).collect();
        self.alternative(a, &path, &how);
    }

    /// Rules that have both inside and were held back, or that match but for one place.
    fn rules(&mut self) {
        let [a, b] = self.ends;
        let all: Vec<_> = rules::all().collect();
        let (graph, among) = (a.distinct.graph(), [a.class, b.class]);
        for held in blocked(graph, &all, &a.distinct.settings, &among) {
            let name = held.rule.name;
            let for_what = held.rule.reason;
            self.say(match held.why {
                Why::Condition(condition, known) => format!(
                    "rule {name} ({for_what}) matches, but not its condition {condition}: {}",
                    known.join("; ")
                ),
                Why::Class(class) => format!(
                    "rule {name} ({for_what}) matches, but rules of class {class:?} are not allowed"
                ),
                Why::Group(group) => format!(
                    "rule {name} ({for_what}) matches, but the rules of {group} are left out"
                ),
                Why::Number => {
                    format!("rule {name} ({for_what}) matches, but finds no number to use")
                }
            });
        }
        for near in near(graph, &all, &among) {
            self.say(format!(
                "rule {} ({}) has {} operations of this form and fails at one place: it wants {}, here is {}",
                near.rule.name, near.rule.reason, near.matched, near.wanted, near.found
            ));
        }
    }
}

fn chain(rules: &[String]) -> String {
    match rules.is_empty() {
        true => "rules that a second run did not find again".into(),
        false => rules.join(", "),
    }
}

/// The shortest way down from a class to another over per-lane nodes: each class on it with its node.
fn between(distinct: &Distinct, below: Id, above: Id) -> Option<Vec<(Id, Node)>> {
    let graph = distinct.graph();
    let mut ways: BTreeMap<Id, Vec<(Id, Node)>> = BTreeMap::from([(above, Vec::new())]);
    let mut layer = vec![above];
    while !layer.is_empty() {
        let mut next = Vec::new();
        for class in layer {
            for node in graph[class].iter().filter(|n| per_lane(n)) {
                for &child in node.children() {
                    let child = graph.find(child);
                    if ways.contains_key(&child) {
                        continue;
                    }
                    let mut way = ways[&class].clone();
                    way.push((class, node.clone().map_children(|c| graph.find(c))));
                    if child == below {
                        return Some(way);
                    }
                    ways.insert(child, way);
                    next.push(child);
                }
            }
        }
        layer = next;
    }
    None
}

/// What a node is that no pipeline computes.
fn in_words(node: &Node) -> &'static str {
    match node {
        Node::Pass(_) | Node::LaneSum(_) => {
            "is a pass of the MXM: rows stream through what is installed; pipelines are of the VXM"
        }
        Node::Transpose(_) => {
            "is the transposed of another value: that one is computed, and lanes become rows on the way"
        }
        Node::Heads(_) | Node::Merge(_) => "is a layout: a view that moves no byte",
        Node::MaxRows(_) => "is a maximum of a single row: the row itself",
        _ => "is computed before the region starts",
    }
}

//! Saturation of one region, and what happened in it.
//!
//! Limits are iterations and nodes, never a clock, so that every machine finds the same.

use std::collections::BTreeSet;
use std::time::Duration;

use egg::{Id, Runner, StopReason};
use tspc_ir::Value;

use super::cost::{Cost, Cycles};
use super::extract::{Extracted, Gap, Term, extract_best, with_form};
use super::facts::{Facts, Graph, Region};
use super::language::Node;
use super::region::Encoded;
use super::rules::{Class, Rule};
use super::scheduler::{Fueled, Log};

/// Limits and what rules may change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Rounds over all rules.
    pub iterations: usize,
    /// E-nodes.
    pub nodes: usize,
    /// Classes of rules that are used.
    pub classes: Vec<Class>,
    /// Groups of rules that are not used.
    pub without: Vec<&'static str>,
    /// Rewrites that may be applied in the whole module, in order; `None`: all.
    pub fuel: Option<usize>,
    /// Per distinct region, in order, how many cheaper terms to pass over; 0 where nothing is said.
    pub choose: Vec<usize>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            iterations: 30,
            nodes: 20_000,
            classes: Class::allowed(&Class::DEFAULT),
            without: Vec::new(),
            fuel: None,
            choose: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether a rule is used.
    pub fn uses(&self, rule: &Rule) -> bool {
        self.classes.contains(&rule.class) && !self.without.contains(&rule.group)
    }

    /// Goes on to the next distinct region: takes the fuel of rewrites that were applied, and the region's choice.
    pub fn spend(&mut self, rewrites: usize) {
        self.fuel = self.fuel.map(|fuel| fuel.saturating_sub(rewrites));
        self.choose = self.choose.split_off(self.choose.len().min(1));
    }
}

/// What a saturation did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statistics {
    /// Regions of the module that have this term.
    pub instances: usize,
    /// Rounds.
    pub iterations: usize,
    /// E-nodes at the end.
    pub nodes: usize,
    /// E-classes at the end.
    pub classes: usize,
    /// Whether nothing more could be added; else the limit that was met.
    pub saturated: bool,
    /// Why it stopped, in words.
    pub stop: String,
    /// Applications of each rule that did something, in the order of the table.
    pub applied: Vec<(&'static str, usize)>,
    /// Matches of each rule that matched, over all rounds; most of them say again what is known.
    pub matched: Vec<(&'static str, usize)>,
    /// Cost of the extracted term.
    pub cost: Cycles,
    /// How well the cheapest term was chosen.
    pub gap: Gap,
}

impl Statistics {
    /// How many rewrites were applied.
    pub fn rewrites(&self) -> usize {
        self.applied.iter().map(|(_, n)| n).sum()
    }
}

/// A region's extracted term.
#[derive(Clone, Debug)]
pub struct Solved {
    /// The term.
    pub term: Term,
    /// Facts, per node.
    pub facts: Vec<Facts>,
    /// Per node, the node of the encoded region whose value it is, or which it helps to compute.
    pub origins: Vec<usize>,
    /// What happened.
    pub statistics: Statistics,
}

/// A saturated e-graph.
pub struct Saturated<'r> {
    /// The run.
    pub runner: Runner<Node, Region>,
    /// The class of each node of the term.
    pub ids: Vec<Id>,
    /// The rules that were used.
    pub used: Vec<&'r Rule>,
    /// What was applied, in order.
    pub log: Log,
}

impl Saturated<'_> {
    /// Whether nothing more could be added, and why it stopped.
    pub fn stop(&self) -> (bool, String) {
        let stop = &self.runner.stop_reason;
        match stop {
            _ if self.log.starved => (false, format!("Fuel({})", self.log.applied.len())),
            Some(StopReason::Saturated) => (true, "Saturated".into()),
            Some(other) => (false, format!("{other:?}")),
            None => (false, "NotRun".into()),
        }
    }
}

/// Saturates; with `explained`, the e-graph can say afterwards why two terms are equal. The error is a sentence.
pub fn saturate<'r>(
    encoded: &Encoded,
    rules: &[&'r Rule],
    settings: &Settings,
    explained: bool,
) -> Result<Saturated<'r>, String> {
    let analysis = Region::new(encoded.leaves.iter().map(|(_, l)| l.clone()).collect());
    let mut graph = Graph::new(analysis);
    if explained {
        graph = graph.with_explanations_enabled();
    }
    let mut ids: Vec<Id> = Vec::new();
    for node in encoded.term.as_ref() {
        let node = egg::Language::map_children(node.clone(), |c| ids[usize::from(c)]);
        ids.push(graph.add(node));
    }
    graph.rebuild();
    if let Some(why) = &graph.analysis.unsound {
        return Err(why.clone());
    }
    let used: Vec<&Rule> = rules.iter().copied().filter(|r| settings.uses(r)).collect();
    let compiled: Vec<_> = used.iter().map(|r| r.compile()).collect();
    let (scheduler, log) = Fueled::new(settings.fuel);
    let runner = Runner::default()
        .with_egraph(graph)
        .with_scheduler(scheduler)
        .with_iter_limit(settings.iterations)
        .with_node_limit(settings.nodes)
        .with_time_limit(Duration::MAX)
        .run(&compiled);
    if let Some(why) = &runner.egraph.analysis.unsound {
        return Err(format!("a rule is unsound: {why}"));
    }
    let log = log.take();
    Ok(Saturated {
        runner,
        ids,
        used,
        log,
    })
}

/// Saturates and extracts. The error is a sentence.
pub fn solve(
    encoded: &Encoded,
    rules: &[&'static Rule],
    cost: &Cost,
    settings: &Settings,
) -> Result<Solved, String> {
    let saturated = saturate(encoded, rules, settings, false)?;
    choose(encoded, &saturated, cost, settings)
}

/// The cheapest terms, at most `count`. The error is a sentence.
pub fn candidates(
    encoded: &Encoded,
    saturated: &Saturated,
    cost: &Cost,
    count: usize,
) -> Result<Extracted, String> {
    let graph = &saturated.runner.egraph;
    let root = |(_, id): &(Value, Id)| saturated.ids[usize::from(*id)];
    let roots: Vec<Id> = encoded.roots.iter().map(root).collect();
    let price = |_: Id, node: &Node| cost.of(graph, node);
    extract_best(graph, &price, &roots, count).map_err(|root| {
        let first = formless(encoded, saturated, &with_form(graph, &price));
        format!("class {root} has no form on the chip; the first without one is `{first}`")
    })
}

/// Extracts. The error is a sentence.
pub fn choose(
    encoded: &Encoded,
    saturated: &Saturated<'static>,
    cost: &Cost,
    settings: &Settings,
) -> Result<Solved, String> {
    let nth = settings.choose.first().copied().unwrap_or(0);
    let Extracted { mut terms, gap } = candidates(encoded, saturated, cost, nth + 1)?;
    if nth >= terms.len() {
        return Err(format!(
            "option choose wants the term after {nth} cheaper ones, but there are only {}",
            terms.len()
        ));
    }
    let term = terms.swap_remove(nth);
    let Saturated {
        runner,
        ids,
        used,
        log,
    } = saturated;
    let graph = &runner.egraph;
    let facts = term
        .classes
        .iter()
        .map(|&c| graph[c].data.clone())
        .collect();
    let origins = origins(graph, ids, &term);
    let per_rule = |count: &dyn Fn(egg::Symbol) -> usize| {
        let counted = used.iter().map(|r| (r.name, count(r.name.into())));
        counted.filter(|(_, n)| *n > 0).collect()
    };
    let (saturated, stop) = saturated.stop();
    let statistics = Statistics {
        instances: 1,
        iterations: runner.iterations.len(),
        nodes: graph.total_number_of_nodes(),
        classes: graph.number_of_classes(),
        saturated,
        stop,
        applied: per_rule(&|rule| log.applied.iter().filter(|(r, _)| *r == rule).count()),
        matched: per_rule(&|rule| log.matched.get(&rule).copied().unwrap_or(0)),
        cost: term.cost,
        gap,
    };
    Ok(Solved {
        term,
        facts,
        origins,
        statistics,
    })
}

/// What stands in the way of a term: the first operation on the way down from a root over values without a form, none
/// of whose own operands lacks one. What a fusion takes the place of is not on that way.
fn formless(encoded: &Encoded, saturated: &Saturated, known: &BTreeSet<Id>) -> String {
    let graph = &saturated.runner.egraph;
    let term = encoded.term.as_ref();
    let lacks = |node: &usize| !known.contains(&graph.find(saturated.ids[*node]));
    let below = |node: usize| {
        let children = egg::Language::children(&term[node]).iter();
        children.map(|&c| usize::from(c)).filter(lacks)
    };
    let roots = encoded.roots.iter().map(|(_, id)| usize::from(*id));
    let mut reached: BTreeSet<usize> = roots.filter(lacks).collect();
    let mut todo: Vec<usize> = reached.iter().copied().collect();
    while let Some(node) = todo.pop() {
        todo.extend(below(node).filter(|&n| reached.insert(n)));
    }
    let first = reached.iter().find(|&&node| below(node).next().is_none());
    first.map_or(String::new(), |&node| term[node].to_string())
}

/// Nodes of a class that was encoded come from there; the others from the node that they are for.
fn origins(graph: &Graph, ids: &[Id], term: &Term) -> Vec<usize> {
    let own = |class: Id| ids.iter().position(|&id| graph.find(id) == class);
    let mut origins: Vec<Option<usize>> = term.classes.iter().map(|&c| own(c)).collect();
    for i in (0..term.nodes.len()).rev() {
        let origin = origins[i];
        for child in egg::Language::children(&term.nodes[i]) {
            let slot = &mut origins[usize::from(*child)];
            *slot = slot.or(origin);
        }
    }
    origins.into_iter().map(Option::unwrap_or_default).collect()
}

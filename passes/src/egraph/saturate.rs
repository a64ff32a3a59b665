//! Saturation of one region, and what happened in it.
//!
//! Limits are iterations and nodes, never a clock, so that every machine finds the same.

use std::time::Duration;

use egg::{Id, Runner, SimpleScheduler, StopReason};

use super::cost::Cost;
use super::extract::{Term, extract};
use super::facts::{Facts, Graph, Region};
use super::region::Encoded;
use super::rules::{Class, Rule};

/// Limits and what rules may change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Rounds over all rules.
    pub iterations: usize,
    /// E-nodes.
    pub nodes: usize,
    /// Classes of rules that are used.
    pub classes: Vec<Class>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            iterations: 30,
            nodes: 20_000,
            classes: vec![
                Class::Exact,
                Class::Rounding,
                Class::Statistics,
                Class::GeluTanh,
            ],
        }
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
    /// Cost of the extracted term, in cycles.
    pub cost: u64,
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

/// Saturates and extracts. The error is a sentence.
pub fn solve(
    encoded: &Encoded,
    rules: &[&'static Rule],
    cost: &Cost,
    settings: &Settings,
) -> Result<Solved, String> {
    let analysis = Region {
        leaves: encoded.leaves.iter().map(|(_, l)| l.clone()).collect(),
        unsound: None,
    };
    let mut graph = Graph::new(analysis);
    let mut ids: Vec<Id> = Vec::new();
    for node in encoded.term.as_ref() {
        let node = egg::Language::map_children(node.clone(), |c| ids[usize::from(c)]);
        ids.push(graph.add(node));
    }
    graph.rebuild();
    if let Some(why) = &graph.analysis.unsound {
        return Err(why.clone());
    }
    let used: Vec<&Rule> = rules
        .iter()
        .copied()
        .filter(|r| settings.classes.contains(&r.class))
        .collect();
    let compiled: Vec<_> = used.iter().map(|r| r.compile()).collect();
    let runner = Runner::default()
        .with_egraph(graph)
        .with_scheduler(SimpleScheduler)
        .with_iter_limit(settings.iterations)
        .with_node_limit(settings.nodes)
        .with_time_limit(Duration::MAX)
        .run(&compiled);
    let graph = &runner.egraph;
    if let Some(why) = &graph.analysis.unsound {
        return Err(format!("a rule is unsound: {why}"));
    }
    let roots: Vec<Id> = encoded
        .roots
        .iter()
        .map(|(_, id)| ids[usize::from(*id)])
        .collect();
    let term = extract(graph, cost, &roots).map_err(|root| {
        let at = |node: usize| graph.find(ids[node]);
        let missing = (0..ids.len()).find(|&n| extract(graph, cost, &[at(n)]).is_err());
        let node = missing.map_or(String::new(), |n| encoded.term.as_ref()[n].to_string());
        format!("class {root} has no form on the chip; the first without one is `{node}`")
    })?;
    let facts = term
        .classes
        .iter()
        .map(|&c| graph[c].data.clone())
        .collect();
    let origins = origins(graph, &ids, &term);
    let applied = |rule: &Rule| {
        let name = egg::Symbol::from(rule.name);
        let count = |i: &egg::Iteration<()>| i.applied.get(&name).copied().unwrap_or(0);
        (rule.name, runner.iterations.iter().map(count).sum())
    };
    let stop = runner
        .stop_reason
        .clone()
        .unwrap_or(StopReason::Other("not run".into()));
    let statistics = Statistics {
        instances: 1,
        iterations: runner.iterations.len(),
        nodes: graph.total_number_of_nodes(),
        classes: graph.number_of_classes(),
        saturated: matches!(stop, StopReason::Saturated),
        stop: format!("{stop:?}"),
        applied: used
            .iter()
            .map(|r| applied(r))
            .filter(|(_, n): &(_, usize)| *n > 0)
            .collect(),
        cost: term.cost,
    };
    Ok(Solved {
        term,
        facts,
        origins,
        statistics,
    })
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

//! Why two planned operations are not in one pipeline: what stood in the way when the later one was placed.

use std::collections::{BTreeMap, BTreeSet};

use tspc_ir::Module;

use crate::egraph::decode::pipelines::{Pipeline, Refusal, Room, form_telling};
use crate::egraph::decode::plan::{NodeId, Plan, What};

/// The pipelines of a plan, with all refusals.
pub struct Formed<'a> {
    source: &'a Module,
    plan: &'a Plan,
    room: Room,
    pipelines: Vec<Pipeline>,
    of: Vec<Option<usize>>,
    refusals: BTreeMap<(NodeId, usize), Refusal>,
}

impl<'a> Formed<'a> {
    /// Forms the pipelines.
    pub fn new(source: &'a Module, plan: &'a Plan, room: Room) -> Formed<'a> {
        let mut refusals = BTreeMap::new();
        let (pipelines, of) = form_telling(plan, room, &mut |node, pipeline, refusal| {
            refusals.insert((node, pipeline), refusal);
        });
        Formed {
            source,
            plan,
            room,
            pipelines,
            of,
            refusals,
        }
    }

    /// The pipelines that some of these operations are in.
    pub fn of(&self, nodes: &[NodeId]) -> BTreeSet<usize> {
        nodes.iter().filter_map(|n| self.of[n.0]).collect()
    }

    /// How many operations a pipeline has.
    pub fn size(&self, pipeline: usize) -> usize {
        self.pipelines[pipeline].members.len()
    }

    /// Why none of `later` is in a pipeline of `earlier`; each reason is a sentence.
    pub fn apart(&self, earlier: &[NodeId], later: &[NodeId]) -> Vec<String> {
        let homes = self.of(earlier);
        let mut reasons = self.refused(later, &homes);
        if !reasons.is_empty() {
            return reasons;
        }
        let Some(path) = self.path(earlier, later) else {
            reasons.push(
                "neither takes what the other gives; a pipeline grows from a value to what takes it"
                    .into(),
            );
            reasons.extend(self.shapes(earlier, later));
            return reasons;
        };
        let between = |n: &&NodeId| !earlier.contains(n) && !later.contains(n);
        let inner: Vec<NodeId> = path.iter().filter(between).copied().collect();
        if let Some(&barrier) = inner.iter().find(|n| self.of[n.0].is_none()) {
            reasons.push(format!(
                "between them stands {}: what follows it waits for all of its rows",
                self.what(barrier)
            ));
            return reasons;
        }
        if let Some(&first) = inner
            .iter()
            .find(|n| !homes.contains(&self.of[n.0].unwrap_or(0)))
        {
            reasons.push(format!("between them stands {}", self.what(first)));
            reasons.extend(self.refused(&[first], &homes));
            return reasons;
        }
        let joined: Vec<String> = self.of(later).iter().map(ToString::to_string).collect();
        reasons.push(format!(
            "the later one joined pipeline {} of another operand, the latest that it could",
            joined.join(", ")
        ));
        reasons
    }

    /// What kept these out of those pipelines when they were placed.
    fn refused(&self, nodes: &[NodeId], homes: &BTreeSet<usize>) -> Vec<String> {
        let mut reasons = Vec::new();
        for &node in nodes {
            for &home in homes {
                let Some(refusal) = self.refusals.get(&(node, home)) else {
                    continue;
                };
                let reason = self.refusal(node, home, *refusal);
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        reasons
    }

    fn refusal(&self, node: NodeId, home: usize, refusal: Refusal) -> String {
        let shape = |n: NodeId| format!("{:?}", self.plan[n].ty.shape);
        match refusal {
            Refusal::NotReady(late) => format!(
                "the later one also takes {}, which is not there yet when pipeline {home} starts",
                self.what(late)
            ),
            Refusal::OtherShape => format!(
                "pipeline {home} has rows and lanes {}, the later one {}; a pipeline has one shape",
                shape(self.pipelines[home].members[0]),
                shape(node)
            ),
            Refusal::Operations => format!(
                "pipeline {home} is full: {} operations are as many as there is room for",
                self.room.operations
            ),
            Refusal::Inputs(n) => format!(
                "with it, {n} values would enter pipeline {home}; there are wires for {}",
                self.room.inputs
            ),
        }
    }

    fn shapes(&self, earlier: &[NodeId], later: &[NodeId]) -> Option<String> {
        let (&a, &b) = (earlier.last()?, later.last()?);
        let (a, b) = (&self.plan[a].ty.shape, &self.plan[b].ty.shape);
        let why = format!("they have rows and lanes {a:?} and {b:?}; a pipeline has one shape");
        (a != b).then_some(why)
    }

    /// The shortest way from one of `earlier` to one of `later`, both ends included.
    fn path(&self, earlier: &[NodeId], later: &[NodeId]) -> Option<Vec<NodeId>> {
        let mut next: BTreeMap<NodeId, Option<NodeId>> = BTreeMap::new();
        let mut layer: Vec<NodeId> = later.to_vec();
        next.extend(layer.iter().map(|&n| (n, None)));
        while !layer.is_empty() {
            let mut below = Vec::new();
            for node in layer {
                if earlier.contains(&node) {
                    let step = |n: &NodeId| next[n];
                    return Some(std::iter::successors(Some(node), step).collect());
                }
                for operand in self.plan[node].what.operands() {
                    next.entry(operand).or_insert_with(|| {
                        below.push(operand);
                        Some(node)
                    });
                }
            }
            layer = below;
        }
        None
    }

    /// A node in words, with its place.
    fn what(&self, node: NodeId) -> String {
        let planned = &self.plan[node];
        let at = self.source.locs().describe(planned.loc);
        let what = match &planned.what {
            What::Input { name, .. } => return format!("input {name}"),
            What::Constant(_) => "a constant".into(),
            What::Pass { .. } => "a pass of the MXM".into(),
            What::Transpose(_) => "a transposition".into(),
            What::Heads(..) => "the cut into heads".into(),
            What::Merge(_) => "the merge of heads".into(),
            What::Rows(..) => "a selection of rows".into(),
            What::Lanes(..) => "a selection of lanes".into(),
            What::Byte(..) => "a byte of each number".into(),
            What::Gather(..) => "lanes of an input".into(),
            What::Concat(_) => "a concatenation".into(),
            What::Broadcast(..) => "a broadcast".into(),
            What::Alu(op, _) => match self.of[node.0] {
                Some(p) => format!("{op}, in pipeline {p},"),
                None => format!("{op},"),
            },
        };
        format!("{what} for {at}")
    }
}

//! Which per-lane operations form one pipeline.
//!
//! Operations in order; each joins the latest pipeline of an operand that it can: the same rows and lanes, room for
//! it, and everything else that it takes is there before that pipeline starts. An operation that begins with lanes of a
//! value joins the pipeline that takes them already: both moments of a row come from one reading of it. One that would
//! begin a pipeline, and whose only user waits for something else, is put where that is, or begins one with that user:
//! nothing is stored in between. A whole pipeline whose results go to one other and nowhere else becomes part of that,
//! if there is room. Pipelines so formed can run in order of their numbers.

use std::collections::{BTreeMap, BTreeSet};

use tspc_machine::Numbers;

use super::plan::{NodeId, Plan, What};

/// How much one pass over the VXM can hold; more is cut into several pipelines.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Operations; the mesh needs some of its ALUs for copies.
    pub operations: usize,
    /// Values that enter: each takes a wire of four bytes.
    pub inputs: usize,
}

impl Room {
    /// What the mesh places, with the copies that carry values along.
    pub fn of(machine: &Numbers) -> Room {
        // An operand that rides a wire meets the results of the column before only if both take the same time to the
        // next column (machine.md, VXM); else more of them wait in ALUs.
        let meets = machine.vxm_column_hop == machine.vxm_latency;
        Room {
            operations: if meets { 13 } else { 10 },
            inputs: 7,
        }
    }
}

/// A pipeline: its operations in order.
#[derive(Clone, Default, Debug)]
pub struct Pipeline {
    /// The operations.
    pub members: Vec<NodeId>,
    /// What enters.
    pub inputs: BTreeSet<NodeId>,
}

/// Why an operation cannot join a pipeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// This operand is not there when the pipeline starts.
    NotReady(NodeId),
    /// Other rows or lanes.
    OtherShape,
    /// It holds as many operations as there is room for.
    Operations,
    /// With it, this many values would enter.
    Inputs(usize),
}

/// The pipelines, in an order in which they can run, and for each node the pipeline that it is in.
pub fn form(plan: &Plan, room: Room) -> (Vec<Pipeline>, Vec<Option<usize>>) {
    form_telling(plan, room, &mut |_, _, _| {})
}

/// The same; `told` hears of each operation and pipeline that do not go together, in the order of trial.
pub fn form_telling(
    plan: &Plan,
    room: Room,
    told: &mut dyn FnMut(NodeId, usize, Refusal),
) -> (Vec<Pipeline>, Vec<Option<usize>>) {
    let mut former = Former {
        plan,
        room,
        pipelines: Vec::new(),
        of: vec![None; plan.nodes().len()],
        from: Vec::new(),
        tiles: BTreeMap::new(),
    };
    let users = users(plan);
    let only = |id: NodeId| match users[id.0][..] {
        [user] if matches!(plan[user].what, What::Alu(..)) => Some(user),
        _ => None,
    };
    let mut waiting: BTreeSet<NodeId> = BTreeSet::new();
    for (id, node) in plan.nodes() {
        let operands = node.what.operands();
        let earliest = operands.iter().map(|n| former.from[n.0]).max();
        former.from.push(earliest.unwrap_or(0));
        if !matches!(node.what, What::Alu(..)) {
            continue;
        }
        for operand in &operands {
            if waiting.remove(operand) {
                former.settle(*operand, &operands);
            }
        }
        if former.joins(id, told) {
            continue;
        }
        // Its user takes something later, which may begin a pipeline of its own before this one needs to.
        let later = |user: &NodeId| {
            let taken = plan[*user].what.operands();
            let shape = &plan[*user].ty.shape;
            shape == &node.ty.shape && taken.iter().any(|n| plan.computed_after(*n, id))
        };
        match only(id).filter(later) {
            Some(_) => {
                waiting.insert(id);
            }
            None => former.begin(id),
        }
    }
    former.join(&users);
    (former.pipelines, former.of)
}

/// By node, the nodes that take it.
fn users(plan: &Plan) -> Vec<Vec<NodeId>> {
    let mut users: Vec<Vec<NodeId>> = vec![Vec::new(); plan.nodes().len()];
    for (id, node) in plan.nodes() {
        for n in BTreeSet::from_iter(node.what.operands()) {
            users[n.0].push(id);
        }
    }
    users
}

/// Pipelines in the making.
struct Former<'a> {
    plan: &'a Plan,
    room: Room,
    pipelines: Vec<Pipeline>,
    /// By node, the pipeline that it is in.
    of: Vec<Option<usize>>,
    /// By node, the first pipeline that may take it from outside.
    from: Vec<usize>,
    /// The last pipeline that takes these lanes of a value.
    tiles: BTreeMap<NodeId, usize>,
}

impl Former<'_> {
    /// Whether an operation can join a pipeline; then it has.
    fn joins(&mut self, id: NodeId, told: &mut dyn FnMut(NodeId, usize, Refusal)) -> bool {
        let operands = self.plan[id].what.operands();
        let mut candidates: BTreeSet<usize> =
            operands.iter().filter_map(|n| self.of[n.0]).collect();
        if candidates.is_empty() {
            candidates.extend(operands.iter().filter_map(|n| self.tiles.get(n)));
        }
        while let Some(p) = candidates.pop_last() {
            match self.admits(p, id, &operands) {
                Ok(()) => {
                    self.put(p, id, &operands);
                    return true;
                }
                Err(refusal) => told(id, p, refusal),
            }
        }
        false
    }

    /// Puts an operation that waited for its user where another operand of that is, if there is room for both; else a
    /// pipeline begins.
    fn settle(&mut self, id: NodeId, beside: &[NodeId]) {
        let operands = self.plan[id].what.operands();
        let homes: BTreeSet<usize> = beside.iter().filter_map(|n| self.of[n.0]).collect();
        let room = |p: &usize| self.pipelines[*p].members.len() + 1 < self.room.operations;
        let mut homes = homes.into_iter().rev().filter(room);
        match homes.find(|&p| self.admits(p, id, &operands).is_ok()) {
            Some(p) => self.put(p, id, &operands),
            None => self.begin(id),
        }
    }

    /// A pipeline begins with an operation.
    fn begin(&mut self, id: NodeId) {
        let operands = self.plan[id].what.operands();
        self.pipelines.push(Pipeline::default());
        self.put(self.pipelines.len() - 1, id, &operands);
    }

    fn admits(&self, p: usize, id: NodeId, operands: &[NodeId]) -> Result<(), Refusal> {
        let pipeline = &self.pipelines[p];
        let outside = operands.iter().filter(|n| self.of[n.0] != Some(p));
        if let Some(&late) = outside.clone().find(|n| self.from[n.0] > p) {
            return Err(Refusal::NotReady(late));
        }
        if self.plan[pipeline.members[0]].ty.shape != self.plan[id].ty.shape {
            return Err(Refusal::OtherShape);
        }
        if pipeline.members.len() >= self.room.operations {
            return Err(Refusal::Operations);
        }
        let entering: BTreeSet<_> = pipeline.inputs.iter().chain(outside).collect();
        match entering.len() <= self.room.inputs {
            true => Ok(()),
            false => Err(Refusal::Inputs(entering.len())),
        }
    }

    /// Each pipeline that only one other takes something of becomes its beginning, if there is room.
    fn join(&mut self, users: &[Vec<NodeId>]) {
        for p in 0..self.pipelines.len() {
            let taken = self.pipelines[p].members.iter().flat_map(|n| &users[n.0]);
            let by: BTreeSet<Option<usize>> = taken.map(|n| self.of[n.0]).collect();
            let others: Vec<_> = by.iter().filter(|q| **q != Some(p)).collect();
            let [Some(q)] = others[..] else { continue };
            let (before, after) = (&self.pipelines[p], &self.pipelines[*q]);
            let shape = |p: &Pipeline| &self.plan[p.members[0]].ty.shape;
            let members = [&before.members[..], &after.members].concat();
            let mut inputs = &before.inputs | &after.inputs;
            inputs.retain(|n| !before.members.contains(n));
            let room = members.len() <= self.room.operations && inputs.len() <= self.room.inputs;
            if room && shape(before) == shape(after) {
                before.members.iter().for_each(|n| self.of[n.0] = Some(*q));
                self.pipelines[*q] = Pipeline { members, inputs };
                self.pipelines[p] = Pipeline::default();
            }
        }
        let (mut numbers, mut left) = (Vec::new(), 0);
        for pipeline in &self.pipelines {
            numbers.push(left);
            left += usize::from(!pipeline.members.is_empty());
        }
        self.pipelines.retain(|p| !p.members.is_empty());
        let of = self.of.iter_mut().flatten();
        of.for_each(|p| *p = numbers[*p]);
    }

    fn put(&mut self, p: usize, id: NodeId, operands: &[NodeId]) {
        let outside = operands.iter().filter(|n| self.of[n.0] != Some(p));
        let entering: Vec<NodeId> = outside.copied().collect();
        let lanes = |n: &&NodeId| matches!(self.plan[**n].what, What::Lanes(..));
        self.tiles
            .extend(entering.iter().filter(lanes).map(|n| (*n, p)));
        self.pipelines[p].inputs.extend(entering);
        self.pipelines[p].members.push(id);
        self.of[id.0] = Some(p);
        self.from[id.0] = p + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egraph::decode::plan::{Arg, stream};
    use tspc_ir::{Builder, Elem, Loc};
    use tspc_machine::Machine;

    struct Planner {
        plan: Plan,
        loc: Loc,
    }

    impl Planner {
        fn new() -> Planner {
            let loc = Builder::new("plan").locs().path("plan");
            Planner {
                plan: Plan::default(),
                loc,
            }
        }

        fn input(&mut self, name: &str, lanes: usize) -> NodeId {
            let ty = stream(vec![4, lanes], Elem::F32);
            self.plan.input(name, false, ty, self.loc)
        }

        fn alu(&mut self, args: &[NodeId]) -> NodeId {
            let args = args.iter().map(|&n| Arg::Node(n)).collect();
            self.plan.alu("add", args, Elem::F32, self.loc)
        }

        fn pass(&mut self, x: NodeId) -> NodeId {
            let (what, ty) = (What::Transpose(x), self.plan[x].ty.clone());
            self.plan.add(what, ty, self.loc, None)
        }

        /// Forms pipelines and tests what holds of all of them.
        fn formed(&self, room: Room) -> Vec<Vec<usize>> {
            let (pipelines, of) = form(&self.plan, room);
            // The last pipeline that must have run before a node is there.
            let mut last: Vec<Option<usize>> = Vec::new();
            for (id, node) in self.plan.nodes() {
                let taken = node.what.operands();
                let before = taken.iter().filter_map(|n| last[n.0]).max();
                let own = of[id.0];
                assert!(own.is_none() || before <= own, "{id:?} comes too early");
                assert_eq!(own.is_some(), matches!(node.what, What::Alu(..)));
                last.push(own.or(before));
            }
            for (p, pipeline) in pipelines.iter().enumerate() {
                let operands = |n: &NodeId| self.plan[*n].what.operands();
                let taken: BTreeSet<NodeId> = pipeline.members.iter().flat_map(operands).collect();
                let outside = taken.into_iter().filter(|n| of[n.0] != Some(p));
                let outside: BTreeSet<NodeId> = outside.collect();
                assert_eq!(pipeline.inputs, outside);
                assert!(
                    outside.iter().all(|n| last[n.0] < Some(p)),
                    "needs a later one"
                );
                assert!(outside.len() <= room.inputs);
                assert!((1..=room.operations).contains(&pipeline.members.len()));
                let shape = |n: &NodeId| &self.plan[*n].ty.shape;
                let first = shape(&pipeline.members[0]);
                assert!(pipeline.members.iter().all(|n| shape(n) == first));
            }
            let members = |p: Pipeline| p.members.iter().map(|n| n.0).collect();
            pipelines.into_iter().map(members).collect()
        }
    }

    const WIDE: Room = Room {
        operations: 13,
        inputs: 6,
    };

    #[test]
    fn operations_are_cut_where_room_ends() {
        let mut p = Planner::new();
        let mut x = p.input("x", 8);
        for _ in 0..7 {
            x = p.alu(&[x, x]);
        }
        let operations = |operations| Room { operations, ..WIDE };
        assert_eq!(
            p.formed(operations(3)),
            [vec![1, 2, 3], vec![4, 5, 6], vec![7]]
        );
        assert_eq!(p.formed(operations(7)).len(), 1);
    }

    #[test]
    fn inputs_are_cut_where_wires_end() {
        let mut p = Planner::new();
        let mut sum = p.input("x", 8);
        for name in ["a", "b", "c", "d"] {
            let y = p.input(name, 8);
            sum = p.alu(&[sum, y]);
        }
        let inputs = |inputs| Room { inputs, ..WIDE };
        assert_eq!(p.formed(inputs(3)), [vec![2, 4], vec![6, 8]]);
        assert_eq!(p.formed(inputs(5)).len(), 1);
    }

    #[test]
    fn what_waits_for_a_pass_comes_later() {
        let mut p = Planner::new();
        let x = p.input("x", 4);
        let y = p.alu(&[x, x]);
        let turned = p.pass(y);
        let z = p.alu(&[y, turned]);
        let other = p.alu(&[y, y]);
        assert_eq!(p.formed(WIDE), [vec![y.0, other.0], vec![z.0]]);
    }

    #[test]
    fn lanes_of_a_value_are_read_once() {
        let mut p = Planner::new();
        let x = p.input("x", 8);
        let [low, high] = [0, 4].map(|start| p.plan.lanes(x, start, 4, p.loc));
        assert_eq!(p.plan.lanes(x, 4, 4, p.loc), high);
        let sum = p.alu(&[low, high]);
        let [a, b] = [low, high].map(|n| p.alu(&[n, n]));
        let squares = p.alu(&[a, b]);
        let other = p.input("y", 4);
        let begins = p.alu(&[other, other]);
        let all = vec![sum.0, a.0, b.0, squares.0];
        assert_eq!(p.formed(WIDE), [all, vec![begins.0]]);
    }

    #[test]
    fn what_would_wait_in_memory_begins_later() {
        let mut p = Planner::new();
        let (x, y) = (p.input("x", 4), p.input("y", 4));
        let turned = p.pass(y);
        let centred = p.alu(&[x, turned]);
        let late = p.pass(turned);
        let square = p.alu(&[late, late]);
        let product = p.alu(&[centred, square]);
        let all = vec![square.0, centred.0, product.0];
        assert_eq!(p.formed(WIDE), [all]);
        let cut = Room {
            operations: 2,
            ..WIDE
        };
        assert_eq!(p.formed(cut), [vec![square.0], vec![centred.0, product.0]]);
    }

    #[test]
    fn what_one_pipeline_takes_becomes_its_beginning() {
        let mut p = Planner::new();
        let [x, y] = ["x", "y"].map(|name| p.input(name, 4));
        let (left, right) = (p.pass(x), p.pass(y));
        let a = p.alu(&[left]);
        let b = p.alu(&[a, a]);
        let c = p.alu(&[right]);
        let d = p.alu(&[c, c]);
        let e = p.alu(&[b, d]);
        let all = vec![a.0, b.0, c.0, d.0, e.0];
        assert_eq!(p.formed(WIDE), [all]);
        let operations = |operations| Room { operations, ..WIDE };
        assert_eq!(
            p.formed(operations(4)),
            [vec![a.0, b.0], vec![c.0, d.0, e.0]]
        );
        // Something else takes it too.
        let seen = p.pass(b);
        p.alu(&[seen, seen]);
        assert_eq!(p.formed(WIDE).len(), 3);
    }

    #[test]
    fn other_lanes_are_another_pipeline() {
        let mut p = Planner::new();
        let (row, x) = (p.input("row", 1), p.input("x", 8));
        let row = p.alu(&[row, row]);
        let y = p.alu(&[row, x]);
        assert_eq!(p.formed(WIDE), [vec![row.0], vec![y.0]]);
    }

    #[test]
    fn random_plans() {
        let mut state = 1u64;
        let mut below = |n: usize| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        for round in 0..200 {
            let mut p = Planner::new();
            let mut pool: Vec<NodeId> = (0..4).map(|i| p.input(&i.to_string(), 4)).collect();
            for _ in 0..40 {
                let (a, b) = (pool[below(pool.len())], pool[below(pool.len())]);
                pool.push(match below(5) {
                    0 => p.pass(a),
                    _ => p.alu(&[a, b]),
                });
            }
            let room = Room {
                operations: 1 + round % 13,
                inputs: 2 + round % 5,
            };
            p.formed(room);
        }
    }

    #[test]
    fn room_follows_the_mesh() {
        let operations = |name| {
            let machine = Machine::named(name).unwrap().unwrap();
            Room::of(&machine).operations
        };
        assert_eq!(operations("tsp-v1"), 13);
        assert_eq!(operations("tsp-v1-pessimistic"), 13);
        assert_eq!(operations("tsp-v1-optimistic"), 10);
    }
}

//! Depth-first search for a placement, with the fewest copies first.
//!
//! Nodes are placed in order. A value's wire is decided when it is first taken; the cycles of parts of the graph that have
//! not met yet float against one another, and are fixed to each other when they do. Work is counted, not timed.

use tspc_machine::Machine;
use tspc_program::{AluOp, Direction, ElemType, ResultMode, Stream};

use super::{
    Arg, Chain, Node, Operand, Output, PlacedInput, PlacedOp, PlacedOutput, Source, Template,
    WireUse, transcendental,
};

/// How long a search goes on.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Steps of one try.
    pub steps: u64,
    /// Rounds of tries, one for each number of copies.
    pub rounds: u64,
}

/// A search that has gone wrong early seldom recovers, so many short tries in different orders find more than a long
/// one; what they do not find, longer ones may.
pub const EFFORTS: [Effort; 2] = [
    Effort {
        steps: 1_500,
        rounds: 60,
    },
    Effort {
        steps: 20_000,
        rounds: 30,
    },
];

/// For alternatives.
pub const SHORT: Effort = Effort {
    steps: 1_500,
    rounds: 4,
};

/// Gives every output a node of its own: a result either stays in the mesh or leaves it.
pub fn with_output_nodes(chain: &Chain) -> Chain {
    let mut chain = chain.clone();
    for o in 0..chain.outputs.len() {
        let node = chain.outputs[o].node;
        let inside = chain
            .nodes
            .iter()
            .any(|n| n.args.contains(&Arg::Node(node)));
        let again = chain.outputs.iter().filter(|p| p.node == node).count() > 1;
        if inside || again {
            let ty = chain.nodes[node].ty;
            chain.nodes.push(Node {
                op: AluOp::Copy,
                args: vec![Arg::Node(node)],
                imm: 0,
                ty,
            });
            chain.outputs[o].node = chain.nodes.len() - 1;
        }
    }
    chain
}

/// A value on the mesh: an input, or the result of a placed operation.
#[derive(Clone, Copy, Debug)]
struct Value {
    /// What it holds: an input or a node's result, itself or a copy.
    of: Arg,
    source: Source,
    ty: ElemType,
    /// Row and column of the ALU that makes it; `None` for an input.
    from: Option<(u8, u8)>,
    /// Cycle at which it is at column 0 of its direction (input: entry), or its maker's dispatch; floats.
    time: usize,
    latency: i32,
    /// Direction and first stream, once decided; with the last column (in order of the direction) that needs it.
    wire: Option<(Stream, u8)>,
    /// For inputs, the direction.
    dir: Option<Direction>,
}

/// A cycle, relative to the others of its group.
#[derive(Clone, Copy, Debug)]
struct Time {
    group: usize,
    at: i32,
}

/// Per operand: value, or `None` for the immediate.
type Args = [Option<Option<usize>>; 2];

/// Flat, since every step of the search copies it.
#[derive(Clone, Debug)]
struct State {
    values: Vec<Value>,
    times: Vec<Time>,
    ops: Vec<Op>,
    alus: u32,
    /// Per direction and column in its order: the byte streams that are taken.
    wires: [[u32; 4]; 2],
    outs: [u32; 2],
}

#[derive(Clone, Copy, Debug)]
struct Op {
    op: AluOp,
    imm: u32,
    ty: ElemType,
    alu: u8,
    time: usize,
    args: Args,
    out: Option<Stream>,
}

struct Search<'a> {
    chain: &'a Chain,
    machine: &'a Machine,
    /// In the order in which they are tried.
    alus: Vec<u8>,
    large: u32,
    steps: u64,
    limit: u64,
}

/// A template on the given mesh rows, or the steps that were spent in vain.
pub fn search(
    chain: &Chain,
    machine: &Machine,
    rows: &[u8],
    effort: Effort,
) -> Result<Template, u64> {
    let large = machine.vxm_large_alus.iter().fold(0, |m, a| m | 1 << a);
    let spare = 4 * rows.len() - chain.nodes.len();
    let mut search = Search {
        chain,
        machine,
        alus: Vec::new(),
        large,
        steps: 0,
        limit: 0,
    };
    for round in 0..effort.rounds {
        search.alus = order(rows, round);
        for copies in 0..=spare {
            search.limit = search.steps + effort.steps;
            if let Some(state) = search.place(&State::new(chain), 0, copies) {
                return Ok(state.template(chain, machine));
            }
        }
    }
    Err(search.steps)
}

/// ALUs of the rows in the order of trying: row by row at first, shuffled in later rounds.
fn order(rows: &[u8], round: u64) -> Vec<u8> {
    let mut alus: Vec<u8> = rows
        .iter()
        .flat_map(|row| (0..4).map(move |column| 4 * row + column))
        .collect();
    if round > 0 {
        // SplitMix64: any fixed shuffle will do, as long as it is the same everywhere.
        alus.sort_by_key(|alu| {
            let mut z = (round << 8 | u64::from(*alu)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z ^ (z >> 27)
        });
    }
    alus
}

/// Column in the order of the direction.
fn rank(dir: Direction, column: u8) -> u8 {
    if dir == Direction::East {
        column
    } else {
        3 - column
    }
}

impl State {
    fn new(chain: &Chain) -> State {
        let mut state = State {
            values: Vec::new(),
            times: Vec::new(),
            ops: Vec::new(),
            alus: 0,
            wires: [[0; 4]; 2],
            outs: [0; 2],
        };
        for (i, input) in chain.inputs.iter().enumerate() {
            let time = state.new_time();
            state.values.push(Value {
                of: Arg::Input(i),
                source: Source::Input(i),
                ty: input.ty,
                from: None,
                time,
                latency: 0,
                wire: None,
                dir: Some(input.dir),
            });
        }
        state
    }

    fn new_time(&mut self) -> usize {
        let group = self.times.len();
        self.times.push(Time { group, at: 0 });
        group
    }

    /// Values that hold this, the oldest first.
    fn holders(&self, of: Arg) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.values.len()).filter(move |&v| self.values[v].of == of)
    }

    /// Demands times[a] + after = times[b]; false if that is impossible.
    fn relate(&mut self, a: usize, after: i32, b: usize) -> bool {
        let (ta, tb) = (self.times[a], self.times[b]);
        let shift = ta.at + after - tb.at;
        if ta.group == tb.group {
            return shift == 0;
        }
        for t in self.times.iter_mut().filter(|t| t.group == tb.group) {
            t.group = ta.group;
            t.at += shift;
        }
        true
    }

    /// Takes bytes of a stream in columns `first..=last` (order of the direction); false if they are in use.
    fn claim(&mut self, stream: Stream, bytes: u8, first: u8, last: u8) -> bool {
        let mask = (((1u64 << bytes) - 1) as u32) << stream.id;
        let columns = &mut self.wires[stream.dir.index()][first as usize..=last as usize];
        if columns.iter().any(|c| c & mask != 0) {
            return false;
        }
        columns.iter_mut().for_each(|c| *c |= mask);
        true
    }
}

impl Search<'_> {
    /// Wires that a row reaches.
    fn reach(&self, row: u8) -> impl Iterator<Item = u8> + use<> {
        let wires = self.machine.vxm_wires as u8;
        (0..self.machine.vxm_wires_per_row as u8).map(move |k| (2 * row + k) % wires)
    }

    fn reaches(&self, row: u8, wire: u8) -> bool {
        self.reach(row).any(|w| w == wire)
    }

    fn latency(&self, op: AluOp) -> i32 {
        let m = self.machine;
        (if transcendental(op) {
            m.vxm_latency_transcendental
        } else {
            m.vxm_latency
        }) as i32
    }

    /// Places node `n` and all after it, with at most `copies` more copies.
    fn place(&mut self, state: &State, n: usize, copies: usize) -> Option<State> {
        let chain = self.chain;
        let Some(node) = chain.nodes.get(n) else {
            return state.all_taken().then(|| state.clone());
        };
        let out = chain.outputs.iter().find(|o| o.node == n);
        // ALU by ALU: most tries end before the last one.
        for alu in 0..self.alus.len() {
            for next in self.candidates(state, self.alus[alu], Arg::Node(n), node, out) {
                if self.steps >= self.limit {
                    return None;
                }
                self.steps += 1;
                if let Some(done) = self.place(&next, n + 1, copies) {
                    return Some(done);
                }
            }
        }
        if copies == 0 {
            return None;
        }
        // A copy of an operand delays it, turns it round, or brings it to another row.
        for arg in node.args.iter().copied().filter(|a| *a != Arg::Imm) {
            let ty = match arg {
                Arg::Input(i) => chain.inputs[i].ty,
                Arg::Node(m) => chain.nodes[m].ty,
                Arg::Imm => continue,
            };
            let copy = Node {
                op: AluOp::Copy,
                args: vec![arg],
                imm: 0,
                ty,
            };
            for alu in 0..self.alus.len() {
                for next in self.candidates(state, self.alus[alu], arg, &copy, None) {
                    if self.steps >= self.limit {
                        return None;
                    }
                    self.steps += 1;
                    if let Some(done) = self.place(&next, n, copies - 1) {
                        return Some(done);
                    }
                }
            }
        }
        None
    }

    /// All ways to place one operation next, on this ALU; what it makes holds `of` and is the state's last value.
    fn candidates(
        &self,
        state: &State,
        alu: u8,
        of: Arg,
        node: &Node,
        out: Option<&Output>,
    ) -> Vec<State> {
        let (row, column) = (alu / 4, alu % 4);
        if state.alus >> alu & 1 == 1 || (transcendental(node.op) && self.large >> alu & 1 == 0) {
            return Vec::new();
        }
        let mut base = state.clone();
        base.alus |= 1 << alu;
        let time = base.new_time();
        let mut partial: Vec<(State, Args)> = vec![(base, [None, None])];
        for (i, &arg) in node.args.iter().enumerate() {
            if arg == Arg::Imm {
                partial
                    .iter_mut()
                    .for_each(|(_, args)| args[i] = Some(None));
                continue;
            }
            let mut more = Vec::new();
            for (s, mut args) in partial {
                // The latest copy first: it is nearest.
                for value in state.holders(arg).rev() {
                    args[i] = Some(Some(value));
                    let taken = self.take(&s, value, row, column, time);
                    more.extend(taken.into_iter().map(|s| (s, args)));
                }
            }
            partial = more;
        }
        let mut found = Vec::new();
        for (mut s, args) in partial {
            if self.opposed(&s, &args) {
                continue;
            }
            s.values.push(Value {
                of,
                source: Source::Op(s.ops.len()),
                ty: node.ty,
                from: Some((row, column)),
                time,
                latency: self.latency(node.op),
                wire: None,
                dir: None,
            });
            s.ops.push(Op {
                op: node.op,
                imm: node.imm,
                ty: node.ty,
                alu,
                time,
                args,
                out: None,
            });
            let Some(out) = out else {
                found.push(s);
                continue;
            };
            for stream in self.out_streams(&s, row, out.dir, node.ty) {
                let mut s = s.clone();
                let mask = (((1u64 << node.ty.bytes()) - 1) as u32) << stream.id;
                s.outs[stream.dir.index()] |= mask;
                if let Some(op) = s.ops.last_mut() {
                    op.out = Some(stream);
                }
                found.push(s);
            }
        }
        found
    }

    /// Ways for the ALU at (row, column), dispatched at `time`, to take a value.
    fn take(&self, state: &State, value: usize, row: u8, column: u8, time: usize) -> Vec<State> {
        let v = state.values[value];
        let hop = self.machine.vxm_column_hop as i32;
        // Delay from the value's time to this column, and the first column that it occupies.
        let along = |dir: Direction| -> Option<(i32, u8)> {
            let here = rank(dir, column);
            match v.from {
                None => Some((self.machine.vxm_entry as i32 + hop * i32::from(here), 0)),
                Some((_, made)) => {
                    let made = rank(dir, made);
                    (here > made).then(|| (v.latency + hop * i32::from(here - made - 1), made + 1))
                }
            }
        };
        let mut ways = Vec::new();
        if let Some((stream, last)) = v.wire {
            let Some((after, first)) = along(stream.dir) else {
                return ways;
            };
            if !self.reaches(row, stream.id / 4) {
                return ways;
            }
            let mut s = state.clone();
            let here = rank(stream.dir, column);
            if !s.relate(v.time, after, time) {
                return ways;
            }
            if here > last {
                if !s.claim(stream, v.ty.bytes(), (last + 1).max(first), here) {
                    return ways;
                }
                s.values[value].wire = Some((stream, here));
            }
            ways.push(s);
            return ways;
        }
        let dirs = match v.dir {
            Some(dir) => vec![dir],
            None => vec![Direction::East, Direction::West],
        };
        for dir in dirs {
            let Some((after, first)) = along(dir) else {
                continue;
            };
            let here = rank(dir, column);
            for wire in self.reach(row) {
                if v.from.is_some_and(|(made, _)| !self.reaches(made, wire)) {
                    continue;
                }
                // Narrow values share a wire; the first free place in it will do.
                let places = (0..4u8).step_by(v.ty.bytes() as usize).map(|k| Stream {
                    dir,
                    id: 4 * wire + k,
                });
                for stream in places {
                    let mut s = state.clone();
                    if !s.relate(v.time, after, time) {
                        break;
                    }
                    if s.claim(stream, v.ty.bytes(), first, here) {
                        s.values[value].wire = Some((stream, here));
                        ways.push(s);
                        break;
                    }
                }
            }
        }
        ways
    }

    /// Two operands on one wire number in opposite directions.
    fn opposed(&self, state: &State, args: &Args) -> bool {
        let wire = |arg: Option<Option<usize>>| Some(state.values[arg.flatten()?].wire?.0);
        let [a, b] = args.map(wire);
        matches!((a, b), (Some(a), Some(b)) if a.dir != b.dir && a.id / 4 == b.id / 4)
    }

    fn out_streams(
        &self,
        state: &State,
        row: u8,
        dir: Direction,
        ty: ElemType,
    ) -> impl Iterator<Item = Stream> + use<> {
        let taken = state.outs[dir.index()];
        let bytes = ty.bytes();
        let wires: Vec<u8> = self.reach(row).collect();
        wires.into_iter().filter_map(move |wire| {
            let mut places = (0..4u8).step_by(bytes as usize).map(|k| 4 * wire + k);
            let id = places.find(|id| taken & ((((1u64 << bytes) - 1) as u32) << id) == 0)?;
            Some(Stream { dir, id })
        })
    }
}

impl State {
    /// Whether somebody takes every result. A copy that nobody takes would still have to leave, over what passes by.
    fn all_taken(&self) -> bool {
        let taken = |v: &Value| match v.source {
            Source::Op(o) => v.wire.is_some() || self.ops[o].out.is_some(),
            Source::Input(_) => true,
        };
        self.values.iter().all(taken)
    }

    fn template(&self, chain: &Chain, machine: &Machine) -> Template {
        // Parts that never met are set side by side at their own earliest cycles; a part with several inputs is
        // one group already.
        let mut earliest = vec![i32::MAX; self.times.len()];
        for v in self
            .values
            .iter()
            .filter(|v| v.wire.is_some() || v.from.is_some())
        {
            let t = self.times[v.time];
            earliest[t.group] = earliest[t.group].min(t.at);
        }
        let at = |time: usize| {
            let t = self.times[time];
            t.at - if earliest[t.group] == i32::MAX {
                t.at
            } else {
                earliest[t.group]
            }
        };
        let mut wires = Vec::new();
        for v in &self.values {
            let Some((stream, last)) = v.wire else {
                continue;
            };
            let (first, time) = match v.from {
                None => (0, at(v.time) + machine.vxm_entry as i32),
                Some((_, column)) => (rank(stream.dir, column) + 1, at(v.time) + v.latency),
            };
            for k in 0..v.ty.bytes() {
                wires.push(WireUse {
                    stream: stream.byte(k),
                    first_column: first,
                    last_column: last,
                    time,
                });
            }
        }
        let operand = |value: Option<usize>| match value {
            None => Operand::Imm,
            Some(v) => {
                let v = &self.values[v];
                let (stream, _) = v.wire.expect("a value that is taken has a wire");
                Operand::Value {
                    stream,
                    ty: v.ty,
                    source: v.source,
                }
            }
        };
        let result_of = |o: usize| {
            let made = self.values.iter().find(|v| v.source == Source::Op(o));
            let wire = made.and_then(|v| v.wire);
            let mesh = wire.map(|(stream, _)| (stream, ResultMode::Mesh));
            let out = self.ops[o].out.map(|stream| (stream, ResultMode::Out));
            out.or(mesh).expect("every result is taken")
        };
        let ops = self.ops.iter().enumerate().map(|(o, op)| {
            let (result, mode) = result_of(o);
            PlacedOp {
                op: op.op,
                alu: op.alu,
                time: at(op.time),
                a: operand(op.args[0].flatten()),
                b: op.args[1].map(operand),
                imm: op.imm,
                result,
                ty: op.ty,
                mode,
            }
        });
        let ops: Vec<PlacedOp> = ops.collect();
        // Inputs are the first values.
        let inputs = chain.inputs.iter().enumerate().map(|(i, input)| {
            let v = &self.values[i];
            let stream = v.wire.map_or(
                Stream {
                    dir: input.dir,
                    id: 0,
                },
                |w| w.0,
            );
            PlacedInput {
                stream,
                entry_time: at(v.time),
            }
        });
        let inputs = inputs.collect();
        let outputs = chain.outputs.iter().map(|o| {
            // The result itself is older than its copies.
            let made = self.holders(Arg::Node(o.node)).next();
            let made = &self.values[made.expect("every node is placed")];
            let Source::Op(op) = made.source else {
                unreachable!("nodes are made by operations")
            };
            PlacedOutput {
                op,
                stream: ops[op].result,
                time: ops[op].time + made.latency,
            }
        });
        let outputs = outputs.collect();
        Template {
            ops,
            inputs,
            outputs,
            wires,
        }
    }
}

//! Who waits for whom: a program as runs that move as one, and what each of them could not have started before.
//!
//! A *run* is all instructions that streams tie to one another: a stream flows without stopping, so from the reads
//! through planes and ALUs to the writes each cycle follows from any other. A run can begin earlier only if all of
//! its instructions can; a [`Wait`] is one that cannot, or only by its slack.
//! Before: the checker accepts the program, so `uses` is complete and every producer dispatches before its consumer.
//! May not know who chose a cycle: free streams and the order in which runs were scheduled leave no trace in a
//! program, so what they cost shows as slack.

use crate::machine::Machine;
use crate::program::{
    Consumer, Dispatch, Instr, MxmQueue, Program, QueueId, Site, Source, Unit, Use, dispatches,
};

/// An instruction with its repeats.
pub struct Node {
    /// Its queue.
    pub queue: QueueId,
    /// When it dispatches, and where it stands in the queue.
    pub time: Dispatch,
    /// Index in `Program::locations` of the first part of the model that it serves.
    pub location: Option<u32>,
}

/// One dispatch of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Point {
    /// Index of the node.
    pub node: usize,
    /// Its iteration.
    pub iteration: u32,
}

/// What a dispatch waits for; of equal slacks the first is named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A word of memory that a write stores.
    Word,
    /// The installed weights of an activation.
    Weights,
    /// A load of weights that are installed.
    Load,
    /// The plane: the pass with the weights that are displaced, or the install that frees the load buffer.
    Plane,
    /// The slice, which stores until then what is read from it: its queue cannot do both at once.
    Buffer,
    /// The queue of a plane: the instruction before.
    MxmQueue,
    /// The queue of an ALU.
    VxmQueue,
    /// The queue of an SXM unit.
    SxmQueue,
    /// The queue of a slice, of which there are the most.
    MemQueue,
}

impl Kind {
    /// What is waited for.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Word => "word",
            Kind::Weights => "weights",
            Kind::Load => "load",
            Kind::Plane => "plane",
            Kind::Buffer => "buffer",
            Kind::MxmQueue => "MXM queue",
            Kind::VxmQueue => "VXM queue",
            Kind::SxmQueue => "SXM queue",
            Kind::MemQueue => "MEM queue",
        }
    }

    fn queue_of(unit: Unit) -> Kind {
        match unit {
            Unit::Mxm(..) => Kind::MxmQueue,
            Unit::Alu(_) => Kind::VxmQueue,
            Unit::Sxm(..) => Kind::SxmQueue,
            Unit::Mem(..) => Kind::MemQueue,
        }
    }
}

/// A dispatch and the one that it may not come too close to.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// Who waits.
    pub at: Point,
    /// For whom.
    pub on: Point,
    /// Why.
    pub kind: Kind,
    /// How many cycles earlier this alone would let it dispatch.
    pub slack: u64,
}

/// A program's runs.
pub struct Waits<'a> {
    /// The program.
    pub program: &'a Program,
    machine: &'a Machine,
    /// By queue and cycle.
    pub nodes: Vec<Node>,
    /// First node of each queue, and the end.
    begin: Vec<usize>,
    /// Records of instructions, by consumer.
    uses: Vec<&'a Use>,
    /// Of each node.
    run: Vec<usize>,
    /// Nodes of each run.
    runs: Vec<Vec<usize>>,
}

impl<'a> Waits<'a> {
    /// Ties the instructions of a program together.
    pub fn new(program: &'a Program, machine: &'a Machine) -> Waits<'a> {
        let of_instruction = |u: &&Use| matches!(u.consumer, Consumer::Instr(_));
        let mut uses: Vec<&Use> = program.uses.iter().filter(of_instruction).collect();
        uses.sort_by_key(|u| (u.consumer, u.slot, u.first));
        let mut waits = Waits {
            program,
            machine,
            nodes: Vec::new(),
            begin: vec![0],
            uses,
            run: Vec::new(),
            runs: Vec::new(),
        };
        for queue in QueueId::all() {
            for time in dispatches(&program.queues[queue.index()]) {
                let site = Site {
                    queue,
                    index: time.index as u32,
                };
                let location = waits.records(site).first().map(|u| u.loc);
                waits.nodes.push(Node {
                    queue,
                    time,
                    location,
                });
            }
            waits.begin.push(waits.nodes.len());
        }
        waits.tie();
        waits
    }

    /// Numbers the runs, in the order of their first nodes.
    fn tie(&mut self) {
        fn root(parents: &mut [usize], mut node: usize) -> usize {
            while parents[node] != node {
                parents[node] = parents[parents[node]];
                node = parents[node];
            }
            node
        }
        let mut parents: Vec<usize> = (0..self.nodes.len()).collect();
        for node in 0..self.nodes.len() {
            for (maker, ..) in self.operands(node).filter(|o| o.2.is_none()) {
                let (a, b) = (root(&mut parents, maker.node), root(&mut parents, node));
                // The smaller is the root, so that it is met first below.
                parents[a.max(b)] = a.min(b);
            }
        }
        for node in 0..self.nodes.len() {
            let run = match root(&mut parents, node) {
                first if first == node => {
                    self.runs.push(Vec::new());
                    self.runs.len() - 1
                }
                first => self.run[first],
            };
            self.run.push(run);
            self.runs[run].push(node);
        }
    }

    /// The run of a node.
    pub fn run_of(&self, node: usize) -> usize {
        self.run[node]
    }

    /// The nodes of a run.
    pub fn run(&self, run: usize) -> &[usize] {
        &self.runs[run]
    }

    /// The cycle of a dispatch.
    pub fn cycle(&self, point: Point) -> u64 {
        self.nodes[point.node].time.cycle(point.iteration)
    }

    /// One past the last dispatch.
    pub fn end(&self) -> u64 {
        self.nodes
            .iter()
            .map(|n| n.time.last() + 1)
            .max()
            .unwrap_or(0)
    }

    /// The part of the model that a node serves; empty if none is named.
    pub fn location(&self, node: usize) -> &'a str {
        let location = self.nodes[node].location;
        let path = location.and_then(|l| self.program.locations.get(l as usize));
        path.map_or("", |path| path)
    }

    /// The instruction of a node.
    pub fn instr(&self, node: usize) -> &'a Instr {
        let Node { queue, time, .. } = &self.nodes[node];
        &self.program.queues[queue.index()][time.index]
    }

    /// Nodes of a queue.
    pub fn of_queue(&self, queue: QueueId) -> std::ops::Range<usize> {
        self.begin[queue.index()]..self.begin[queue.index() + 1]
    }

    /// The node of an instruction that dispatches.
    pub fn node(&self, site: Site) -> Option<usize> {
        let queue = self.of_queue(site.queue);
        let index = |n: &Node| n.time.index;
        let found = self.nodes[queue.clone()].binary_search_by_key(&(site.index as usize), index);
        found.ok().map(|i| queue.start + i)
    }

    /// The last dispatch of a queue before `cycle`.
    fn before(&self, queue: QueueId, cycle: u64) -> Option<Point> {
        let nodes = self.of_queue(queue);
        let count = self.nodes[nodes.clone()].partition_point(|n| n.time.first < cycle);
        let node = nodes.start + count.checked_sub(1)?;
        let time = &self.nodes[node].time;
        let passed = (cycle - 1 - time.first) / u64::from(time.d.max(1));
        let iteration = passed.min(time.n.into()) as u32;
        Some(Point { node, iteration })
    }

    /// The last dispatch of any queue at or before `cycle`; of several that of the first queue.
    pub fn last_until(&self, cycle: u64) -> Option<Point> {
        let all = QueueId::all().filter_map(|q| self.before(q, cycle.saturating_add(1)));
        all.min_by_key(|&p| (std::cmp::Reverse(self.cycle(p)), p))
    }

    fn records(&self, site: Site) -> &[&'a Use] {
        let consumer = Consumer::Instr(site);
        let from = self.uses.partition_point(|u| u.consumer < consumer);
        let count = self.uses[from..].partition_point(|u| u.consumer == consumer);
        &self.uses[from..from + count]
    }

    /// What other instructions made for a node, the first and the last of each record: the maker, the taker, and for
    /// what is no stream its kind and the least distance.
    pub fn operands(
        &self,
        node: usize,
    ) -> impl Iterator<Item = (Point, Point, Option<(Kind, u64)>)> + '_ {
        let Node { queue, time, .. } = &self.nodes[node];
        let site = Site {
            queue: *queue,
            index: time.index as u32,
        };
        let made = move |u: &'a Use, i: u32| {
            let Source::Dispatch { site, first, step } = u.source else {
                return None;
            };
            let iteration = i64::from(first) + i64::from(i) * i64::from(step);
            let maker = Point {
                node: self.node(site)?,
                iteration: u32::try_from(iteration).ok()?,
            };
            let taker = Point {
                node,
                iteration: u.first + i,
            };
            Some((maker, taker, self.kind(node, u.slot)))
        };
        // Distances are linear in the iteration, so that one of the ends is the least.
        let ends = |u: &Use| [0, u.count.saturating_sub(1)];
        let records = self.records(site).iter();
        records.flat_map(move |u| ends(u).into_iter().filter_map(move |i| made(u, i)))
    }

    /// The kind of an operand, and from its maker's dispatch to its taker's; none for a stream.
    fn kind(&self, node: usize, slot: u8) -> Option<(Kind, u64)> {
        let m = self.machine;
        match (self.instr(node), slot) {
            // Slots as in `Use::slot`: words of a read, and of a gather.
            (Instr::Mem { .. }, 0 | 4..) => Some((Kind::Word, m.mem_write_to_read.into())),
            (Instr::Act { .. }, 2) => Some((Kind::Weights, m.mxm_iw_to_act.into())),
            (Instr::Iw { .. }, _) => Some((Kind::Load, 1)),
            _ => None,
        }
    }

    /// Whether one node reads words that another writes.
    fn reads_from(&self, reader: usize, writer: usize) -> bool {
        let word = |kind| matches!(kind, Some((Kind::Word, _)));
        self.operands(reader)
            .any(|(on, _, kind)| on.node == writer && word(kind))
    }

    /// Everything that a node waits for.
    fn waits(&self, node: usize) -> impl Iterator<Item = Wait> + '_ {
        let wait = |at: Point, on: Point, kind: Kind, least: u64| Wait {
            at,
            on,
            kind,
            slack: self.cycle(at).saturating_sub(self.cycle(on) + least),
        };
        let operands = self.operands(node);
        let operands = operands.filter_map(move |(on, at, kind)| {
            let (kind, least) = kind?;
            Some(wait(at, on, kind, least))
        });
        let Node { queue, time, .. } = &self.nodes[node];
        let at = Point { node, iteration: 0 };
        let queued = self.before(*queue, time.first).map(|on| {
            let (kind, least) = match (self.instr(on.node), self.instr(node)) {
                (Instr::Iw { .. }, Instr::Lw { .. }) => (Kind::Plane, self.machine.mxm_iw_to_lw),
                _ if self.reads_from(node, on.node) => (Kind::Buffer, 1),
                _ => (Kind::queue_of(queue.unit()), 1),
            };
            wait(at, on, kind, least.into())
        });
        let displaced = match (self.instr(node), queue.unit()) {
            (Instr::Iw { .. }, Unit::Mxm(hemi, plane, _)) => {
                let queue = Unit::Mxm(hemi, plane, MxmQueue::Activation).queue();
                let last = queue.and_then(|q| self.before(q, time.first));
                last.map(|on| wait(at, on, Kind::Plane, 1))
            }
            _ => None,
        };
        operands.chain(queued).chain(displaced)
    }

    /// Of what a run waits for, outside itself and not `known`, the one with the least slack; none if the beginning of
    /// the program is nearer.
    pub fn binding(&self, run: usize, known: &dyn Fn(usize) -> bool) -> Option<Wait> {
        let nodes = self.runs[run].iter();
        let waits = nodes.flat_map(|&node| self.waits(node)).filter(|w| {
            let on = self.run[w.on.node];
            on != run && !known(on)
        });
        let least = waits.min_by_key(|w| (w.slack, w.kind, w.at, w.on))?;
        (least.slack <= self.cycle(self.first(run))).then_some(least)
    }

    /// The first dispatch of a run.
    pub fn first(&self, run: usize) -> Point {
        let points = self.runs[run]
            .iter()
            .map(|&node| Point { node, iteration: 0 });
        points
            .min_by_key(|&p| (self.cycle(p), p))
            .expect("a run has a node")
    }
}

//! What a chain needs, relative to its anchor: queues and mesh wires that are fixed, streams that may be chosen.
//!
//! The anchor is the dispatch of the first pass's first activation, or, in a chain without passes, the template's cycle 0.

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{Direction, ElemType, Hemisphere, MxmQueue, QueueId, SLICES, SxmUnit, Unit};

use super::books::Books;
use super::planes::Seat;
use crate::geometry::Geometry;
use crate::mesh::Template;
use crate::place::{Place, Placed};
use crate::problem::{BufferId, Chain, Feed, Pass, Piece, Read, Source, Write, spans};
use crate::space::Span;

/// A stretch of a stream: diagonal of its first row, rows, and the coordinates from where it is made to where it is
/// last taken.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub diagonal: i64,
    pub rows: u32,
    pub from: i64,
    pub to: i64,
}

/// Values that travel on an aligned group of byte streams.
#[derive(Clone, Debug)]
pub struct Flow {
    pub dir: Direction,
    /// First streams that would do.
    pub candidates: Vec<u8>,
    /// Per byte; if it comes from memory, a stretch per piece first.
    pub bytes: Vec<Vec<Stretch>>,
    /// Per byte, if it comes from memory.
    pub reads: Vec<Vec<Piece>>,
    /// Side and cycle at which the distributors of the chosen streams are needed, if they are.
    pub distribute: Option<(Hemisphere, i64)>,
}

/// What a flow is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Of this pass, as the next two.
    Act(usize),
    Window(usize),
    Partial(usize),
    /// The sum that this pass hands to the next one.
    Relay(usize),
    Result,
    Input(usize),
    Output(usize),
}

/// An access to a buffer whose slice is not fixed yet.
#[derive(Clone, Copy, Debug)]
pub struct Late {
    /// What is read, or all of what is written.
    pub read: Read,
    pub dir: Direction,
    /// Diagonal of the first row.
    pub diagonal: i64,
    /// From the first dispatch to after the last; of a read, its words.
    pub cycles: i64,
    pub write: bool,
    /// Cycles from one dispatch to the next.
    pub step: u32,
}

impl Late {
    /// The claims of the dispatches, relative to the anchor, if the buffer were in this place.
    pub fn claims(
        &self,
        geometry: &Geometry,
        place: Place,
    ) -> impl Iterator<Item = Claim> + Clone + use<> {
        let start = self.start(geometry, place);
        // Between the words of a write that takes every n-th row the queue is free: emit makes each an instruction.
        let (pieces, length) = match self.step {
            1 => (1, self.cycles),
            step => ((self.cycles - 1) / i64::from(step) + 1, 1),
        };
        let (access, step) = (self.access(), i64::from(self.step));
        (0..pieces).flat_map(move |i| {
            let start = start + i * step;
            let time = Span {
                start,
                end: start + length,
            };
            access.claims(place, time)
        })
    }

    fn access(&self) -> Access {
        match self.write {
            true => Access::Write,
            false => Access::Read,
        }
    }

    fn start(&self, geometry: &Geometry, place: Place) -> i64 {
        match self.write {
            true => self.diagonal + geometry.write(self.dir, place.hemi, place.slice),
            false => geometry.read_dispatch(self.dir, place.hemi, place.slice, self.diagonal),
        }
    }

    /// The dispatches, relative to the anchor, if the buffer were in this place.
    pub fn span(&self, geometry: &Geometry, place: Place) -> Span {
        let start = self.start(geometry, place);
        Span {
            start,
            end: start + self.cycles,
        }
    }
}

/// What an access needs of a slice.
#[derive(Clone, Copy, Debug)]
enum Access {
    Read,
    Write,
}

impl Access {
    /// An instruction may read one bank and write the other (machine.md, MEM). Four parts of a queue on a circle say
    /// so: each access takes two neighbours; accesses that exclude each other share one.
    fn claims(self, place: Place, time: Span) -> impl Iterator<Item = Claim> + Clone + use<> {
        let parts: &[(i64, i64)] = match (self, place.bank) {
            (Access::Read, 0) => &[(0, 2)],
            (Access::Read, _) => &[(1, 3)],
            (Access::Write, 0) => &[(3, 4), (0, 1)],
            (Access::Write, _) => &[(2, 4)],
        };
        let queue = queue(Unit::Mem(place.hemi, place.slice));
        parts.iter().map(move |&(start, end)| Claim {
            queue,
            time,
            parts: Span { start, end },
        })
    }
}

/// A queue, or some parts of one, for the span of cycles.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub queue: QueueId,
    pub time: Span,
    pub parts: Span,
}

impl Claim {
    /// All of a queue.
    pub fn whole(queue: QueueId, time: Span) -> Claim {
        Claim {
            queue,
            time,
            parts: Span { start: 0, end: 4 },
        }
    }

    /// The claim moved by `by` cycles.
    pub fn shift(self, by: i64) -> Claim {
        Claim {
            time: self.time.shift(by),
            ..self
        }
    }

    /// Whether two claims exclude each other.
    pub fn meets(&self, other: &Claim) -> bool {
        self.queue == other.queue && self.time.meets(other.time) && self.parts.meets(other.parts)
    }
}

/// Everything that a chain needs.
#[derive(Clone, Debug)]
pub struct Plan {
    pub queues: Vec<Claim>,
    /// Direction, byte stream, cycles at the first column as a diagonal, columns.
    pub wires: Vec<(Direction, u8, Span, Span)>,
    pub flows: Vec<(Role, Flow)>,
    /// What still needs a slice; its streams reach as far as any slice could want.
    pub late: Vec<Late>,
    pub rows: u32,
    /// The first activation of each pass, relative to the anchor.
    pub acts: Vec<i64>,
    /// Template cycle 0, relative to the anchor.
    pub vxm_base: i64,
}

/// Distances inside units, from the machine file.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    pub act_to_accumulate: i64,
    pub accumulate_to_result: i64,
    /// From SR_11 outward to the distributor's dispatch.
    pub sxm_in: i64,
    /// From the distributor's dispatch to the MXM port.
    pub distribute_to_port: i64,
    pub column_hop: i64,
}

impl Delays {
    pub fn new(m: &Machine) -> Delays {
        Delays {
            act_to_accumulate: i64::from(m.mxm_act_to_accumulate),
            accumulate_to_result: i64::from(m.mxm_accumulate_to_result),
            sxm_in: i64::from(m.sxm_in),
            distribute_to_port: i64::from(m.sxm_distribute + m.sxm_out_on),
            column_hop: i64::from(m.vxm_column_hop),
        }
    }

    /// The diagonal of what a distributor takes, for a row that is at the port in cycle 0.
    pub fn distributed(&self, geometry: &Geometry) -> i64 {
        -self.distribute_to_port - self.sxm_in - geometry.edge()
    }
}

impl Delays {
    /// From an activation to its result on SR_11 inward, where the coordinate is 0: also the result's diagonal.
    fn act_to_edge(&self) -> i64 {
        self.act_to_accumulate + self.accumulate_to_result
    }

    /// From an activation to that of the pass on the other side that adds its result.
    pub fn relay(&self, geometry: &Geometry) -> i64 {
        self.act_to_edge() + geometry.mxm_port() - self.act_to_accumulate
    }
}

/// The first activation of each pass and the template's cycle 0, relative to the anchor.
fn times(
    chain: &Chain,
    template: Option<&Template>,
    geometry: &Geometry,
    delays: &Delays,
) -> (Vec<i64>, i64) {
    let mut acts = vec![0; chain.passes.len()];
    for p in (0..acts.len()).rev() {
        let feed = chain.vxm.iter().flat_map(|v| &v.feeds);
        let feed = feed.into_iter().position(|f| *f == Feed::Pass(p));
        if chain.passes.get(p + 1).is_some_and(Pass::relayed) {
            acts[p] = acts[p + 1] - delays.relay(geometry);
        } else if let (Some(template), Some(i)) = (template, feed) {
            // The result enters when the template takes it.
            let entry = i64::from(template.inputs[i].entry_time);
            acts[p] = entry - geometry.vxm_entry() - delays.act_to_edge();
        }
    }
    let anchor = acts.first().copied().unwrap_or(0);
    acts.iter_mut().for_each(|act| *act -= anchor);
    (acts, -anchor)
}

/// The queue of a unit of the floor plan.
pub fn queue(unit: Unit) -> QueueId {
    unit.queue().expect("units are built from the floor plan")
}

/// First streams of all aligned groups of `width`.
fn groups(width: u8) -> Vec<u8> {
    (0..32).step_by(usize::from(width)).collect()
}

struct Planner<'a> {
    books: &'a Books<'a>,
    placed: &'a Placed,
    geometry: &'a Geometry,
    delays: &'a Delays,
    plan: Plan,
    /// Whether buffers that the chain is the first to read, and what it writes, have their slices.
    settled: bool,
}

/// Buffers that nobody has read yet, with the access that writes them: they may still move to another slice.
pub type Loose = BTreeMap<BufferId, Late>;

impl Plan {
    /// The plan of a chain whose passes run on these planes of their sides; what it writes and its constant words
    /// have their slices if it is settled.
    pub fn new(
        books: &Books,
        chain: usize,
        seats: &[Seat],
        template: Option<&Template>,
        settled: bool,
    ) -> Plan {
        let (placed, geometry, delays) = (books.placed, &books.geometry, &books.delays);
        let chain = &placed.problem.chains[chain];
        let (acts, vxm_base) = times(chain, template, geometry, delays);
        let plan = Plan {
            queues: Vec::new(),
            wires: Vec::new(),
            flows: Vec::new(),
            late: Vec::new(),
            rows: chain.rows,
            acts,
            vxm_base,
        };
        let mut planner = Planner {
            books,
            placed,
            geometry,
            delays,
            plan,
            settled,
        };
        for (i, seat) in seats.iter().enumerate() {
            planner.pass(chain, i, seat.hemi, seat.plane);
        }
        match template {
            Some(template) => planner.vxm(chain, template),
            None => {
                let last = seats
                    .last()
                    .expect("a chain without a VXM stage has a pass");
                let act = planner.plan.acts[seats.len() - 1];
                planner.product(
                    Role::Result,
                    last.hemi.inward(),
                    groups(result_type(chain).bytes()),
                    act + delays.act_to_edge(),
                    0,
                    0,
                    0,
                    &chain.writes,
                );
            }
        }
        // Streams are chosen in this order: first for the flows that have the fewest to choose from.
        let mut plan = planner.plan;
        plan.flows.sort_by_key(|(_, flow)| flow.candidates.len());
        plan
    }

    /// The flow that a write takes.
    pub fn writer(&self, write: &Write) -> Option<&(Role, Flow)> {
        let of = |role: Role| self.flows.iter().find(|(r, _)| *r == role);
        of(Role::Output(write.output as usize)).or_else(|| of(Role::Result))
    }

    fn rows_span(&self, start: i64) -> Span {
        Span {
            start,
            end: start + i64::from(self.rows),
        }
    }
}

/// i32 for int8 passes, f32 for fp16 passes; a chain has passes of one kind.
pub fn result_type(chain: &Chain) -> ElemType {
    match chain.passes.first() {
        Some(pass) if pass.install.f16.is_some() => ElemType::F32,
        _ => ElemType::I32,
    }
}

impl Planner<'_> {
    /// Flows and queues of a pass, but for its result unless the next pass adds that.
    fn pass(&mut self, chain: &Chain, i: usize, hemi: Hemisphere, plane: u8) {
        let (pass, start) = (&chain.passes[i], self.plan.acts[i]);
        let (dir, port, edge) = (
            hemi.outward(),
            self.geometry.mxm_port(),
            self.geometry.edge(),
        );
        for (kind, at) in [
            (MxmQueue::Activation, 0),
            (MxmQueue::Accumulate, self.delays.act_to_accumulate),
        ] {
            self.claim(Unit::Mxm(hemi, plane, kind), start + at);
        }
        match &pass.window {
            None => self.source(Role::Act(i), dir, &pass.act, start - port, port),
            Some(map) => {
                let taken = start + self.delays.distributed(self.geometry);
                self.source(Role::Act(i), dir, &pass.act, taken, edge);
                let act = &mut self.plan.flows.last_mut().expect("just pushed").1;
                act.distribute = Some((hemi, start - self.delays.distribute_to_port));
                let at_port = Stretch {
                    diagonal: start - port,
                    rows: chain.rows,
                    from: port,
                    to: port,
                };
                act.bytes.iter_mut().for_each(|b| b.push(at_port));
                let map = Source {
                    ty: ElemType::U8,
                    bytes: vec![map.clone()],
                };
                self.source(Role::Window(i), dir, &map, taken, edge);
            }
        }
        let added = start + self.delays.act_to_accumulate - port;
        if let Some(partial) = pass.stored_partial() {
            self.source(Role::Partial(i), dir, partial, added, port);
        }
        if pass.relayed() {
            let stretch = Stretch {
                diagonal: added,
                rows: chain.rows,
                from: 0,
                to: port,
            };
            let width = result_type(chain).bytes();
            let flow = Flow {
                dir,
                candidates: groups(width),
                bytes: vec![vec![stretch]; usize::from(width)],
                reads: Vec::new(),
                distribute: None,
            };
            self.plan.flows.push((Role::Relay(i - 1), flow));
        }
    }

    fn vxm(&mut self, chain: &Chain, template: &Template) {
        let vxm = chain.vxm.as_ref().expect("there is a template");
        let (entry, base) = (self.geometry.vxm_entry(), self.plan.vxm_base);
        for (i, feed) in vxm.feeds.iter().enumerate() {
            let input = &template.inputs[i];
            let diagonal = base + i64::from(input.entry_time) - entry;
            match feed {
                Feed::Pass(_) => self.plan.flows.push((
                    Role::Input(i),
                    Flow {
                        dir: input.stream.dir,
                        candidates: vec![input.stream.id],
                        bytes: vec![
                            vec![Stretch {
                                diagonal,
                                rows: chain.rows,
                                from: 0,
                                to: entry
                            }];
                            4
                        ],
                        reads: Vec::new(),
                        distribute: None,
                    },
                )),
                Feed::Memory(source) => {
                    self.source(Role::Input(i), input.stream.dir, source, diagonal, entry);
                    self.plan
                        .flows
                        .last_mut()
                        .expect("just pushed")
                        .1
                        .candidates = vec![input.stream.id];
                }
            }
        }
        for op in &template.ops {
            self.claim(Unit::Alu(op.alu), base + i64::from(op.time));
        }
        for wire in &template.wires {
            let (first, last) = (i64::from(wire.first_column), i64::from(wire.last_column));
            let diagonal = base + i64::from(wire.time) - self.delays.column_hop * first;
            let columns = Span {
                start: first,
                end: last + 1,
            };
            let span = self.plan.rows_span(diagonal);
            self.plan
                .wires
                .push((wire.stream.dir, wire.stream.id, span, columns));
        }
        let exit = self.geometry.vxm_exit();
        for (o, output) in template.outputs.iter().enumerate() {
            let diagonal = base + i64::from(output.time) - exit;
            let stream = output.stream;
            self.product(
                Role::Output(o),
                stream.dir,
                vec![stream.id],
                diagonal,
                exit,
                exit,
                o as u32,
                &chain.writes,
            );
        }
    }

    fn claim(&mut self, unit: Unit, start: i64) {
        let span = self.plan.rows_span(start);
        self.plan.queues.push(Claim::whole(queue(unit), span));
    }

    /// A flow from memory to coordinate `to`.
    fn source(&mut self, role: Role, dir: Direction, source: &Source, diagonal: i64, to: i64) {
        let mut bytes = Vec::new();
        for plane in &source.bytes {
            let mut stretches = Vec::new();
            for (piece, rows) in spans(plane, self.plan.rows) {
                let buffer = piece.read.buffer;
                let diagonal = diagonal + i64::from(piece.first);
                let late = Late {
                    read: piece.read,
                    dir,
                    diagonal,
                    cycles: i64::from(rows),
                    write: false,
                    step: 1,
                };
                let place = self.placed.of(buffer);
                let from = match self.books.movable(buffer) && !self.settled {
                    true => {
                        self.plan.late.push(late);
                        let slice = farthest(dir, place.hemi);
                        self.geometry.read(dir, place.hemi, slice)
                    }
                    false => {
                        self.plan.queues.extend(late.claims(self.geometry, place));
                        self.geometry.read(dir, place.hemi, place.slice)
                    }
                };
                stretches.push(Stretch {
                    diagonal,
                    rows,
                    from,
                    to,
                });
            }
            bytes.push(stretches);
        }
        let candidates = groups(source.bytes.len() as u8);
        let reads = source.bytes.clone();
        self.plan.flows.push((
            role,
            Flow {
                dir,
                candidates,
                bytes,
                reads,
                distribute: None,
            },
        ));
    }

    /// A flow from a unit to the slices that write it.
    #[allow(clippy::too_many_arguments)] // One place that knows what a product is.
    fn product(
        &mut self,
        role: Role,
        dir: Direction,
        candidates: Vec<u8>,
        diagonal: i64,
        from: i64,
        least: i64,
        output: u32,
        writes: &[Write],
    ) {
        let width = writes
            .iter()
            .filter(|w| w.output == output)
            .map(|w| w.byte + 1)
            .max()
            .unwrap_or(1);
        let whole = Stretch {
            diagonal,
            rows: self.plan.rows,
            from,
            to: least,
        };
        let mut bytes = vec![vec![whole]; usize::from(width)];
        for write in writes.iter().filter(|w| w.output == output) {
            let late = written(dir, diagonal, write);
            let place = self.placed.of(write.buffer);
            match self.settled {
                true => self.plan.queues.extend(late.claims(self.geometry, place)),
                false => self.plan.late.push(late),
            }
            // It may move as long as nobody reads it.
            let outmost = match dir == place.hemi.outward() {
                true => SLICES - 1,
                false => 0,
            };
            let to = &mut bytes[usize::from(write.byte)][0].to;
            *to = (*to).max(self.geometry.write(dir, place.hemi, outmost));
        }
        self.plan.flows.push((
            role,
            Flow {
                dir,
                candidates,
                bytes,
                reads: Vec::new(),
                distribute: None,
            },
        ));
    }
}

/// The slice of a side whose words travel farthest in a direction.
pub fn farthest(dir: Direction, hemi: Hemisphere) -> u8 {
    if dir == hemi.outward() { 0 } else { SLICES - 1 }
}

/// The access of a write to a flow whose row 0 is on this diagonal.
pub fn written(dir: Direction, diagonal: i64, write: &Write) -> Late {
    Late {
        read: Read {
            buffer: write.buffer,
            start: 0,
            step: 1,
        },
        dir,
        diagonal: diagonal + i64::from(write.first),
        cycles: i64::from((write.count - 1) * write.step) + 1,
        write: true,
        step: write.step,
    }
}

/// Streams of a distributor.
pub const DISTRIBUTED: u8 = 8;

/// The distributors that serve `width` streams from `stream` on.
pub fn distributors(
    hemi: Hemisphere,
    stream: u8,
    width: usize,
) -> impl Iterator<Item = QueueId> + Clone {
    let last = (stream + width as u8 - 1) / DISTRIBUTED;
    let unit = move |q| queue(Unit::Sxm(hemi, SxmUnit::Distributor(q)));
    (stream / DISTRIBUTED..=last).map(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// machine.md, MEM: one read and one write at a time, in different banks.
    #[test]
    fn a_slice_reads_one_bank_while_it_writes_the_other() {
        let time = Span { start: 0, end: 8 };
        let claims = |access: Access, bank: u8| -> Vec<Claim> {
            let place = Place {
                hemi: Hemisphere::East,
                slice: 3,
                bank,
            };
            access.claims(place, time).collect()
        };
        let meet = |a: &[Claim], b: &[Claim]| a.iter().any(|x| b.iter().any(|y| x.meets(y)));
        for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            assert!(meet(&claims(Access::Read, i), &claims(Access::Read, j)));
            assert!(meet(&claims(Access::Write, i), &claims(Access::Write, j)));
            let both = meet(&claims(Access::Read, i), &claims(Access::Write, j));
            assert_eq!(both, i == j);
        }
        let later: Vec<Claim> = claims(Access::Read, 0).iter().map(|c| c.shift(8)).collect();
        assert!(!meet(&claims(Access::Read, 0), &later));
    }
}

//! Turns fitted plans into timed runs, with the producer of every operand.

use tspc_machine::Machine;
use tspc_program::{
    AluInstr, Direction, ElemType, Hemisphere, MxmQueue, Operand, QueueId, Stream, Unit,
};

use super::calendars::Fit;
use super::plan::{DISTRIBUTED, Delays, Plan, Role, distributors, queue, written};
use super::planes::Seat;
use crate::geometry::Geometry;
use crate::mesh::{self, Template};
use crate::place::{Place, Placed};
use crate::problem::{BufferId, Feed, Install, Read};
use crate::run::{Action, Makers, Run, RunId};

/// The runs so far, and who wrote each buffer.
pub struct Runs<'a> {
    placed: &'a Placed,
    runs: Vec<Run>,
    writer: Vec<Option<RunId>>,
    write_to_read: i64,
    read_latency: i64,
}

impl<'a> Runs<'a> {
    /// None.
    pub fn new(placed: &'a Placed, machine: &Machine) -> Runs<'a> {
        Runs {
            placed,
            runs: Vec::new(),
            writer: vec![None; placed.problem.buffers.len()],
            write_to_read: i64::from(machine.mem_write_to_read),
            read_latency: i64::from(machine.mem_read_latency),
        }
    }

    /// A buffer's place.
    pub fn place(&self, buffer: BufferId) -> Place {
        self.placed.of(buffer)
    }

    /// The first dispatch of a read of `rows` words, one a cycle, for which each is there in time.
    pub fn readable(&self, read: &Read, rows: u32) -> i64 {
        let Some(writer) = self.writer[read.buffer.0 as usize] else {
            return i64::MIN / 2;
        };
        let run = &self.runs[writer.0 as usize];
        // Linear in the row, so an end is the worst.
        let bound = |row: i64| {
            let word = i64::from(read.start) + row * i64::from(read.step);
            run.cycle + word * i64::from(run.interval) + self.write_to_read - row
        };
        bound(0).max(bound(i64::from(rows) - 1))
    }

    /// Moves the write of a buffer that nobody reads yet.
    pub fn move_write(&mut self, buffer: BufferId, queue: QueueId, cycle: i64) {
        if let Some(writer) = self.writer[buffer.0 as usize] {
            let run = &mut self.runs[writer.0 as usize];
            (run.queue, run.cycle) = (queue, cycle);
        }
    }

    fn push(&mut self, run: Run) -> RunId {
        self.runs.push(run);
        RunId(self.runs.len() as u32 - 1)
    }

    fn read(
        &mut self,
        chain: usize,
        read: &Read,
        stream: Stream,
        diagonal: i64,
        count: u32,
        g: &Geometry,
    ) -> RunId {
        let place = self.place(read.buffer);
        self.push(Run {
            queue: queue(Unit::Mem(place.hemi, place.slice)),
            cycle: diagonal + g.read(stream.dir, place.hemi, place.slice) - self.read_latency,
            count,
            interval: 1,
            action: Action::Read {
                stream,
                buffer: read.buffer,
                start: read.start,
                step: read.step,
            },
            takes: Vec::new(),
            chain: chain as u32,
        })
    }

    /// Loads and installs weights; the run of the `iw`.
    #[allow(clippy::too_many_arguments)] // The facts of one install.
    pub fn install(
        &mut self,
        chain: usize,
        install: &Install,
        hemi: Hemisphere,
        plane: u8,
        first_lw: i64,
        streams: &[u8],
        iw: i64,
        g: &Geometry,
        delays: &Delays,
    ) -> RunId {
        let b = streams[0];
        let weight = queue(Unit::Mxm(hemi, plane, MxmQueue::Weight));
        let mut loads = Vec::new();
        for segment in &install.segments {
            let cycle = first_lw + i64::from(segment.group);
            let count = u32::from(segment.count);
            let taken = match segment.window {
                None => -g.mxm_port(),
                Some(_) => delays.distributed(g),
            };
            let mut reads = |read: &Read, id: u8| {
                let dir = hemi.outward();
                self.read(chain, read, Stream { dir, id }, cycle + taken, count, g)
            };
            let streams_taken = segment.streams.iter().zip(b..);
            let mut takes: Vec<Makers> = streams_taken.map(|(r, id)| vec![reads(r, id)]).collect();
            if let Some(window) = &segment.window {
                let map = streams[1];
                let by = reads(window, map);
                let width = takes.len();
                let units = distributors(hemi, b, width).zip((b..).step_by(DISTRIBUTED.into()));
                for ((queue, stream), bytes) in units.zip(takes.chunks_mut(DISTRIBUTED.into())) {
                    let distribute = self.push(Run {
                        queue,
                        cycle: cycle - delays.distribute_to_port,
                        count,
                        interval: 1,
                        action: Action::Distribute {
                            stream,
                            ty: ElemType::I8,
                            map,
                            dst: stream,
                        },
                        takes: bytes.iter().cloned().chain([vec![by]]).collect(),
                        chain: chain as u32,
                    });
                    bytes.fill(vec![distribute]);
                }
            }
            let action = Action::Lw {
                group: segment.group,
                b,
                f16: install.f16,
            };
            let lw = self.push(Run {
                queue: weight,
                cycle,
                count,
                interval: 1,
                action,
                takes,
                chain: chain as u32,
            });
            loads.push(vec![lw]);
        }
        let action = Action::Iw {
            groups: install.groups,
            f16: install.f16,
        };
        self.push(Run {
            queue: weight,
            cycle: iw,
            count: 1,
            interval: 1,
            action,
            takes: loads,
            chain: chain as u32,
        })
    }

    /// All runs of a chain's rows.
    #[allow(clippy::too_many_arguments)] // What a chain's place in time consists of.
    pub fn chain(
        &mut self,
        c: usize,
        seats: &[Seat],
        installed: &[RunId],
        plan: &Plan,
        fit: &Fit,
        template: Option<&Template>,
        g: &Geometry,
        delays: &Delays,
    ) {
        let placed = self.placed;
        let chain = &placed.problem.chains[c];
        let rows = chain.rows;
        // Who makes each byte of each flow.
        let mut producers: Vec<(Role, Direction, u8, Vec<Makers>)> = Vec::new();
        for ((role, flow), &stream) in plan.flows.iter().zip(&fit.streams) {
            let mut made = Vec::new();
            for (k, (pieces, stretches)) in flow.reads.iter().zip(&flow.bytes).enumerate() {
                let at = Stream {
                    dir: flow.dir,
                    id: stream + k as u8,
                };
                let reads = pieces.iter().zip(stretches).map(|(piece, s)| {
                    self.read(c, &piece.read, at, s.diagonal + fit.anchor, s.rows, g)
                });
                made.push(reads.collect());
            }
            producers.push((*role, flow.dir, stream, made));
        }
        let find = |role: Role| producers.iter().find(|p| p.0 == role);
        let mut results: Vec<RunId> = Vec::new();
        let passes = chain.passes.iter().zip(seats).zip(installed);
        for (i, ((pass, at), &iw)) in passes.enumerate() {
            let start = fit.anchor + plan.acts[i];
            let (_, _, stream, mut act) =
                find(Role::Act(i)).expect("a pass has activations").clone();
            if let Some((_, _, map, by)) = find(Role::Window(i)) {
                let takes = act.iter().chain(by).cloned().collect();
                let mut units = distributors(at.hemi, stream, act.len());
                let distribute = self.push(Run {
                    queue: units
                        .next()
                        .expect("an element lies within one distributor's streams"),
                    cycle: start - delays.distribute_to_port,
                    count: rows,
                    interval: 1,
                    action: Action::Distribute {
                        stream,
                        ty: pass.act.ty,
                        map: *map,
                        dst: stream / DISTRIBUTED * DISTRIBUTED,
                    },
                    takes,
                    chain: c as u32,
                });
                act.iter_mut().for_each(|makers| *makers = vec![distribute]);
            }
            act.push(vec![iw]);
            let act = self.push(Run {
                queue: queue(Unit::Mxm(at.hemi, at.plane, MxmQueue::Activation)),
                cycle: start,
                count: rows,
                interval: 1,
                action: Action::Act {
                    stream,
                    ty: pass.act.ty,
                },
                takes: act,
                chain: c as u32,
            });
            let mut takes = vec![vec![act]];
            let partial = match pass.relayed() {
                true => find(Role::Relay(i - 1)).map(|p| (p.2, vec![vec![results[i - 1]]; 4])),
                false => find(Role::Partial(i)).map(|p| (p.2, p.3.clone())),
            };
            let partial = partial.map(|(stream, by)| {
                takes.extend(by);
                stream
            });
            let feeds = chain.vxm.iter().flat_map(|v| &v.feeds);
            let feed = feeds.into_iter().position(|f| *f == Feed::Pass(i));
            let to = match (chain.passes.get(i + 1), feed) {
                (Some(next), _) if next.relayed() => Role::Relay(i),
                (_, Some(input)) => Role::Input(input),
                _ => Role::Result,
            };
            let d = find(to).expect("a result goes somewhere").2;
            results.push(self.push(Run {
                queue: queue(Unit::Mxm(at.hemi, at.plane, MxmQueue::Accumulate)),
                cycle: start + delays.act_to_accumulate,
                count: rows,
                interval: 1,
                action: Action::Accumulate { partial, d },
                takes,
                chain: c as u32,
            }));
        }
        let mut outputs = Vec::new();
        if let Some(template) = template {
            let feeds = chain.vxm.iter().flat_map(|v| &v.feeds).enumerate();
            let inputs = feeds.map(|(i, feed)| match feed {
                Feed::Pass(p) => vec![vec![results[*p]]; 4],
                Feed::Memory(_) => find(Role::Input(i))
                    .expect("every input has a flow")
                    .3
                    .clone(),
            });
            let inputs: Vec<Vec<Makers>> = inputs.collect();
            outputs = self.template(c, template, &inputs, fit.anchor + plan.vxm_base, rows);
        } else {
            outputs.extend(results.last());
        }
        for write in &chain.writes {
            let role = if template.is_some() {
                Role::Output(write.output as usize)
            } else {
                Role::Result
            };
            let (flow, stream) = plan
                .flows
                .iter()
                .zip(&fit.streams)
                .find(|((r, _), _)| *r == role)
                .map(|((_, flow), stream)| (flow, *stream))
                .expect("every output has a flow");
            let diagonal = flow.bytes[usize::from(write.byte)][0].diagonal + fit.anchor;
            let place = placed.of(write.buffer);
            let span = written(flow.dir, diagonal, write).span(g, place);
            let run = self.push(Run {
                queue: queue(Unit::Mem(place.hemi, place.slice)),
                cycle: span.start,
                count: write.count,
                interval: write.step,
                action: Action::Write {
                    stream: Stream {
                        dir: flow.dir,
                        id: stream + write.byte,
                    },
                    byte: write.byte,
                    first: write.first,
                    buffer: write.buffer,
                },
                takes: vec![vec![outputs[write.output as usize]]],
                chain: c as u32,
            });
            self.writer[write.buffer.0 as usize] = Some(run);
        }
    }

    /// The ALU runs of a template; for each output the run that makes it.
    fn template(
        &mut self,
        c: usize,
        template: &Template,
        inputs: &[Vec<Makers>],
        base: i64,
        rows: u32,
    ) -> Vec<RunId> {
        let mut ops: Vec<RunId> = Vec::new();
        for op in &template.ops {
            let mut takes = Vec::new();
            let mut operand = |from: &mesh::Operand| match *from {
                mesh::Operand::Imm => Operand::Imm,
                mesh::Operand::Value { stream, ty, source } => {
                    for k in 0..ty.bytes() {
                        let producer = match source {
                            mesh::Source::Input(i) => inputs[i][usize::from(k)].clone(),
                            mesh::Source::Op(o) => vec![ops[o]],
                        };
                        takes.push(producer);
                    }
                    Operand::Stream { stream, ty }
                }
            };
            let a = operand(&op.a);
            let b = op.b.as_ref().map(operand);
            let (result, ty, mode) = (op.result, op.ty, op.mode);
            let action = Action::Alu(AluInstr {
                op: op.op,
                a,
                b,
                imm: op.imm,
                result,
                ty,
                mode,
            });
            let run = Run {
                queue: queue(Unit::Alu(op.alu)),
                cycle: base + i64::from(op.time),
                count: rows,
                interval: 1,
                action,
                takes,
                chain: c as u32,
            };
            ops.push(self.push(run));
        }
        template.outputs.iter().map(|o| ops[o.op]).collect()
    }

    /// All runs, moved so that the first dispatch is in cycle 0.
    pub fn finish(mut self) -> Vec<Run> {
        let start = self.runs.iter().map(|r| r.cycle).min().unwrap_or(0);
        self.runs.iter_mut().for_each(|r| r.cycle -= start);
        self.runs
    }
}

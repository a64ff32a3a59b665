//! schedule: cycle, stream, plane and ALU of every instruction.
//!
//! Before: every buffer has a place. After: a list of timed runs that claim every queue, stream register, mesh wire and
//! plane at most once at a time, and read each word no sooner than the machine allows after it was written.
//! A list scheduler: of the chains that could start next, the one farthest from the end of the program, at the first
//! cycle at which all it needs is free, holes included. Knows no word address.

mod calendars;
mod plan;
mod planes;
mod runs;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tspc_machine::Machine;
use tspc_program::{Direction, Unit};

use crate::Refusal;
use crate::geometry::Geometry;
use crate::mesh::{self, Template};
use crate::order::Order;
use crate::place::{Placed, Rooms, floating};
use crate::problem::{BufferId, Feed, Read};
use crate::run::Run;
use crate::space::Span;
use calendars::{Calendars, Fit, NoFit};
use plan::{Delays, Plan};
use planes::Planes;
use runs::Runs;

/// A problem with places and times.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// What was placed.
    pub placed: Placed,
    /// All runs; cycle 0 is the first dispatch.
    pub runs: Vec<Run>,
}

/// Chains that could start so many cycles after the first are as good as that: distance decides.
const WINDOW: i64 = 20;

/// Rough cycles from a read to the activation or operation that it feeds.
const READ: i64 = 20;

/// Rough cycles from an activation to the write of its result.
const PASS: i64 = 70;

/// Rough cycles from the first operation to the write of its result.
const OPERATIONS: i64 = 25;

/// Alternatives tried for the VXM stage of a chain; each is a different set of ALUs and wires.
const TEMPLATES: usize = 4;

/// Schedules a placed problem.
pub fn schedule(mut placed: Placed, machine: &Machine) -> Result<Scheduled, Refusal> {
    let rooms = std::mem::take(&mut placed.rooms);
    let mut scheduler = Scheduler {
        rooms,
        placed_words: BTreeSet::new(),
        geometry: Geometry::new(machine),
        delays: Delays::new(machine),
        calendars: Calendars::new(),
        planes: Planes::new(machine, placed.planes),
        runs: Runs::new(&placed, machine),
        templates: BTreeMap::new(),
        placed: &placed,
        machine,
    };
    let order = Order::new(&placed.problem);
    let mut missing: Vec<usize> = (0..order.tail.len()).map(|c| order.producers(c)).collect();
    // Chains whose producers have a time, with the cycle from which on their data are there.
    let mut waiting: BTreeMap<usize, i64> = (0..missing.len())
        .filter(|&c| missing[c] == 0)
        .map(|c| (c, 0))
        .collect();
    while let Some(c) = scheduler.next(&waiting, &order) {
        let data = waiting.remove(&c).unwrap_or(0);
        scheduler.chain(c, data)?;
        for after in order.consumers(c) {
            missing[after] -= 1;
            if missing[after] == 0 {
                waiting.insert(after, scheduler.data(after));
            }
        }
    }
    let runs = scheduler.runs.finish();
    Ok(Scheduled { placed, runs })
}

/// A way to run a chain.
struct Candidate {
    plan: Plan,
    fit: Fit,
    template: Option<usize>,
}

struct Scheduler<'a> {
    rooms: Rooms,
    /// Floating buffers that have a place.
    placed_words: BTreeSet<BufferId>,
    geometry: Geometry,
    delays: Delays,
    calendars: Calendars,
    planes: Planes,
    runs: Runs<'a>,
    /// Templates by the debug form of the directed chain: equal chains are placed once.
    templates: BTreeMap<String, Vec<Template>>,
    placed: &'a Placed,
    machine: &'a Machine,
}

impl Scheduler<'_> {
    /// The chain to schedule next.
    fn next(&self, waiting: &BTreeMap<usize, i64>, order: &Order) -> Option<usize> {
        let start = |c: usize, data: i64| match &self.placed.problem.chains[c].pass {
            Some(_) => data.max(self.planes.free(self.placed.passes[c])),
            None => data,
        };
        let starts = waiting.iter().map(|(&c, &data)| (start(c, data), c));
        let starts: Vec<(i64, usize)> = starts.collect();
        let first = starts.iter().map(|s| s.0).min()?;
        let soon = starts.iter().filter(|s| s.0 <= first + WINDOW);
        soon.max_by_key(|s| (order.tail[s.1], Reverse(s.1)))
            .map(|s| s.1)
    }

    /// About when the data of a chain are there, whose producers all have a time.
    fn data(&self, c: usize) -> i64 {
        let chain = &self.placed.problem.chains[c];
        let rows = chain.row_reads().map(|r| (r, chain.rows));
        let loads = chain.install_reads().map(|(s, r)| (r, u32::from(s.count)));
        let rows = rows.map(|(r, n)| self.runs.readable(r, n) + READ);
        let loads = loads.map(|(r, n)| self.runs.readable(r, n) + READ + i64::from(n));
        rows.chain(loads).max().unwrap_or(0).max(0)
    }

    fn chain(&mut self, c: usize, data: i64) -> Result<(), Refusal> {
        let chain = &self.placed.problem.chains[c];
        let templates = self.templates_of(c)?;
        let hemi = self.placed.passes[c];
        let installed = match &chain.pass {
            Some(pass) => Some(self.planes.install(
                pass,
                hemi,
                c,
                &self.geometry,
                &mut self.calendars,
                &mut self.runs,
            )),
            None => None,
        };
        let start = installed.as_ref().map_or(data, |i| i.first_act.max(data));
        self.place_buffers(c, start)?;
        let plane = installed.as_ref().map_or(0, |i| i.plane);
        let mut best: Option<Candidate> = None;
        let mut refused = None;
        let choices: Vec<Option<usize>> = if templates.is_empty() {
            vec![None]
        } else {
            (0..templates.len()).map(Some).collect()
        };
        for choice in choices {
            let template = choice.map(|i| &templates[i]);
            let plan = Plan::new(
                self.placed,
                &self.geometry,
                &self.delays,
                c,
                plane,
                template,
            );
            let ready = self
                .ready(&plan)
                .max(installed.as_ref().map_or(i64::MIN, |i| i.first_act));
            match self.calendars.fit(&plan, hemi, ready) {
                Ok(fit) if best.as_ref().is_none_or(|b| fit.anchor < b.fit.anchor) => {
                    best = Some(Candidate {
                        plan,
                        fit,
                        template: choice,
                    });
                }
                Ok(_) => {}
                Err(no_fit) => refused = Some(no_fit),
            }
        }
        let Some(best) = best else {
            return Err(no_streams(&chain.location, refused));
        };
        self.calendars.book(&best.plan, hemi, &best.fit);
        let template = best.template.map(|i| &templates[i]);
        let weights = installed.as_ref().map(|i| (i.plane, i.iw));
        self.runs.chain(
            c,
            weights,
            &best.plan,
            &best.fit,
            template,
            &self.geometry,
            &self.delays,
        );
        let rows = chain.row_reads().map(|r| (r.buffer, chain.rows));
        let loads = chain
            .install_reads()
            .map(|(s, r)| (r.buffer, u32::from(s.count)));
        for (buffer, count) in rows.chain(loads) {
            let place = self.placed.of(buffer);
            self.rooms.read(&self.placed.problem, buffer, place, count);
        }
        if let Some(installed) = installed {
            self.planes
                .passed(hemi, installed.plane, best.fit.anchor, chain.rows);
        }
        Ok(())
    }

    /// Slices for what a chain writes, and for its constant words, if it starts about then.
    fn place_buffers(&mut self, c: usize, start: i64) -> Result<(), Refusal> {
        let chain = &self.placed.problem.chains[c];
        let rows = i64::from(chain.rows);
        let first = start
            + if chain.pass.is_some() {
                PASS
            } else {
                OPERATIONS
            };
        let reads = chain.row_reads().map(|r| r.buffer);
        let words = reads.filter(|b| floating(&self.placed.problem.buffers[b.0 as usize]));
        let words = words.filter(|b| self.placed_words.insert(*b));
        let early = Span {
            start: start - READ,
            end: first + rows,
        };
        let mut spans: Vec<(BufferId, Span)> = words.map(|b| (b, early)).collect();
        for write in &chain.writes {
            let end = first + i64::from(write.count * write.step);
            spans.push((write.buffer, Span { start: first, end }));
        }
        for (buffer, span) in spans {
            let wait = |hemi, slice| {
                let queue = plan::queue(Unit::Mem(hemi, slice));
                self.calendars.queue_wait(queue, span)
            };
            let place = self.rooms.timed(&self.placed.problem, buffer, wait)?;
            self.placed.places[buffer.0 as usize].set(place);
        }
        Ok(())
    }

    /// The first anchor at which every row is there when it is read.
    fn ready(&self, plan: &Plan) -> i64 {
        let mut least = i64::MIN;
        for (_, flow) in &plan.flows {
            for (read, stretches) in flow.reads.iter().zip(&flow.bytes) {
                let place = self.placed.of(read.buffer);
                let dispatch = self.geometry.read_dispatch(
                    flow.dir,
                    place.hemi,
                    place.slice,
                    stretches[0].diagonal,
                );
                least = least.max(self.runs.readable(read, plan.rows) - dispatch);
            }
        }
        // Constants may be read as soon as one likes; the program is moved to cycle 0 at the end.
        least.max(0)
    }

    fn templates_of(&mut self, c: usize) -> Result<Vec<Template>, Refusal> {
        let Some(directed) = directed(self.placed, c) else {
            return Ok(Vec::new());
        };
        let key = format!("{directed:?}");
        if let Some(templates) = self.templates.get(&key) {
            return Ok(templates.clone());
        }
        let location = &self.placed.problem.chains[c].location;
        let templates = mesh::place(&directed, self.machine, TEMPLATES).map_err(|r| Refusal {
            location: location.clone(),
            message: format!("VXM: {r}"),
        })?;
        self.templates.insert(key, templates.clone());
        Ok(templates)
    }
}

/// The VXM stage of a chain with the directions that its places imply.
fn directed(placed: &Placed, c: usize) -> Option<mesh::Chain> {
    let chain = &placed.problem.chains[c];
    let vxm = chain.vxm.as_ref()?;
    let inputs = vxm.feeds.iter().map(|feed| match feed {
        Feed::Pass => mesh::Input {
            ty: plan::result_type(chain),
            dir: placed.passes[c].inward(),
        },
        Feed::Memory(source) => {
            let first: &Read = &source.bytes[0];
            mesh::Input {
                ty: source.ty,
                dir: placed.of(first.buffer).hemi.inward(),
            }
        }
    });
    let outputs = vxm.outputs.iter().enumerate().map(|(o, &node)| {
        let write = chain.writes.iter().find(|w| w.output == o as u32);
        let dir = write.map_or(Direction::East, |w| placed.of(w.buffer).hemi.outward());
        mesh::Output { node, dir }
    });
    Some(mesh::Chain {
        inputs: inputs.collect(),
        nodes: vxm.nodes.clone(),
        outputs: outputs.collect(),
    })
}

fn no_streams(location: &str, refused: Option<NoFit>) -> Refusal {
    let message = match refused {
        Some(NoFit { role, dir, width }) => {
            format!(
                "no {width} free adjacent streams in direction {dir:?} for {role:?}, even with nothing else running"
            )
        }
        None => "no way to run the chain".to_string(),
    };
    Refusal {
        location: location.to_string(),
        message,
    }
}

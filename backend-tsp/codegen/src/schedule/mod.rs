//! schedule: cycle, stream, plane and ALU of every instruction.
//!
//! Before: every buffer has a place. After: a list of timed runs that claim every queue, stream register, mesh wire and
//! plane at most once at a time, and read each word no sooner than the machine allows after it was written.
//! A list scheduler: chains in order of their distance to the end of the program, each at the first
//! cycle at which all it needs is free, holes included. Knows no word address.

mod calendars;
mod order;
mod plan;
mod planes;
mod runs;

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::Direction;

use crate::Refusal;
use crate::geometry::Geometry;
use crate::mesh::{self, Template};
use crate::place::Placed;
use crate::problem::{Feed, Read};
use crate::run::Run;
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

/// Alternatives tried for the VXM stage of a chain; each is a different set of ALUs and wires.
const TEMPLATES: usize = 4;

/// Schedules a placed problem.
pub fn schedule(placed: Placed, machine: &Machine) -> Result<Scheduled, Refusal> {
    let mut scheduler = Scheduler {
        geometry: Geometry::new(machine),
        delays: Delays::new(machine),
        calendars: Calendars::new(),
        planes: Planes::new(machine, placed.planes),
        runs: Runs::new(&placed, machine),
        templates: BTreeMap::new(),
        placed: &placed,
        machine,
    };
    for chain in order::by_tail(&placed.problem) {
        scheduler.chain(chain)?;
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
    fn chain(&mut self, c: usize) -> Result<(), Refusal> {
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
        if let Some(installed) = installed {
            self.planes
                .passed(hemi, installed.plane, best.fit.anchor, chain.rows);
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

//! schedule: cycle, stream, plane and ALU of every instruction; slice and bank of what chains write.
//!
//! Before: what is there at cycle 0 has a place, every other buffer a side. After: every buffer has a place, and timed runs
//! claim every queue, stream register, mesh wire and plane at most once at a time, and read each word no sooner than the
//! machine allows after it was written. A written buffer stays where it is once its first reader has its time.
//! A list scheduler: of the chains that could start next, the one farthest from the end of the program, at the first
//! cycle at which all it needs is free, holes included. Knows no word address.

mod books;
mod calendars;
mod plan;
mod planes;
mod runs;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{Direction, Hemisphere};

use crate::Refusal;
use crate::mesh::{self, Template};
use crate::order::Order;
use crate::place::{Placed, dealings};
use crate::problem::{Feed, spans};
use crate::run::Run;
use books::{Books, Slices};
use calendars::{Fit, NoFit};
use plan::Plan;
use planes::{Planes, Seat};

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

/// Cycles by which a chain may start before its data are there in the slices where they are now: a read that is nearer
/// to its unit, a write that is nearer to its own.
const SOONER: i64 = 48;

/// Rough cycles from a read to the activation or operation that it feeds.
const READ: i64 = 20;

/// Alternatives tried for the VXM stage of a chain; each is a different set of ALUs and wires.
const TEMPLATES: usize = 6;

/// Schedules a placed problem.
pub fn schedule(mut placed: Placed, machine: &Machine) -> Result<Scheduled, Refusal> {
    let rooms = std::mem::take(&mut placed.rooms);
    let mut scheduler = Scheduler {
        books: Books::new(&placed, rooms, machine),
        planes: Planes::new(machine, placed.planes),
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
        waiting.remove(&c);
        scheduler.chain(c)?;
        for after in order.consumers(c) {
            missing[after] -= 1;
            if missing[after] == 0 {
                waiting.insert(after, scheduler.data(after));
            }
        }
    }
    let runs = scheduler.books.runs.finish();
    Ok(Scheduled { placed, runs })
}

/// A way to run a chain.
struct Candidate {
    fit: Fit,
    slices: Slices,
    template: Option<usize>,
}

struct Scheduler<'a> {
    books: Books<'a>,
    planes: Planes,
    /// Templates by the debug form of the directed chain: chains alike but for immediates are placed once.
    templates: BTreeMap<String, Result<Vec<Template>, String>>,
    placed: &'a Placed,
    machine: &'a Machine,
}

impl Scheduler<'_> {
    /// The chain to schedule next.
    fn next(&self, waiting: &BTreeMap<usize, i64>, order: &Order) -> Option<usize> {
        let start = |c: usize, data: i64| match self.placed.problem.chains[c].passes[..] {
            [] => data,
            _ => data.max(self.planes.free()),
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
        let planes = chain.planes().flat_map(|plane| spans(plane, chain.rows));
        let loads = chain.install_reads().map(|(s, r)| (r, u32::from(s.count)));
        let rows =
            planes.map(|(p, n)| self.books.runs.readable(&p.read, n) - i64::from(p.first) + READ);
        let loads = loads.map(|(r, n)| self.books.runs.readable(r, n) + READ + i64::from(n));
        rows.chain(loads).max().unwrap_or(0).max(0)
    }

    /// The first time at which a chain fits.
    fn candidate(&mut self, c: usize, seats: &[Seat]) -> Result<Candidate, Refusal> {
        let templates = self.templates_of(c)?;
        let choices: Vec<Option<usize>> = match templates.len() {
            0 => vec![None],
            n => (0..n).map(Some).collect(),
        };
        let soonest = self.data(c) - SOONER;
        let mut best: Option<Candidate> = None;
        let mut refused = None;
        for choice in choices {
            let template = choice.map(|i| &templates[i]);
            let plan = Plan::new(&self.books, c, seats, template, false);
            let acts = seats.iter().zip(&plan.acts);
            let acts = acts.map(|(seat, act)| seat.first_act - act);
            let least = acts.max().unwrap_or(i64::MIN).max(soonest);
            let least = least.max(self.books.ready(&plan));
            let before = best.as_ref().map(|b| b.fit.anchor);
            match self.books.fit(&plan, least, before)? {
                Ok(Some((fit, slices))) => {
                    best = Some(Candidate {
                        fit,
                        slices,
                        template: choice,
                    });
                }
                Ok(None) => {}
                Err(no_fit) => refused = Some(no_fit),
            }
        }
        let location = &self.placed.problem.chains[c].location;
        best.ok_or_else(|| no_streams(location, refused))
    }

    /// Gives a chain its time.
    fn chain(&mut self, c: usize) -> Result<(), Refusal> {
        let chain = &self.placed.problem.chains[c];
        let mut seats = Vec::new();
        if !chain.passes.is_empty() {
            let dealings = self.dealings(c)?;
            let data = self.data(c);
            seats = self
                .planes
                .seats(&chain.passes, &dealings, data, &self.books);
        }
        let sides = seats.iter().map(|s| s.hemi).collect();
        self.placed.passes[c].replace(sides);
        let books = &mut self.books;
        let installed = self.planes.install(&chain.passes, &mut seats, c, books)?;
        let best = self.candidate(c, &seats)?;
        self.books.give(&best.slices, best.fit.anchor);
        let templates = self.templates_of(c)?;
        let template = best.template.map(|i| &templates[i]);
        let plan = Plan::new(&self.books, c, &seats, template, true);
        self.books.calendars.book(&plan, &best.fit);
        let books = &mut self.books;
        books.runs.chain(
            c,
            &seats,
            &installed,
            &plan,
            &best.fit,
            template,
            &books.geometry,
            &books.delays,
        );
        books.loosen(&plan, &best.fit, c);
        books.reads(&plan, &best.fit);
        for (seat, act) in seats.iter().zip(&plan.acts) {
            let act = best.fit.anchor + act;
            self.planes.passed(seat.hemi, seat.plane, act, chain.rows);
        }
        Ok(())
    }

    /// The ways to deal a chain's passes to the sides, the best first.
    fn dealings(&mut self, c: usize) -> Result<Vec<Vec<Hemisphere>>, Refusal> {
        let home = self.placed.sides(c);
        let mut dealings = dealings(&self.placed.problem.chains[c], self.placed.planes);
        // That, its mirror image, and the others only if neither finds a way.
        let mirrored = |sides: &Vec<Hemisphere>| sides.iter().zip(&home).all(|(a, b)| a != b);
        dealings.sort_by_key(|sides| (*sides != home, !mirrored(sides)));
        // Results that arrive from elsewhere may find no way through the mesh.
        let (mut ways, mut refusal) = (Vec::new(), None);
        for (i, sides) in dealings.into_iter().enumerate() {
            if i >= 2 && !ways.is_empty() {
                break;
            }
            self.placed.passes[c].replace(sides.clone());
            match self.templates_of(c) {
                Ok(_) => ways.push(sides),
                Err(why) => refusal = Some(why),
            }
        }
        match (ways.is_empty(), refusal) {
            (true, Some(refusal)) => Err(refusal),
            _ => Ok(ways),
        }
    }

    fn templates_of(&mut self, c: usize) -> Result<Vec<Template>, Refusal> {
        let Some(mut directed) = directed(self.placed, c) else {
            return Ok(Vec::new());
        };
        // Chains that differ in immediates alone are placed alike: a search sees whose the immediate is.
        let mut imms: Vec<u32> = Vec::new();
        for (n, node) in directed.nodes.iter_mut().enumerate() {
            imms.push(std::mem::replace(&mut node.imm, n as u32));
        }
        let key = format!("{directed:?}");
        let machine = self.machine;
        let found = self.templates.entry(key).or_insert_with(|| {
            mesh::place(&directed, machine, TEMPLATES).map_err(|r| format!("VXM: {r}"))
        });
        let mut found = found.clone().map_err(|message| Refusal {
            location: self.placed.problem.chains[c].location.clone(),
            message,
        })?;
        for op in found.iter_mut().flat_map(|template| &mut template.ops) {
            let takes = op.a == mesh::Operand::Imm || op.b == Some(mesh::Operand::Imm);
            op.imm = if takes { imms[op.imm as usize] } else { 0 };
        }
        Ok(found)
    }
}

/// The VXM stage of a chain with the directions that its places imply.
fn directed(placed: &Placed, c: usize) -> Option<mesh::Chain> {
    let chain = &placed.problem.chains[c];
    let vxm = chain.vxm.as_ref()?;
    let sides = placed.sides(c);
    let inputs = vxm.feeds.iter().map(|feed| match feed {
        Feed::Pass(pass) => mesh::Input {
            ty: plan::result_type(chain),
            dir: sides[*pass].inward(),
        },
        Feed::Memory(source) => {
            let first = &source.bytes[0][0].read;
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

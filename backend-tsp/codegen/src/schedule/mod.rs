//! schedule: cycle, stream, plane and ALU of every instruction; slice and bank of what chains write.
//!
//! Before: what is there at cycle 0 has a place, every other buffer a side. After: every buffer has a place, and timed runs
//! claim every queue, stream register, mesh wire and plane at most once at a time, and read each word no sooner than the
//! machine allows after it was written. A written buffer stays where it is once its first reader has its time.
//! A list scheduler: of the chains that could start next, the one farthest from the end of the program, at the first
//! cycle at which all it needs is free, holes included. Knows no word address.

mod calendars;
mod plan;
mod planes;
mod runs;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{Direction, Hemisphere, QUEUES, Unit};

use crate::Refusal;
use crate::geometry::Geometry;
use crate::mesh::{self, Template};
use crate::order::Order;
use crate::place::{Place, Placed, Rooms};
use crate::problem::{BufferId, Feed, Origin, Piece, Problem, spans};
use crate::run::Run;
use calendars::{Calendars, Fit, NoFit};
use plan::{Claim, Delays, Late, Loose, Plan};
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

/// Cycles by which a chain may start before its data are there in the slices where they are now: a read that is nearer
/// to its unit, a write that is nearer to its own.
const SOONER: i64 = 48;

/// Rough cycles from a read to the activation or operation that it feeds.
const READ: i64 = 20;

/// Alternatives tried for the VXM stage of a chain; each is a different set of ALUs and wires.
const TEMPLATES: usize = 4;

/// Orders in which the slices of a chain are picked before its loose buffers stay where they are.
const REORDERINGS: usize = 16;

/// Schedules a placed problem.
pub fn schedule(mut placed: Placed, machine: &Machine) -> Result<Scheduled, Refusal> {
    let rooms = std::mem::take(&mut placed.rooms);
    let mut scheduler = Scheduler {
        rooms,
        geometry: Geometry::new(machine),
        delays: Delays::new(machine),
        calendars: Calendars::new(),
        planes: Planes::new(machine, placed.planes),
        runs: Runs::new(&placed, machine),
        templates: BTreeMap::new(),
        loose: Loose::new(),
        movable: movable(&placed.problem),
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
    let runs = scheduler.runs.finish();
    Ok(Scheduled { placed, runs })
}

/// Slices of buffers that a chain brings along.
type Slices = Vec<(BufferId, Place)>;

/// A way to run a chain.
struct Candidate {
    fit: Fit,
    slices: Slices,
    template: Option<usize>,
}

struct Scheduler<'a> {
    rooms: Rooms,
    geometry: Geometry,
    delays: Delays,
    calendars: Calendars,
    planes: Planes,
    runs: Runs<'a>,
    /// Templates by the debug form of the directed chain: equal chains are placed once.
    templates: BTreeMap<String, Result<Vec<Template>, String>>,
    loose: Loose,
    /// Per buffer.
    movable: Vec<bool>,
    placed: &'a Placed,
    machine: &'a Machine,
}

impl Scheduler<'_> {
    /// The chain to schedule next.
    fn next(&self, waiting: &BTreeMap<usize, i64>, order: &Order) -> Option<usize> {
        let start = |c: usize, data: i64| match &self.placed.problem.chains[c].pass {
            Some(_) => data.max(self.planes.free()),
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
        let planes = chain.planes().flat_map(|plane| spans(plane, chain.rows));
        let loads = chain.install_reads().map(|(s, r)| (r, u32::from(s.count)));
        let rows = planes.map(|(p, n)| self.runs.readable(&p.read, n) - i64::from(p.first) + READ);
        let loads = loads.map(|(r, n)| self.runs.readable(r, n) + READ + i64::from(n));
        rows.chain(loads).max().unwrap_or(0).max(0)
    }

    fn chain(&mut self, c: usize) -> Result<(), Refusal> {
        let chain = &self.placed.problem.chains[c];
        let (sides, data) = (self.sides(c)?, self.data(c));
        let installed = match &chain.pass {
            Some(pass) => Some(self.planes.install(
                pass,
                &sides,
                data,
                c,
                &self.geometry,
                &mut self.rooms,
                &mut self.calendars,
                &mut self.runs,
            )?),
            None => None,
        };
        let hemi = &self.placed.passes[c];
        hemi.set(installed.as_ref().map_or(hemi.get(), |i| i.hemi));
        let hemi = hemi.get();
        let templates = self.templates_of(c)?;
        let plane = installed.as_ref().map_or(0, |i| i.plane);
        let choices: Vec<Option<usize>> = if templates.is_empty() {
            vec![None]
        } else {
            (0..templates.len()).map(Some).collect()
        };
        let plan = |choice: Option<usize>, settled: bool| {
            let (g, delays) = (&self.geometry, &self.delays);
            let template = choice.map(|i| &templates[i]);
            Plan::new(
                self.placed,
                g,
                delays,
                c,
                plane,
                template,
                &self.loose,
                settled,
            )
        };
        let mut best: Option<Candidate> = None;
        let mut refused = None;
        for choice in choices {
            let plan = plan(choice, false);
            let least = installed.as_ref().map_or(i64::MIN, |i| i.first_act);
            let least = self.ready(&plan).max(least).max(data - SOONER);
            match self.fit(&plan, hemi, least, best.as_ref())? {
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
        let Some(best) = best else {
            return Err(no_streams(&chain.location, refused));
        };
        for &(buffer, place) in &best.slices {
            self.give(buffer, place);
        }
        let plan = Plan::new(
            self.placed,
            &self.geometry,
            &self.delays,
            c,
            plane,
            best.template.map(|i| &templates[i]),
            &self.loose,
            true,
        );
        self.calendars.book(&plan, hemi, &best.fit);
        let template = best.template.map(|i| &templates[i]);
        let weights = installed.as_ref().map(|i| (i.plane, i.iw));
        self.runs.chain(
            c,
            weights,
            &plan,
            &best.fit,
            template,
            &self.geometry,
            &self.delays,
        );
        self.loosen(&plan, &best.fit, c);
        let rows = chain.row_reads().map(|(r, n)| (r.buffer, n));
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

    /// The sides on which the pass of a chain could run, the best first.
    fn sides(&mut self, c: usize) -> Result<Vec<Hemisphere>, Refusal> {
        let home = self.placed.passes[c].get();
        let other = Hemisphere::ALL[1 - home.index()];
        let free = match &self.placed.problem.chains[c].pass {
            Some(pass) => pass.install.f16.is_none() || !self.placed.mixed,
            None => false,
        };
        if !free {
            return Ok(vec![home]);
        }
        // A result that arrives from the other side may find no way through the mesh.
        self.placed.passes[c].set(other);
        let there = self.templates_of(c);
        self.placed.passes[c].set(home);
        match (self.templates_of(c), there) {
            (Ok(_), Ok(_)) => Ok(vec![home, other]),
            (Ok(_), Err(_)) => Ok(vec![home]),
            (Err(_), Ok(_)) => Ok(vec![other]),
            (Err(refusal), Err(_)) => Err(refusal),
        }
    }

    /// The first anchor at which a plan fits, with slices for what has none yet; nothing if that is not before `best`.
    fn fit(
        &self,
        plan: &Plan,
        hemi: Hemisphere,
        mut least: i64,
        best: Option<&Candidate>,
    ) -> Result<Result<Option<(Fit, Slices)>, NoFit>, Refusal> {
        loop {
            let fit = match self.calendars.fit(plan, hemi, least) {
                Ok(fit) => fit,
                Err(no_fit) => return Ok(Err(no_fit)),
            };
            if best.is_some_and(|b| fit.anchor >= b.fit.anchor) {
                return Ok(Ok(None));
            }
            let (wait, slices) = self.slices(plan, fit.anchor)?;
            if wait == 0 {
                return Ok(Ok(Some((fit, slices))));
            }
            least = fit.anchor + wait;
        }
    }

    /// Gives a buffer its slice, where it stays if somebody reads it.
    fn give(&mut self, buffer: BufferId, place: Place) {
        let problem = &self.placed.problem;
        if let Some(write) = self.loose.remove(&buffer) {
            let old = self.placed.of(buffer);
            for claim in write.claims(&self.geometry, old) {
                self.calendars.free_queue(&claim);
            }
            self.rooms.leave(problem, buffer, old);
            for claim in write.claims(&self.geometry, place) {
                self.calendars.book_queue(&claim);
            }
            let queue = plan::queue(Unit::Mem(place.hemi, place.slice));
            let start = write.span(&self.geometry, place).start;
            self.runs.move_write(buffer, queue, start);
        }
        self.rooms.settle(problem, buffer, place);
        self.placed.places[buffer.0 as usize].set(place);
    }

    /// Notes what a booked chain writes and others may move.
    fn loosen(&mut self, plan: &Plan, fit: &Fit, c: usize) {
        for write in &self.placed.problem.chains[c].writes {
            if self.movable[write.buffer.0 as usize] {
                let role = plan.writer(write);
                let (_, flow) = role.expect("every output has a flow");
                let diagonal = flow.bytes[usize::from(write.byte)][0].diagonal + fit.anchor;
                let access = plan::written(flow.dir, diagonal, write);
                self.loose.insert(write.buffer, access);
            }
        }
    }

    /// Slices for what a plan brings along, if it starts at this anchor, and how long the worst of them makes it wait.
    fn slices(&self, plan: &Plan, anchor: i64) -> Result<(i64, Slices), Refusal> {
        let mut late: Vec<&Late> = plan.late.iter().collect();
        // Those with the least choice first.
        late.sort_by_key(|l| Reverse((self.loose.contains_key(&l.read.buffer), l.cycles)));
        for _ in 0..REORDERINGS {
            match self.slices_in_order(plan, &late, anchor, true) {
                Ok(found) => return Ok(found),
                Err((i, _)) => late[..=i].rotate_right(1),
            }
        }
        let found = self.slices_in_order(plan, &late, anchor, false);
        found.map_err(|(_, refusal)| refusal)
    }

    /// The same, each in turn; an error tells which one found none. Unless loose buffers may move, they stay.
    fn slices_in_order(
        &self,
        plan: &Plan,
        late: &[&Late],
        anchor: i64,
        moves: bool,
    ) -> Result<(i64, Slices), (usize, Refusal)> {
        let mut claims = Claims::new(plan.queues.iter().map(|c| c.shift(anchor)));
        let (mut picked, mut worst) = (Slices::new(), 0);
        for (i, l) in late.iter().enumerate() {
            let buffer = l.read.buffer;
            let write = self.loose.get(&buffer);
            let here = self.placed.of(buffer);
            let wait = |place: Place| match write.is_none() || moves || place == here {
                true => self.wait(l, write, anchor, &claims, place),
                false => None,
            };
            let pick = self.rooms.pick(&self.placed.problem, buffer, &picked, wait);
            let (wait, place) = pick.map_err(|refusal| (i, refusal))?;
            worst = worst.max(wait);
            claims.moves(l.claims(&self.geometry, place).map(|c| c.shift(anchor)));
            let fixed = write.iter().flat_map(|w| w.claims(&self.geometry, place));
            fixed.for_each(|c| claims.fixed[c.queue.index()].push(c));
            picked.push((buffer, place));
        }
        Ok((worst, picked))
    }

    /// How long an access would wait for a slice, beside what its chain claims already; nothing if waiting is no help.
    fn wait(
        &self,
        late: &Late,
        write: Option<&Late>,
        anchor: i64,
        claims: &Claims,
        place: Place,
    ) -> Option<i64> {
        let access = late.claims(&self.geometry, place).map(|c| c.shift(anchor));
        let queue = plan::queue(Unit::Mem(place.hemi, place.slice)).index();
        let (moving, fixed) = (&claims.moving[queue], &claims.fixed[queue]);
        if meet(access.clone(), moving).is_some() {
            return None;
        }
        let start = late.span(&self.geometry, place).start + anchor;
        let over = fixed.iter().filter(|f| access.clone().any(|a| a.meets(f)));
        let mut least = over.map(|f| f.time.end - start).max().unwrap_or(0);
        if let Some(write) = write {
            let written = write.claims(&self.geometry, place);
            let here = self.placed.of(late.read.buffer);
            let busy = |c: Claim| self.calendars.queue_wait(&c) > 0;
            let taken = meet(written.clone(), fixed).is_some();
            if taken || here != place && written.clone().any(busy) {
                return None;
            }
            // What the chain does in that slice must be after the write.
            least = least.max(meet(written, moving).unwrap_or(0));
            // The words are there as much later or earlier as the write is there.
            let (now, then) = (
                write.span(&self.geometry, here),
                write.span(&self.geometry, place),
            );
            let readable = self.runs.readable(&late.read, late.cycles as u32);
            let early = readable + then.start - now.start - start;
            least = least.max(early).max(then.end - start);
        }
        match least {
            ..=0 => access.map(|c| self.calendars.queue_wait(&c)).max(),
            wait => Some(wait),
        }
    }

    /// The first anchor at which every row is there when it is read.
    fn ready(&self, plan: &Plan) -> i64 {
        let mut least = i64::MIN;
        for (_, flow) in &plan.flows {
            let planes = flow.reads.iter().zip(&flow.bytes);
            let pieces = planes.flat_map(|(p, s)| p.iter().zip(s));
            let fixed = |p: &Piece| !self.loose.contains_key(&p.read.buffer);
            for (piece, stretch) in pieces.filter(|(p, _)| fixed(p)) {
                let place = self.placed.of(piece.read.buffer);
                let dispatch = self.geometry.read_dispatch(
                    flow.dir,
                    place.hemi,
                    place.slice,
                    stretch.diagonal,
                );
                least = least.max(self.runs.readable(&piece.read, stretch.rows) - dispatch);
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
        let machine = self.machine;
        let found = self.templates.entry(key).or_insert_with(|| {
            mesh::place(&directed, machine, TEMPLATES).map_err(|r| format!("VXM: {r}"))
        });
        found.clone().map_err(|message| Refusal {
            location: self.placed.problem.chains[c].location.clone(),
            message,
        })
    }
}

/// What a chain claims if it starts at an anchor, by queue: what moves with the anchor, and what does not.
struct Claims {
    moving: Vec<Vec<Claim>>,
    fixed: Vec<Vec<Claim>>,
}

impl Claims {
    fn new(moving: impl Iterator<Item = Claim>) -> Claims {
        let mut claims = Claims {
            moving: vec![Vec::new(); QUEUES],
            fixed: vec![Vec::new(); QUEUES],
        };
        claims.moves(moving);
        claims
    }

    fn moves(&mut self, claims: impl Iterator<Item = Claim>) {
        claims.for_each(|c| self.moving[c.queue.index()].push(c));
    }
}

/// By how much others would have to be later to be free of these claims, if they meet.
fn meet(claims: impl Iterator<Item = Claim>, others: &[Claim]) -> Option<i64> {
    let pairs = claims.flat_map(|a| others.iter().map(move |b| (a, b)));
    let met = pairs.filter(|(a, b)| a.meets(b));
    met.map(|(a, b)| a.time.end - b.time.start).max()
}

/// Buffers that chains write and read as rows only: they may move until the first of these reads has its time.
fn movable(problem: &Problem) -> Vec<bool> {
    let mut movable = vec![false; problem.buffers.len()];
    let written = |b: BufferId| problem.buffers[b.0 as usize].origin == Origin::Written;
    for chain in &problem.chains {
        for (read, _) in chain.row_reads() {
            movable[read.buffer.0 as usize] = written(read.buffer);
        }
    }
    for (_, read) in problem.chains.iter().flat_map(|c| c.install_reads()) {
        movable[read.buffer.0 as usize] = false;
    }
    movable
}

/// The VXM stage of a chain with the directions that its places imply.
fn directed(placed: &Placed, c: usize) -> Option<mesh::Chain> {
    let chain = &placed.problem.chains[c];
    let vxm = chain.vxm.as_ref()?;
    let inputs = vxm.feeds.iter().map(|feed| match feed {
        Feed::Pass => mesh::Input {
            ty: plan::result_type(chain),
            dir: placed.passes[c].get().inward(),
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

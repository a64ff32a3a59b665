//! What is booked so far, and the search for a time at which a plan fits and for slices that suit it.
//!
//! A slice's queue is taken for all rows of an access, and a plan needs dozens of slices at fixed distances in time, so
//! what it accesses first picks its slices along with it: constants nobody has read yet, what it writes, and what it is the
//! first to read, whose write moves along.

use std::cmp::Reverse;

use tspc_machine::Machine;
use tspc_program::{QUEUES, Unit};

use super::calendars::{Calendars, Fit, NoFit};
use super::plan::{self, Claim, Delays, Late, Loose, Plan};
use super::runs::Runs;
use crate::Refusal;
use crate::geometry::Geometry;
use crate::place::{Place, Placed, Rooms};
use crate::problem::{BufferId, Origin, Piece};

/// Orders in which the slices of a plan are picked before its loose buffers stay where they are.
const REORDERINGS: usize = 16;

/// Slices of buffers that a plan brings along.
pub type Slices = Vec<(BufferId, Place)>;

/// All that is booked.
pub struct Books<'a> {
    pub placed: &'a Placed,
    pub geometry: Geometry,
    pub delays: Delays,
    pub calendars: Calendars,
    pub runs: Runs<'a>,
    rooms: Rooms,
    /// Written buffers that nobody has read yet.
    loose: Loose,
    /// Constants that nobody has read yet.
    unread: Vec<bool>,
}

impl<'a> Books<'a> {
    /// Nothing is booked.
    pub fn new(placed: &'a Placed, rooms: Rooms, machine: &Machine) -> Books<'a> {
        let constant = |origin: &Origin| matches!(origin, Origin::Constant(_));
        let buffers = &placed.problem.buffers;
        Books {
            placed,
            geometry: Geometry::new(machine),
            delays: Delays::new(machine),
            calendars: Calendars::new(),
            runs: Runs::new(placed, machine),
            rooms,
            loose: Loose::new(),
            unread: buffers.iter().map(|b| constant(&b.origin)).collect(),
        }
    }

    /// Whether a buffer may still get any slice.
    pub fn movable(&self, buffer: BufferId) -> bool {
        self.unread[buffer.0 as usize] || self.loose.contains_key(&buffer)
    }

    /// The first anchor at which a plan fits, with slices for what has none yet; nothing if that is not earlier than `before`.
    pub fn fit(
        &self,
        plan: &Plan,
        mut least: i64,
        before: Option<i64>,
    ) -> Result<Result<Option<(Fit, Slices)>, NoFit>, Refusal> {
        loop {
            let fit = match self.calendars.fit(plan, least) {
                Ok(fit) => fit,
                Err(no_fit) => return Ok(Err(no_fit)),
            };
            if before.is_some_and(|b| fit.anchor >= b) {
                return Ok(Ok(None));
            }
            let (wait, slices) = self.slices(plan, fit.anchor)?;
            if wait == 0 {
                return Ok(Ok(Some((fit, slices))));
            }
            least = fit.anchor + wait;
        }
    }

    /// Gives buffers their slices, where they stay; what a plan writes comes to life at `start`.
    pub fn give(&mut self, slices: &[(BufferId, Place)], start: i64) {
        let problem = &self.placed.problem;
        for &(buffer, place) in slices {
            let mut start = start;
            if let Some(write) = self.loose.remove(&buffer) {
                let old = self.placed.of(buffer);
                for claim in write.claims(&self.geometry, old) {
                    self.calendars.free_queue(&claim);
                }
                self.rooms.leave(buffer, old);
                for claim in write.claims(&self.geometry, place) {
                    self.calendars.book_queue(&claim);
                }
                let queue = plan::queue(Unit::Mem(place.hemi, place.slice));
                start = write.span(&self.geometry, place).start;
                self.runs.move_write(buffer, queue, start);
            }
            self.unread[buffer.0 as usize] = false;
            self.rooms.settle(problem, buffer, place, start);
            self.placed.places[buffer.0 as usize].set(place);
        }
    }

    /// Notes that words of a buffer are read until cycle `last`.
    pub fn read(&mut self, buffer: BufferId, count: u32, last: i64) {
        let place = self.placed.of(buffer);
        self.rooms
            .read(&self.placed.problem, buffer, place, count, last);
    }

    /// Notes the reads of a booked plan.
    pub fn reads(&mut self, plan: &Plan, fit: &Fit) {
        for (_, flow) in &plan.flows {
            let planes = flow.reads.iter().zip(&flow.bytes);
            for (piece, stretch) in planes.flat_map(|(p, s)| p.iter().zip(s)) {
                let at = self.placed.of(piece.read.buffer);
                let diagonal = stretch.diagonal + fit.anchor;
                let first = self
                    .geometry
                    .read_dispatch(flow.dir, at.hemi, at.slice, diagonal);
                let last = first + i64::from(stretch.rows) - 1;
                self.read(piece.read.buffer, stretch.rows, last);
            }
        }
    }

    /// Notes what a booked chain writes and others may move.
    pub fn loosen(&mut self, plan: &Plan, fit: &Fit, c: usize) {
        for write in &self.placed.problem.chains[c].writes {
            // Nobody moves what only the host reads.
            if self.rooms.will_be_read(write.buffer) {
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
            // Its last words may be read apart from the others.
            let again = picked.iter().find(|(b, _)| *b == buffer).map(|p| p.1);
            let wait = |place: Place| match again {
                Some(there) if there != place => None,
                None if write.is_some() && !moves && place != here => None,
                _ => self.wait(l, write, again.is_some(), anchor, &claims, place),
            };
            let start = match write {
                Some(write) => write.span(&self.geometry, here).start,
                None => l.span(&self.geometry, here).start + anchor,
            };
            let problem = &self.placed.problem;
            let pick = self.rooms.pick(problem, buffer, start, &picked, wait);
            let (wait, place) = pick.map_err(|refusal| (i, refusal))?;
            worst = worst.max(wait);
            claims.moves(l.claims(&self.geometry, place).map(|c| c.shift(anchor)));
            if again.is_none() {
                let fixed = write.iter().flat_map(|w| w.claims(&self.geometry, place));
                fixed.for_each(|c| claims.fixed[c.queue.index()].push(c));
                picked.push((buffer, place));
            }
        }
        Ok((worst, picked))
    }

    /// How long an access would wait for a slice, beside what its chain claims already, `again` if that has the slice
    /// by now; nothing if waiting is no help.
    fn wait(
        &self,
        late: &Late,
        write: Option<&Late>,
        again: bool,
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
            if !again && (taken || here != place && written.clone().any(busy)) {
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
    pub fn ready(&self, plan: &Plan) -> i64 {
        let mut least = i64::MIN;
        for (_, flow) in &plan.flows {
            let planes = flow.reads.iter().zip(&flow.bytes);
            let pieces = planes.flat_map(|(p, s)| p.iter().zip(s));
            let fixed = |p: &Piece| !self.movable(p.read.buffer);
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

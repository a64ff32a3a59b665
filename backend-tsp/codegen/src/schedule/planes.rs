//! The MXM planes: which weights they hold, and installing the next ones behind the running pass.

use tspc_machine::Machine;
use tspc_program::{Hemisphere, MxmQueue, Unit};

use super::SOONER;
use super::books::Books;
use super::plan::{Claim, Flow, Late, Plan, Role, Stretch, farthest, queue};
use crate::Refusal;
use crate::problem::{BufferId, Install, Pass, Read, Segment};
use crate::run::RunId;
use crate::space::Span;

/// A plane's state after all that is booked on it.
#[derive(Clone, Default, Debug)]
struct Plane {
    /// What is installed, and by which run.
    weights: Option<(Install, RunId)>,
    /// First cycle of the next `lw`.
    next_lw: i64,
    /// First cycle of the next `iw`: after the last activation.
    next_iw: i64,
    /// First activation with the installed weights.
    next_act: i64,
}

/// All planes.
pub struct Planes {
    planes: [[Plane; 2]; 2],
    iw_to_act: i64,
    iw_to_lw: i64,
    /// Per hemisphere: planes in use.
    used: [u8; 2],
}

/// A plane for a pass.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    pub hemi: Hemisphere,
    pub plane: u8,
    /// When its first activation may dispatch.
    pub first_act: i64,
}

/// Streams of a weight load.
const STREAMS: usize = 16;

/// What a pass on the other side costs: rows and results cross the chip.
const CROSSING: i64 = 40;

impl Planes {
    /// Nothing is installed.
    pub fn new(machine: &Machine, used: [u8; 2]) -> Planes {
        Planes {
            planes: Default::default(),
            iw_to_act: i64::from(machine.mxm_iw_to_act),
            iw_to_lw: i64::from(machine.mxm_iw_to_lw),
            used,
        }
    }

    /// The first cycle at which some plane could start a pass, if its weights were there.
    pub fn free(&self) -> i64 {
        let used =
            Hemisphere::ALL.map(|h| &self.planes[h.index()][..usize::from(self.used[h.index()])]);
        used.into_iter()
            .flatten()
            .map(|p| p.next_iw)
            .min()
            .unwrap_or(0)
    }

    /// The planes on which a chain's passes, whose rows will be there from `data` on, can start first, if their weights
    /// have to wait for nothing; `dealings` are the sides to choose from, first those where the rows are.
    pub fn seats(
        &self,
        passes: &[Pass],
        dealings: &[Vec<Hemisphere>],
        data: i64,
        books: &Books,
    ) -> Vec<Seat> {
        let mut best: Option<((i64, usize), Vec<Seat>)> = None;
        for sides in dealings {
            let mut seats: Vec<Seat> = Vec::new();
            let (mut start, mut loads, mut lead) = (data, 0, 0);
            for (pass, &hemi) in passes.iter().zip(sides) {
                // A pass that adds the sum of the one before starts after it.
                lead = match pass.relayed() {
                    true => lead + books.delays.relay(&books.geometry),
                    false => 0,
                };
                let taken = |p: u8| seats.iter().any(|s| (s.hemi, s.plane) == (hemi, p));
                let planes = (0..self.used[hemi.index()]).filter(|&p| !taken(p));
                let keys = planes.map(|plane| {
                    let state = &self.planes[hemi.index()][usize::from(plane)];
                    match state.holds(&pass.install) {
                        Some(_) => (state.next_act, false, plane),
                        None => (
                            self.iw(state, pass, hemi, books) + self.iw_to_act,
                            true,
                            plane,
                        ),
                    }
                });
                let (first_act, load, plane) =
                    keys.min().expect("a side has planes for its passes");
                start = start.max(first_act - lead);
                loads += usize::from(load);
                seats.push(Seat {
                    hemi,
                    plane,
                    first_act,
                });
            }
            let crossing = if *sides == dealings[0] { 0 } else { CROSSING };
            let cost = (start + crossing, loads);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, seats));
            }
        }
        best.expect("there is a way to deal the passes").1
    }

    /// Brings the weights of a chain's passes to their seats, or finds them there; the first activation there, and the run
    /// that installed them.
    pub fn install(
        &mut self,
        passes: &[Pass],
        seats: &mut [Seat],
        chain: usize,
        books: &mut Books,
    ) -> Result<Vec<RunId>, Refusal> {
        let pairs = passes.iter().zip(seats);
        pairs
            .map(|(pass, seat)| self.load(pass, seat, chain, books))
            .collect()
    }

    /// The first `iw` of a pass, if its load did not wait.
    fn iw(&self, state: &Plane, pass: &Pass, hemi: Hemisphere, books: &Books) -> i64 {
        let ready = install_ready(&pass.install, hemi, books, |_| true);
        let loaded = state.next_lw.max(ready) + i64::from(pass.install.groups);
        loaded.max(state.next_iw)
    }

    /// Loads the weights of a pass, unless they are there.
    fn load(
        &mut self,
        pass: &Pass,
        seat: &mut Seat,
        chain: usize,
        books: &mut Books,
    ) -> Result<RunId, Refusal> {
        let Seat { hemi, plane, .. } = *seat;
        let state = &mut self.planes[hemi.index()][usize::from(plane)];
        if let Some(iw) = state.holds(&pass.install) {
            seat.first_act = state.next_act;
            return Ok(iw);
        }
        let install = &pass.install;
        let fixed = install_ready(install, hemi, books, |b| !books.movable(b));
        let ready = install_ready(install, hemi, books, |_| true) - SOONER;
        let least = state.next_lw.max(fixed).max(ready);
        let plan = install_plan(install, hemi, plane, books, false);
        let found = books.fit(&plan, least, None)?;
        let Ok(Some((fit, slices))) = found else {
            unreachable!("sixteen streams and a map's are free at the end of all bookings")
        };
        books.give(&slices, fit.anchor);
        let plan = install_plan(install, hemi, plane, books, true);
        books.calendars.book(&plan, &fit);
        let iw = (fit.anchor + i64::from(install.groups)).max(state.next_iw);
        let weight_queue = queue(Unit::Mxm(hemi, plane, MxmQueue::Weight));
        let time = Span {
            start: iw,
            end: iw + 1,
        };
        books
            .calendars
            .book_queue(&Claim::whole(weight_queue, time));
        let run = books.runs.install(
            chain,
            install,
            hemi,
            plane,
            fit.anchor,
            &fit.streams,
            iw,
            &books.geometry,
            &books.delays,
        );
        for segment in &install.segments {
            let count = u32::from(segment.count);
            let last = fit.anchor + i64::from(segment.group) + i64::from(count);
            (segment.streams.iter()).for_each(|read| books.read(read.buffer, count, last));
        }
        state.weights = Some((install.clone(), run));
        state.next_lw = iw + self.iw_to_lw;
        state.next_iw = iw + 1;
        state.next_act = iw + self.iw_to_act;
        seat.first_act = state.next_act;
        Ok(run)
    }

    /// Notes that a pass of `rows` activations starts at `act`.
    pub fn passed(&mut self, hemi: Hemisphere, plane: u8, act: i64, rows: u32) {
        let last = act + i64::from(rows) - 1;
        let state = &mut self.planes[hemi.index()][usize::from(plane)];
        state.next_iw = state.next_iw.max(last + 1);
        state.next_act = state.next_act.max(last + 1);
    }
}

impl Plane {
    /// Who installed these weights, if they are there.
    fn holds(&self, install: &Install) -> Option<RunId> {
        let same = |w: &Install| (w.weights, w.f16) == (install.weights, install.f16);
        let there = self.weights.as_ref().filter(|(w, _)| same(w));
        there.map(|(_, iw)| *iw)
    }
}

/// Reads and streams of an install, anchored at its first `lw`; one row per group. What it is the first to read has no
/// slice yet unless it is settled: its stream reaches as far as any slice could want.
fn install_plan(
    install: &Install,
    hemi: Hemisphere,
    plane: u8,
    books: &Books,
    settled: bool,
) -> Plan {
    let geometry = &books.geometry;
    let rows = u32::from(install.groups);
    let (port, edge) = (geometry.mxm_port(), geometry.edge());
    let dir = hemi.outward();
    let time = Span {
        start: 0,
        end: i64::from(rows),
    };
    let weights = queue(Unit::Mxm(hemi, plane, MxmQueue::Weight));
    let mut queues = vec![Claim::whole(weights, time)];
    let windowed = install.windowed();
    let taken = taken(install, books);
    let to = if windowed { edge } else { port };
    let mut late = Vec::new();
    let mut read = |read: Read, segment: &Segment| {
        let access = Late {
            read,
            dir,
            diagonal: taken + i64::from(segment.group),
            cycles: i64::from(segment.count),
            write: false,
            step: 1,
        };
        let place = books.placed.of(read.buffer);
        let slice = match books.movable(read.buffer) && !settled {
            true => {
                late.push(access);
                farthest(dir, place.hemi)
            }
            false => {
                queues.extend(access.claims(geometry, place));
                place.slice
            }
        };
        geometry.read(dir, place.hemi, slice)
    };
    let mut from = vec![to; STREAMS];
    let mut maps = Vec::new();
    for segment in &install.segments {
        for (&r, from) in segment.streams.iter().zip(&mut from) {
            *from = (*from).min(read(r, segment));
        }
        maps.extend(segment.window.map(|map| Stretch {
            diagonal: taken + i64::from(segment.group),
            rows: u32::from(segment.count),
            from: read(map, segment),
            to: edge,
        }));
    }
    let stretch = |diagonal, from, to| Stretch {
        diagonal,
        rows,
        from,
        to,
    };
    let at_port = stretch(-port, port, port);
    let bytes = from.into_iter().map(|from| {
        let mut byte = vec![stretch(taken, from, to)];
        byte.extend(windowed.then_some(at_port));
        byte
    });
    let flow = |candidates: Vec<u8>, bytes| Flow {
        dir,
        candidates,
        bytes,
        reads: Vec::new(),
        distribute: None,
    };
    // Rows take the lowest free streams.
    let mut flows = vec![(Role::Act(0), flow(vec![16, 0], bytes.collect()))];
    if windowed {
        flows[0].1.distribute = Some((hemi, -books.delays.distribute_to_port));
        flows.push((Role::Window(0), flow((0..32).collect(), vec![maps])));
    }
    Plan {
        queues,
        wires: Vec::new(),
        flows,
        late,
        rows,
        acts: vec![0],
        vxm_base: 0,
    }
}

/// The diagonal on which the words of group 0 travel, for the `lw` in cycle 0.
fn taken(install: &Install, books: &Books) -> i64 {
    match install.windowed() {
        true => books.delays.distributed(&books.geometry),
        false => -books.geometry.mxm_port(),
    }
}

/// The first `lw` for which all words are there, of the buffers that count.
fn install_ready(
    install: &Install,
    hemi: Hemisphere,
    books: &Books,
    counts: impl Fn(BufferId) -> bool,
) -> i64 {
    let (dir, taken) = (hemi.outward(), taken(install, books));
    let reads = install
        .segments
        .iter()
        .flat_map(|s| s.streams.iter().map(move |r| (s, r)));
    let counted = reads.filter(|(_, read)| counts(read.buffer));
    let ready = counted.map(|(segment, read)| {
        let place = books.placed.of(read.buffer);
        let diagonal = taken + i64::from(segment.group);
        let dispatch = books
            .geometry
            .read_dispatch(dir, place.hemi, place.slice, diagonal);
        books.runs.readable(read, u32::from(segment.count)) - dispatch
    });
    ready.max().unwrap_or(0).max(0)
}

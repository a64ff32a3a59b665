//! The chip's calendars, and the search for the first cycle at which a plan fits.

use tspc_program::{Direction, QUEUES};

use super::plan::{Claim, DISTRIBUTED, Flow, Plan, Role, Stretch, distributors};
use crate::space::{Calendar, Span};

/// Calendars of all queues, byte streams and mesh wires.
pub struct Calendars {
    queues: Vec<Calendar>,
    streams: Vec<Calendar>,
    wires: Vec<Calendar>,
    /// One past the last cycle or diagonal that is booked: there, everything is free.
    horizon: i64,
}

/// A plan's place in time.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Cycle of the anchor.
    pub anchor: i64,
    /// First stream of each flow.
    pub streams: Vec<u8>,
}

fn index(dir: Direction, stream: u8) -> usize {
    dir.index() * 32 + usize::from(stream)
}

fn stretch_rect(stretch: &Stretch, anchor: i64) -> (Span, Span) {
    let start = stretch.diagonal + anchor;
    let time = Span {
        start,
        end: start + i64::from(stretch.rows),
    };
    (
        time,
        Span {
            start: stretch.from,
            end: stretch.to + 1,
        },
    )
}

/// Rectangles of a flow on the group that starts at `stream`: (calendar, diagonals, coordinates).
fn rects(flow: &Flow, stream: u8, anchor: i64) -> impl Iterator<Item = (usize, Span, Span)> + '_ {
    flow.bytes
        .iter()
        .enumerate()
        .flat_map(move |(k, stretches)| {
            let calendar = index(flow.dir, stream + k as u8);
            stretches.iter().map(move |s| {
                let (time, place) = stretch_rect(s, anchor);
                (calendar, time, place)
            })
        })
}

/// The distributors that a flow on the group that starts at `stream` needs.
fn distribution(
    plan: &Plan,
    flow: &Flow,
    stream: u8,
    anchor: i64,
) -> impl Iterator<Item = Claim> + Clone {
    let width = flow.bytes.len();
    let claims = flow.distribute.map(|(hemi, at)| {
        let start = at + anchor;
        let span = Span {
            start,
            end: start + i64::from(plan.rows),
        };
        distributors(hemi, stream, width).map(move |queue| Claim::whole(queue, span))
    });
    claims.into_iter().flatten()
}

/// Why a plan fits nowhere.
pub struct NoFit {
    /// The flow that found no stream.
    pub role: Role,
    /// Its direction.
    pub dir: Direction,
    /// Its width in bytes.
    pub width: usize,
}

impl Calendars {
    /// Nothing is booked.
    pub fn new() -> Calendars {
        Calendars {
            queues: vec![Calendar::default(); QUEUES],
            streams: vec![Calendar::default(); 64],
            wires: vec![Calendar::default(); 64],
            horizon: 0,
        }
    }

    /// Cycles until a claim is free.
    pub fn queue_wait(&self, claim: &Claim) -> i64 {
        self.queues[claim.queue.index()].first_fit(claim.time, claim.parts)
    }

    /// The first anchor ≥ `least` at which everything is free, with the streams to use.
    pub fn fit(&self, plan: &Plan, least: i64) -> Result<Fit, NoFit> {
        let mut anchor = least;
        loop {
            let queues = plan
                .queues
                .iter()
                .map(|claim| self.queue_wait(&claim.shift(anchor)));
            let wires = plan.wires.iter().map(|(dir, stream, time, columns)| {
                self.wires[index(*dir, *stream)].first_fit(time.shift(anchor), *columns)
            });
            if let Some(wait) = queues.chain(wires).find(|w| *w > 0) {
                anchor += wait;
                continue;
            }
            match self.choose(plan, anchor) {
                Ok(streams) => return Ok(Fit { anchor, streams }),
                Err(Some(wait)) => anchor += wait,
                // The chain's own flows exclude each other: waiting can help only while others hold streams.
                Err(None) if anchor < self.horizon => anchor += 1,
                Err(None) => return Err(self.no_fit(plan, anchor)),
            }
        }
    }

    /// Streams for all flows at this anchor, or the least wait for the flow that found none.
    fn choose(&self, plan: &Plan, anchor: i64) -> Result<Vec<u8>, Option<i64>> {
        let mut own: Vec<(usize, Span, Span)> = Vec::new();
        let mut units: Vec<Claim> = Vec::new();
        let mut chosen: Vec<u8> = Vec::new();
        for (role, flow) in &plan.flows {
            let mut least: Option<i64> = None;
            let found = flow.candidates.iter().copied().find(|&stream| {
                let mut wait = rects(flow, stream, anchor)
                    .map(|(c, time, place)| self.streams[c].first_fit(time, place))
                    .max()
                    .unwrap_or(0);
                let mut claims = distribution(plan, flow, stream, anchor);
                for claim in claims.clone() {
                    wait = wait.max(self.queue_wait(&claim));
                }
                // A distributor's map comes from outside of its eight streams.
                let act = |i: usize| plan.flows.iter().position(|(r, _)| *r == Role::Act(i));
                let beside = |act: usize| {
                    let last = chosen[act] + plan.flows[act].1.bytes.len() as u8 - 1;
                    (chosen[act] / DISTRIBUTED..=last / DISTRIBUTED)
                        .contains(&(stream / DISTRIBUTED))
                };
                if matches!(*role, Role::Window(i) if act(i).is_some_and(beside)) {
                    return false;
                }
                let crosses_own = rects(flow, stream, anchor).any(|r| {
                    own.iter()
                        .any(|o| o.0 == r.0 && o.1.meets(r.1) && o.2.meets(r.2))
                });
                let crosses_own = crosses_own || claims.any(|c| units.iter().any(|u| u.meets(&c)));
                if wait > 0 && !crosses_own {
                    least = Some(least.map_or(wait, |l: i64| l.min(wait)));
                }
                wait == 0 && !crosses_own
            });
            let Some(stream) = found else {
                return Err(least);
            };
            own.extend(rects(flow, stream, anchor));
            units.extend(distribution(plan, flow, stream, anchor));
            chosen.push(stream);
        }
        Ok(chosen)
    }

    fn no_fit(&self, plan: &Plan, anchor: i64) -> NoFit {
        let fits = |n: usize| {
            let flows = plan.flows[..n].to_vec();
            self.choose(
                &Plan {
                    flows,
                    ..plan.clone()
                },
                anchor,
            )
            .is_ok()
        };
        let n = (1..=plan.flows.len())
            .find(|&n| !fits(n))
            .unwrap_or(plan.flows.len());
        let (role, flow) = &plan.flows[n - 1];
        NoFit {
            role: *role,
            dir: flow.dir,
            width: flow.bytes.len(),
        }
    }

    /// Books a plan where it fits.
    pub fn book(&mut self, plan: &Plan, fit: &Fit) {
        for claim in &plan.queues {
            self.book_queue(&claim.shift(fit.anchor));
        }
        for (dir, stream, time, columns) in &plan.wires {
            self.wires[index(*dir, *stream)].book(time.shift(fit.anchor), *columns);
        }
        for ((_, flow), &stream) in plan.flows.iter().zip(&fit.streams) {
            for (calendar, time, place) in rects(flow, stream, fit.anchor) {
                self.horizon = self.horizon.max(time.end);
                self.streams[calendar].book(time, place);
            }
            for claim in distribution(plan, flow, stream, fit.anchor) {
                self.book_queue(&claim);
            }
        }
    }

    /// Frees a queue.
    pub fn free_queue(&mut self, claim: &Claim) {
        self.queues[claim.queue.index()].free(claim.time, claim.parts);
    }

    /// Books a queue alone.
    pub fn book_queue(&mut self, claim: &Claim) {
        self.horizon = self.horizon.max(claim.time.end);
        self.queues[claim.queue.index()].book(claim.time, claim.parts);
    }
}

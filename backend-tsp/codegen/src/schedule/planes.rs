//! The MXM planes: which weights they hold, and installing the next ones behind the running pass.

use tspc_machine::Machine;
use tspc_program::{Hemisphere, MxmQueue, Unit};

use super::Slices;
use super::calendars::{Calendars, Fit};
use super::plan::{Claim, Delays, Flow, Late, Plan, Role, Stretch, farthest, queue, read_claims};
use super::runs::Runs;
use crate::Refusal;
use crate::geometry::Geometry;
use crate::place::{Place, Placed, Rooms};
use crate::problem::{Install, Pass};
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
    delays: Delays,
    /// Per hemisphere: planes in use.
    used: [u8; 2],
}

/// Weights in place.
pub struct Installed {
    pub hemi: Hemisphere,
    pub plane: u8,
    pub iw: RunId,
    pub first_act: i64,
}

/// A plane that could run a pass.
struct Slot {
    hemi: Hemisphere,
    plane: u8,
    /// How the weights would come there, if they are not there already.
    load: Option<(Fit, Slices)>,
    iw: i64,
    first_act: i64,
}

/// What a pass on the other side costs: rows and results cross the chip.
const CROSSING: i64 = 40;

impl Planes {
    /// Nothing is installed.
    pub fn new(machine: &Machine, used: [u8; 2]) -> Planes {
        Planes {
            planes: Default::default(),
            iw_to_act: i64::from(machine.mxm_iw_to_act),
            iw_to_lw: i64::from(machine.mxm_iw_to_lw),
            delays: Delays::new(machine),
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

    /// Brings the weights of a pass, whose rows will be there from `data` on, into the plane of one of these sides that
    /// can start first, or finds them there; the first side is where its rows are. Gives distributor maps their slices.
    #[allow(clippy::too_many_arguments)] // What an install depends on.
    pub fn install(
        &mut self,
        pass: &Pass,
        sides: &[Hemisphere],
        data: i64,
        chain: usize,
        geometry: &Geometry,
        rooms: &mut Rooms,
        calendars: &mut Calendars,
        runs: &mut Runs,
    ) -> Result<Installed, Refusal> {
        let planes = sides
            .iter()
            .flat_map(|&h| (0..self.used[h.index()]).map(move |p| (h, p)));
        let slots =
            planes.map(|(hemi, p)| self.slot(pass, hemi, p, geometry, rooms, calendars, runs));
        let slots = slots.collect::<Result<Vec<_>, _>>()?.into_iter();
        let slot = slots.min_by_key(|s| {
            let crossing = if s.hemi == sides[0] { 0 } else { CROSSING };
            (s.first_act.max(data) + crossing, s.load.is_some(), s.plane)
        });
        let slot = slot.expect("there is a plane");
        let (hemi, plane) = (slot.hemi, slot.plane);
        let Some((fit, maps)) = &slot.load else {
            let state = &self.planes[hemi.index()][usize::from(plane)];
            let iw = state.weights.as_ref().expect("found there").1;
            return Ok(Installed {
                hemi,
                plane,
                iw,
                first_act: slot.first_act,
            });
        };
        let placed = runs.placed();
        for &(map, place) in maps {
            rooms.settle(&placed.problem, map, place);
            placed.places[map.0 as usize].set(place);
        }
        let plan = self.load(&pass.install, hemi, plane, geometry, rooms, placed);
        calendars.book(&plan, hemi, fit);
        let weight_queue = queue(Unit::Mxm(hemi, slot.plane, MxmQueue::Weight));
        let time = Span {
            start: slot.iw,
            end: slot.iw + 1,
        };
        calendars.book_queue(&Claim::whole(weight_queue, time));
        let iw = runs.install(
            chain,
            &pass.install,
            hemi,
            slot.plane,
            fit.anchor,
            &fit.streams,
            slot.iw,
            geometry,
            &self.delays,
        );
        let state = &mut self.planes[hemi.index()][usize::from(plane)];
        state.weights = Some((pass.install.clone(), iw));
        state.next_lw = slot.iw + self.iw_to_lw;
        state.next_iw = slot.iw + 1;
        state.next_act = slot.first_act;
        Ok(Installed {
            hemi,
            plane,
            iw,
            first_act: slot.first_act,
        })
    }

    /// When a plane could run a pass.
    #[allow(clippy::too_many_arguments)] // What an install depends on.
    fn slot(
        &self,
        pass: &Pass,
        hemi: Hemisphere,
        plane: u8,
        geometry: &Geometry,
        rooms: &Rooms,
        calendars: &Calendars,
        runs: &Runs,
    ) -> Result<Slot, Refusal> {
        let state = &self.planes[hemi.index()][usize::from(plane)];
        if state
            .weights
            .as_ref()
            .is_some_and(|(w, _)| *w == pass.install)
        {
            return Ok(Slot {
                hemi,
                plane,
                load: None,
                iw: 0,
                first_act: state.next_act,
            });
        }
        let placed = runs.placed();
        let plan = self.load(&pass.install, hemi, plane, geometry, rooms, placed);
        let ready = self.load_ready(&pass.install, hemi, geometry, runs);
        let mut least = state.next_lw.max(ready);
        let (fit, maps) = loop {
            let fit = calendars.fit(&plan, hemi, least);
            let fit = fit.unwrap_or_else(|_| {
                unreachable!("sixteen streams and a map's are free at the end of all bookings")
            });
            let (wait, maps) = maps(&plan, fit.anchor, geometry, rooms, calendars, placed)?;
            if wait == 0 {
                break (fit, maps);
            }
            least = fit.anchor + wait;
        };
        let iw = (fit.anchor + i64::from(pass.install.groups)).max(state.next_iw);
        Ok(Slot {
            hemi,
            plane,
            load: Some((fit, maps)),
            iw,
            first_act: iw + self.iw_to_act,
        })
    }

    /// Notes that a pass of `rows` activations starts at `act`.
    pub fn passed(&mut self, hemi: Hemisphere, plane: u8, act: i64, rows: u32) {
        let last = act + i64::from(rows) - 1;
        let state = &mut self.planes[hemi.index()][usize::from(plane)];
        state.next_iw = state.next_iw.max(last + 1);
        state.next_act = state.next_act.max(last + 1);
    }

    /// Reads and streams of an install, anchored at its first `lw`; one row per group. Distributor maps that have no
    /// slice yet are late, and their stream reaches as far as any slice could want.
    fn load(
        &self,
        install: &Install,
        hemi: Hemisphere,
        plane: u8,
        geometry: &Geometry,
        rooms: &Rooms,
        placed: &Placed,
    ) -> Plan {
        let rows = u32::from(install.groups);
        let (port, edge) = (geometry.mxm_port(), geometry.edge());
        let dir = hemi.outward();
        let time = Span {
            start: 0,
            end: i64::from(rows),
        };
        let weights = queue(Unit::Mxm(hemi, plane, MxmQueue::Weight));
        let mut queues = vec![Claim::whole(weights, time)];
        let windowed = install.segments.iter().any(|s| s.window.is_some());
        let (taken, to) = match windowed {
            true => (self.delays.distributed(geometry), edge),
            false => (-port, port),
        };
        let mut from = vec![to; 16];
        let (mut late, mut maps) = (Vec::new(), Vec::new());
        for segment in &install.segments {
            let diagonal = taken + i64::from(segment.group);
            let cycles = i64::from(segment.count);
            for (read, from) in segment.streams.iter().zip(&mut from) {
                let place = placed.of(read.buffer);
                *from = (*from).min(geometry.read(dir, place.hemi, place.slice));
                let start = geometry.read_dispatch(dir, place.hemi, place.slice, diagonal);
                let end = start + cycles;
                queues.extend(read_claims(place, Span { start, end }));
            }
            let Some(read) = segment.window else { continue };
            let map = Late {
                read,
                dir,
                diagonal,
                cycles,
                write: false,
                step: 1,
            };
            let place = placed.of(read.buffer);
            let slice = match rooms.has(read.buffer) {
                true => {
                    queues.extend(map.claims(geometry, place));
                    place.slice
                }
                false => {
                    late.push(map);
                    farthest(dir, place.hemi)
                }
            };
            maps.push(Stretch {
                diagonal,
                rows: u32::from(segment.count),
                from: geometry.read(dir, place.hemi, slice),
                to: edge,
            });
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
        let mut flows = vec![(Role::Act, flow(vec![16, 0], bytes.collect()))];
        if windowed {
            flows[0].1.distribute = Some(-self.delays.distribute_to_port);
            flows.push((Role::Window, flow((0..32).collect(), vec![maps])));
        }
        Plan {
            queues,
            wires: Vec::new(),
            flows,
            late,
            rows,
            vxm_base: 0,
        }
    }

    /// The first `lw` for which all words are there.
    fn load_ready(
        &self,
        install: &Install,
        hemi: Hemisphere,
        geometry: &Geometry,
        runs: &Runs,
    ) -> i64 {
        let dir = hemi.outward();
        let reads = install
            .segments
            .iter()
            .flat_map(|s| s.streams.iter().map(move |r| (s, r)));
        let ready = reads.map(|(segment, read)| {
            let place = runs.place(read.buffer);
            let taken = match segment.window {
                Some(_) => self.delays.distributed(geometry),
                None => -geometry.mxm_port(),
            };
            let diagonal = i64::from(segment.group) + taken;
            let dispatch = geometry.read_dispatch(dir, place.hemi, place.slice, diagonal);
            runs.readable(read, u32::from(segment.count)) - dispatch
        });
        ready.max().unwrap_or(0).max(0)
    }
}

/// Slices for the distributor maps of an install at this anchor, and how long the worst of them makes it wait.
fn maps(
    plan: &Plan,
    anchor: i64,
    geometry: &Geometry,
    rooms: &Rooms,
    calendars: &Calendars,
    placed: &Placed,
) -> Result<(i64, Slices), Refusal> {
    let (mut worst, mut picked) = (0, Slices::new());
    for map in &plan.late {
        let wait = |place: Place| {
            let claims = map.claims(geometry, place).map(|c| c.shift(anchor));
            claims.map(|c| calendars.queue_wait(&c)).max()
        };
        let (wait, place) = rooms.pick(&placed.problem, map.read.buffer, &picked, wait)?;
        worst = worst.max(wait);
        picked.push((map.read.buffer, place));
    }
    Ok((worst, picked))
}

//! The MXM planes: which weights they hold, and installing the next ones behind the running pass.

use tspc_machine::Machine;
use tspc_program::{Hemisphere, MxmQueue, Unit};

use super::calendars::{Calendars, Fit};
use super::plan::{Claim, Flow, Plan, Role, Stretch, queue, read_claims};
use super::runs::Runs;
use crate::geometry::Geometry;
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
    load: Option<(Plan, Fit)>,
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
    /// can start first, or finds them there; the first side is where its rows are.
    #[allow(clippy::too_many_arguments)] // What an install depends on.
    pub fn install(
        &mut self,
        pass: &Pass,
        sides: &[Hemisphere],
        data: i64,
        chain: usize,
        geometry: &Geometry,
        calendars: &mut Calendars,
        runs: &mut Runs,
    ) -> Installed {
        let planes = sides
            .iter()
            .flat_map(|&h| (0..self.used[h.index()]).map(move |p| (h, p)));
        let slots =
            planes.map(|(hemi, plane)| self.slot(pass, hemi, plane, geometry, calendars, runs));
        let slot = slots.min_by_key(|s| {
            let crossing = if s.hemi == sides[0] { 0 } else { CROSSING };
            (s.first_act.max(data) + crossing, s.load.is_some(), s.plane)
        });
        let slot = slot.expect("there is a plane");
        let (hemi, plane) = (slot.hemi, slot.plane);
        let Some((plan, fit)) = &slot.load else {
            let state = &self.planes[hemi.index()][usize::from(plane)];
            let iw = state.weights.as_ref().expect("found there").1;
            return Installed {
                hemi,
                plane,
                iw,
                first_act: slot.first_act,
            };
        };
        calendars.book(plan, hemi, fit);
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
            fit.streams[0],
            slot.iw,
            geometry,
        );
        let state = &mut self.planes[hemi.index()][usize::from(plane)];
        state.weights = Some((pass.install.clone(), iw));
        state.next_lw = slot.iw + self.iw_to_lw;
        state.next_iw = slot.iw + 1;
        state.next_act = slot.first_act;
        Installed {
            hemi,
            plane,
            iw,
            first_act: slot.first_act,
        }
    }

    /// When a plane could run a pass.
    fn slot(
        &self,
        pass: &Pass,
        hemi: Hemisphere,
        plane: u8,
        geometry: &Geometry,
        calendars: &Calendars,
        runs: &Runs,
    ) -> Slot {
        let state = &self.planes[hemi.index()][usize::from(plane)];
        if state
            .weights
            .as_ref()
            .is_some_and(|(w, _)| *w == pass.install)
        {
            return Slot {
                hemi,
                plane,
                load: None,
                iw: 0,
                first_act: state.next_act,
            };
        }
        let plan = install_plan(&pass.install, hemi, plane, geometry, runs);
        let ready = install_ready(&pass.install, hemi, geometry, runs);
        let fit = calendars.fit(&plan, hemi, state.next_lw.max(ready));
        let fit = fit.unwrap_or_else(|_| {
            unreachable!("sixteen streams are free at the end of all bookings")
        });
        let iw = (fit.anchor + i64::from(pass.install.groups)).max(state.next_iw);
        Slot {
            hemi,
            plane,
            load: Some((plan, fit)),
            iw,
            first_act: iw + self.iw_to_act,
        }
    }

    /// Notes that a pass of `rows` activations starts at `act`.
    pub fn passed(&mut self, hemi: Hemisphere, plane: u8, act: i64, rows: u32) {
        let last = act + i64::from(rows) - 1;
        let state = &mut self.planes[hemi.index()][usize::from(plane)];
        state.next_iw = state.next_iw.max(last + 1);
        state.next_act = state.next_act.max(last + 1);
    }
}

/// Reads and streams of an install, anchored at its first `lw`; one row per group.
fn install_plan(
    install: &Install,
    hemi: Hemisphere,
    plane: u8,
    geometry: &Geometry,
    runs: &Runs,
) -> Plan {
    let rows = u32::from(install.groups);
    let port = geometry.mxm_port();
    let dir = hemi.outward();
    let time = Span {
        start: 0,
        end: i64::from(rows),
    };
    let weights = queue(Unit::Mxm(hemi, plane, MxmQueue::Weight));
    let mut queues = vec![Claim::whole(weights, time)];
    let mut from = vec![port; 16];
    for segment in &install.segments {
        for (read, from) in segment.streams.iter().zip(&mut from) {
            let place = runs.place(read.buffer);
            let at = geometry.read(dir, place.hemi, place.slice);
            *from = (*from).min(at);
            let start = geometry.read_dispatch(
                dir,
                place.hemi,
                place.slice,
                i64::from(segment.group) - port,
            );
            let span = Span {
                start,
                end: start + i64::from(segment.count),
            };
            queues.extend(read_claims(place, span));
        }
    }
    let bytes = from
        .into_iter()
        .map(|from| {
            vec![Stretch {
                diagonal: -port,
                rows,
                from,
                to: port,
            }]
        })
        .collect();
    let flow = Flow {
        dir,
        // Rows take the lowest free streams.
        candidates: vec![16, 0],
        bytes,
        reads: Vec::new(),
        distribute: None,
    };
    Plan {
        queues,
        wires: Vec::new(),
        flows: vec![(Role::Act, flow)],
        late: Vec::new(),
        rows,
        vxm_base: 0,
    }
}

/// The first `lw` for which all words are there.
fn install_ready(install: &Install, hemi: Hemisphere, geometry: &Geometry, runs: &Runs) -> i64 {
    let dir = hemi.outward();
    let reads = install
        .segments
        .iter()
        .flat_map(|s| s.streams.iter().map(move |r| (s, r)));
    let ready = reads.map(|(segment, read)| {
        let place = runs.place(read.buffer);
        let diagonal = i64::from(segment.group) - geometry.mxm_port();
        let dispatch = geometry.read_dispatch(dir, place.hemi, place.slice, diagonal);
        runs.readable(read, u32::from(segment.count)) - dispatch
    });
    ready.max().unwrap_or(0).max(0)
}

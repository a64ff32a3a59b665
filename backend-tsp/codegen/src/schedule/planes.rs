//! The MXM planes: which weights they hold, and installing the next ones behind the running pass.

use tspc_machine::Machine;
use tspc_program::{Hemisphere, MxmQueue, Unit};

use super::calendars::{Calendars, Fit};
use super::plan::{Flow, Plan, Role, Stretch, queue};
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
    pub plane: u8,
    pub iw: RunId,
    pub first_act: i64,
}

/// Where an install fits.
struct Slot {
    plane: u8,
    plan: Plan,
    fit: Fit,
    iw: i64,
}

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

    /// The first cycle at which a plane of a hemisphere could start a pass, if its weights were there.
    pub fn free(&self, hemi: Hemisphere) -> i64 {
        let used = usize::from(self.used[hemi.index()]);
        let planes = self.planes[hemi.index()][..used].iter();
        planes.map(|p| p.next_iw).min().unwrap_or(0)
    }

    /// Brings the weights of a pass into a plane of its hemisphere, or finds them there.
    pub fn install(
        &mut self,
        pass: &Pass,
        hemi: Hemisphere,
        chain: usize,
        geometry: &Geometry,
        calendars: &mut Calendars,
        runs: &mut Runs,
    ) -> Installed {
        let pair = &mut self.planes[hemi.index()];
        let there = |p: &Plane| p.weights.as_ref().is_some_and(|(w, _)| *w == pass.install);
        if let Some(plane) = (0..2).find(|&p| there(&pair[p])) {
            let state = &pair[plane];
            let iw = state.weights.as_ref().expect("found there").1;
            return Installed {
                plane: plane as u8,
                iw,
                first_act: state.next_act,
            };
        }
        let slots = (0..self.used[hemi.index()]).map(|plane| {
            let state = &pair[usize::from(plane)];
            let plan = install_plan(&pass.install, hemi, plane, geometry, runs);
            let least = state
                .next_lw
                .max(install_ready(&pass.install, hemi, geometry, runs));
            let fit = calendars.fit(&plan, hemi, least);
            let fit = fit.unwrap_or_else(|_| {
                unreachable!("sixteen streams are free at the end of all bookings")
            });
            let iw = (fit.anchor + i64::from(pass.install.groups)).max(state.next_iw);
            Slot {
                plane,
                plan,
                fit,
                iw,
            }
        });
        let slot = slots
            .min_by_key(|s| (s.iw, s.plane))
            .expect("there is a plane");
        calendars.book(&slot.plan, hemi, &slot.fit);
        let weight_queue = queue(Unit::Mxm(hemi, slot.plane, MxmQueue::Weight));
        calendars.book_queue(
            weight_queue,
            Span {
                start: slot.iw,
                end: slot.iw + 1,
            },
        );
        let iw = runs.install(
            chain,
            &pass.install,
            hemi,
            slot.plane,
            slot.fit.anchor,
            slot.fit.streams[0],
            slot.iw,
            geometry,
        );
        let state = &mut pair[usize::from(slot.plane)];
        state.weights = Some((pass.install.clone(), iw));
        state.next_lw = slot.iw + self.iw_to_lw;
        state.next_iw = slot.iw + 1;
        state.next_act = slot.iw + self.iw_to_act;
        let first_act = slot.iw + self.iw_to_act;
        Installed {
            plane: slot.plane,
            iw,
            first_act,
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
    let mut queues = vec![(
        queue(Unit::Mxm(hemi, plane, MxmQueue::Weight)),
        Span {
            start: 0,
            end: i64::from(rows),
        },
    )];
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
            queues.push((queue(Unit::Mem(place.hemi, place.slice)), span));
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

//! MXM planes (machine.md section 3, MXM).

use std::collections::VecDeque;

use tspc_program::{ElemType, Hemisphere, Instr, MxmQueue, Source, Stream, Unit};

use crate::follow::{Chip, Now, outward};
use crate::lines::{Point, Spot};
use crate::report::Place;
use crate::rule::Rule;
use crate::token::Token;
use crate::uses::SLOTS;

/// A plane's buffers, and the activations on their way to the accumulate queue.
#[derive(Default)]
pub(crate) struct Plane {
    spare: Spare,
    /// The `iw`, with its K half if fp16.
    installed: Option<(Token, Option<u8>)>,
    /// Cycle of the last `iw`.
    installed_at: Option<u64>,
    /// When each activation must meet its accumulate instruction, in order.
    pending: VecDeque<(u64, Token)>,
}

struct Spare {
    /// Bit j: group j was loaded since the last `iw`.
    loaded: u64,
    groups: [Token; SLOTS],
    /// K half of the last load, if fp16.
    f16: Option<u8>,
}

impl Default for Spare {
    fn default() -> Spare {
        Spare {
            loaded: 0,
            groups: [Token::NOTHING; SLOTS],
            f16: None,
        }
    }
}

/// The fp16 unit of a hemisphere.
#[derive(Default)]
pub(crate) struct Half {
    /// First cycle of fp16, once there is one, and last cycle of an instruction or result so far.
    busy: Option<(u64, u64)>,
    /// Dispatches of the odd plane after the first: faults as soon as fp16 is seen to go on.
    odd: Vec<Now>,
}

fn weights_name(f16: Option<u8>) -> String {
    f16.map_or("int8".into(), |p| format!("fp16 half {p}"))
}

impl Chip<'_> {
    /// State changes and results, in queue order: weights, then activations, then accumulation.
    pub(crate) fn mxm_drives(&mut self, now: Now, instr: &Instr, hemi: Hemisphere, plane: u8) {
        if plane == 1 {
            self.odd_dispatch(now, hemi);
        }
        let p = 2 * hemi.index() + usize::from(plane);
        match *instr {
            Instr::Lw { j, step, f16, .. } => {
                let group = i64::from(j) + i64::from(now.iteration) * i64::from(step);
                self.load(now, p, group as usize, f16);
                if f16.is_some() {
                    self.f16_until(hemi, now.cycle, now.cycle);
                    // The odd plane's array becomes part of the unit.
                    self.planes[p | 1].spare.loaded = 0;
                    self.planes[p | 1].installed = None;
                }
            }
            Instr::Iw { n, f16 } => {
                self.install(now, p, n, f16);
                if f16.is_some() {
                    self.f16_until(hemi, now.cycle, now.cycle);
                }
            }
            Instr::Act { ty, .. } => {
                self.activate(now, p, ty);
                if ty == ElemType::F16 {
                    let delay = self.m.mxm_act_to_accumulate + self.m.mxm_accumulate_to_result;
                    self.f16_until(hemi, now.cycle, now.cycle + u64::from(delay));
                }
            }
            Instr::Out { d } | Instr::Acc { d, .. } => {
                self.accumulate(now, p);
                let cycle = now.cycle + u64::from(self.m.mxm_accumulate_to_result);
                for byte in 0..4 {
                    let stream = Stream {
                        dir: hemi.inward(),
                        id: d + byte,
                    };
                    self.put(
                        now,
                        Spot {
                            stream,
                            point: Point::RESULT,
                        },
                        cycle,
                        now.token().of_value(byte, 4),
                    );
                }
            }
            Instr::Drop => self.accumulate(now, p),
            _ => {}
        }
    }

    pub(crate) fn mxm_takes(&mut self, now: Now, instr: &Instr, hemi: Hemisphere) {
        if let Instr::Act {
            stream,
            ty: ty @ (ElemType::I8 | ElemType::U8),
        } = *instr
        {
            let spot = Spot {
                stream: outward(hemi, stream),
                point: Point::PORT,
            };
            return self.get_byte_alone(now, 0, ty == ElemType::I8, spot, now.cycle);
        }
        // Streams that carry one element, side by side.
        let (first, count, width) = match *instr {
            Instr::Lw { b, f16, .. } => (b, 16, if f16.is_some() { 2 } else { 1 }),
            Instr::Act { stream, ty } => (stream, ty.bytes(), ty.bytes()),
            Instr::Acc { s, .. } => (s, 4, 4),
            _ => return,
        };
        for i in 0..count {
            let spot = Spot {
                stream: outward(hemi, first + i),
                point: Point::PORT,
            };
            self.get_byte(now, i, i % width, spot, now.cycle);
        }
    }

    fn load(&mut self, now: Now, p: usize, group: usize, f16: Option<u8>) {
        let ready = self.planes[p]
            .installed_at
            .map_or(0, |at| at + u64::from(self.m.mxm_iw_to_lw));
        if now.cycle < ready {
            self.violation(Rule::LwTooEarly, now, || {
                format!("the plane installs until {ready}")
            });
        }
        let spare = &mut self.planes[p].spare;
        let other = (spare.loaded != 0 && spare.f16 != f16).then_some(spare.f16);
        spare.f16 = f16;
        spare.loaded |= 1 << group;
        spare.groups[group] = now.token();
        if let Some(other) = other {
            self.violation(Rule::WeightForm, now, || {
                format!("loads {} beside {}", weights_name(f16), weights_name(other))
            });
        }
    }

    fn install(&mut self, now: Now, p: usize, n: u8, f16: Option<u8>) {
        let plane = &mut self.planes[p];
        let spare = std::mem::take(&mut plane.spare);
        plane.installed = Some((now.token(), f16));
        plane.installed_at = Some(now.cycle);
        let missing = (0..n).find(|j| spare.loaded & 1 << j == 0);
        if let Some(j) = missing {
            let loaded = spare.loaded.count_ones();
            let message =
                || format!("group {j} of {n} was not loaded since the last iw ({loaded} were)");
            self.violation(Rule::IwGroups, now, message);
        } else if spare.f16 != f16 {
            let (asked, there) = (weights_name(f16), weights_name(spare.f16));
            self.violation(Rule::WeightForm, now, || {
                format!("installs {asked}, {there} is loaded")
            });
        }
        let timed = self.uses.of_site(now.site).iter().find_map(|&i| {
            match self.program.uses[i as usize].source {
                Source::Clock { cycle } => Some(cycle),
                _ => None,
            }
        });
        if let Some(cycle) = timed.filter(|cycle| *cycle != now.cycle) {
            let message = || format!("expected in cycle {cycle}");
            self.violation(Rule::InstallTime, now, message);
        }
        for j in (0..n).filter(|j| spare.loaded & 1 << j != 0) {
            self.compare(now, j, spare.groups[usize::from(j)], || {
                format!("group {j}")
            });
        }
    }

    fn activate(&mut self, now: Now, p: usize, ty: ElemType) {
        let due = now.cycle + u64::from(self.m.mxm_act_to_accumulate);
        self.planes[p].pending.push_back((due, now.token()));
        let ready = self.planes[p]
            .installed_at
            .map_or(0, |at| at + u64::from(self.m.mxm_iw_to_act));
        if now.cycle < ready {
            self.violation(Rule::ActTooEarly, now, || {
                format!("the plane installs until {ready}")
            });
        } else if let Some((iw, f16)) = self.planes[p].installed {
            if (ty == ElemType::F16) != f16.is_some() {
                let weights = weights_name(f16);
                let message = || format!("{} activations meet {weights} weights", ty.name());
                self.violation(Rule::WeightForm, now, message);
            }
            self.compare(now, 2, iw, || "the set of weights".into());
        } else {
            self.violation(Rule::ActWithoutWeights, now, || {
                "nothing is installed".into()
            });
        }
    }

    fn accumulate(&mut self, now: Now, p: usize) {
        self.report_unmet(p, now.cycle);
        match self.planes[p].pending.front() {
            Some(&(due, act)) if due == now.cycle => {
                self.planes[p].pending.pop_front();
                self.compare(now, 4, act, || "the row".into());
            }
            _ => {
                let ago = self.m.mxm_act_to_accumulate;
                let message = || format!("no activation was dispatched {ago} cycles before");
                self.violation(Rule::AccumulateUnmet, now, message);
            }
        }
    }

    /// Activations that were due before `cycle` and met nothing.
    fn report_unmet(&mut self, p: usize, cycle: u64) {
        while let Some(&(due, act)) = self.planes[p].pending.front()
            && due < cycle
        {
            self.planes[p].pending.pop_front();
            if let crate::token::Maker::Dispatch { site, iteration } = act.maker() {
                let place = Place::Dispatch { site, iteration };
                let message = || format!("the accumulate queue dispatches nothing in cycle {due}");
                self.log.push(Rule::ActUnmet, place, None, message);
            }
        }
    }

    /// At the end of the program.
    pub(crate) fn finish_planes(&mut self) {
        for p in 0..self.planes.len() {
            self.report_unmet(p, u64::MAX);
        }
    }

    fn odd_dispatch(&mut self, now: Now, hemi: Hemisphere) {
        let Some((_, until)) = self.halves[hemi.index()].busy else {
            return;
        };
        if now.cycle <= until {
            self.report_odd(now, hemi);
        } else {
            self.halves[hemi.index()].odd.push(now);
        }
    }

    /// fp16 goes on from `cycle` to `until`: what the odd plane did meanwhile was a fault.
    fn f16_until(&mut self, hemi: Hemisphere, cycle: u64, until: u64) {
        let half = &mut self.halves[hemi.index()];
        let busy = half.busy.get_or_insert((cycle, until));
        busy.1 = busy.1.max(until);
        for odd in std::mem::take(&mut half.odd) {
            self.report_odd(odd, hemi);
        }
    }

    fn report_odd(&mut self, odd: Now, hemi: Hemisphere) {
        let Some((first, _)) = self.halves[hemi.index()].busy else {
            return;
        };
        let even = Unit::Mxm(hemi, 0, MxmQueue::Weight);
        let message = || format!("fp16 runs since cycle {first} ({even}) and goes on");
        self.violation(Rule::OddPlane, odd, message);
    }
}

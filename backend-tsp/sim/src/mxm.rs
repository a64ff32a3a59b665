//! The MXM of one hemisphere: two int8 planes, or one fp16 unit (machine.md section 3).
//!
//! A row is multiplied when it dispatches, so that a later `iw` cannot touch it, and waits in a ring for
//! its instruction of the accumulate queue.

use tspc_machine::Machine;
use tspc_program::{Direction, ElemType, Hemisphere, Instr, Stream};

use crate::arith::{self, Lanes};
use crate::fabric::{Fabric, Target};
use crate::fault::{Check, Dispatch, FaultKind};
use crate::matvec::{HALF, WeightsF16, WeightsI8};
use crate::pool::LANES;

/// Columns of an int8 and of an fp16 weight group.
const GROUP_I8: usize = 16;
const GROUP_F16: usize = 8;

/// Delays of the MXM.
#[derive(Clone, Copy, Debug)]
struct Delays {
    act_to_accumulate: u64,
    accumulate_to_result: u64,
    iw_to_act: u64,
    iw_to_lw: u64,
}

/// A row that waits for its accumulate instruction.
struct Row {
    due: u64,
    by: Dispatch,
    /// fp32 sums instead of int32.
    float: bool,
    sums: Lanes,
}

struct Plane {
    spare: WeightsI8,
    array: WeightsI8,
    /// Bit j: group j of the spare buffer was loaded since the last `iw`.
    loaded: u32,
    /// Groups of the installed int8 weights.
    installed: Option<u8>,
    last_iw: Option<u64>,
    rows: Vec<Option<Row>>,
    acts: u64,
}

/// The two planes as one fp16 unit.
struct UnitF16 {
    spare: WeightsF16,
    array: WeightsF16,
    /// Per K half, bit j: group j was loaded for it since the last `iw`.
    loaded: [u64; 2],
    /// Groups and K half of the installed weights.
    installed: Option<(u8, u8)>,
    /// The last cycle known to lie between the first fp16 `lw` and the last fp16 result.
    busy_until: Option<u64>,
    /// The odd plane's first dispatch after that cycle.
    odd: Option<Dispatch>,
}

/// Both planes of a hemisphere.
pub struct Mxm {
    hemi: Hemisphere,
    delays: Delays,
    planes: [Plane; 2],
    unit: UnitF16,
    waiting: usize,
}

impl Mxm {
    /// Empty.
    pub fn new(hemi: Hemisphere, machine: &Machine) -> Mxm {
        let rows = (machine.mxm_act_to_accumulate as usize + 1).next_power_of_two();
        let plane = || Plane {
            spare: WeightsI8::new(),
            array: WeightsI8::new(),
            loaded: 0,
            installed: None,
            last_iw: None,
            rows: (0..rows).map(|_| None).collect(),
            acts: 0,
        };
        Mxm {
            hemi,
            delays: Delays {
                act_to_accumulate: machine.mxm_act_to_accumulate.into(),
                accumulate_to_result: machine.mxm_accumulate_to_result.into(),
                iw_to_act: machine.mxm_iw_to_act.into(),
                iw_to_lw: machine.mxm_iw_to_lw.into(),
            },
            planes: [plane(), plane()],
            unit: UnitF16 {
                spare: WeightsF16::new(),
                array: WeightsF16::new(),
                loaded: [0; 2],
                installed: None,
                busy_until: None,
                odd: None,
            },
            waiting: 0,
        }
    }

    /// Activations that plane 0 or 1 took.
    pub fn acts(&self, plane: usize) -> u64 {
        self.planes[plane].acts
    }

    /// Whether rows wait for their accumulate instruction.
    pub fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Executes an instruction that validation has accepted for this plane.
    pub fn execute(
        &mut self,
        fabric: &mut Fabric,
        plane: u8,
        instr: &Instr,
        by: Dispatch,
    ) -> Check {
        let plane = usize::from(plane);
        if plane == 1 {
            self.odd_dispatch(fabric.cycle, by)?;
        }
        match *instr {
            Instr::Lw { j, step, b, f16 } => {
                let j = i64::from(j) + i64::from(by.iteration) * i64::from(step);
                self.lw(fabric, plane, j, b, f16)
            }
            Instr::Iw { n, f16: None } => self.iw_i8(fabric.cycle, plane, n),
            Instr::Iw { n, f16: Some(p) } => self.iw_f16(fabric.cycle, n, p),
            Instr::Act { stream, ty } => self.act(fabric, plane, stream, ty, by),
            Instr::Out { d } => {
                let row = self.meet(fabric.cycle, plane)?;
                self.result(fabric, d, &row.sums, by);
                Ok(())
            }
            Instr::Acc { s, d } => {
                let mut row = self.meet(fabric.cycle, plane)?;
                self.add(fabric, s, &mut row)?;
                self.result(fabric, d, &row.sums, by);
                Ok(())
            }
            Instr::Drop => self.meet(fabric.cycle, plane).map(|_| ()),
            _ => Err(FaultKind::WrongUnit.because("the MXM does not execute this instruction")),
        }
    }

    /// Every row whose cycle this was must have met its instruction.
    pub fn end_cycle(&mut self, cycle: u64) -> Check {
        for plane in &self.planes {
            let slot = cycle as usize & (plane.rows.len() - 1);
            if let Some(row) = &plane.rows[slot]
                && row.due == cycle
            {
                let message = "no out, acc or drop meets this activation in this cycle";
                return Err(FaultKind::UnmatchedAct.blame(row.by, message));
            }
        }
        Ok(())
    }

    fn outward(&self, id: u8) -> Stream {
        Stream {
            dir: self.hemi.outward(),
            id,
        }
    }

    fn odd_dispatch(&mut self, cycle: u64, by: Dispatch) -> Check {
        match self.unit.busy_until {
            Some(until) if cycle <= until => Err(FaultKind::OddPlane
                .because(format!("the fp16 unit is busy until {until} at least"))),
            Some(_) => {
                self.unit.odd.get_or_insert(by);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The fp16 unit works until cycle `until`, and has since its first `lw`.
    fn busy(&mut self, until: u64) -> Check {
        if let Some(odd) = self.unit.odd {
            let message = "the fp16 unit was busy before this and is again after it";
            return Err(FaultKind::OddPlane.blame(odd, message));
        }
        self.unit.busy_until = self.unit.busy_until.max(Some(until));
        Ok(())
    }

    fn lw(&mut self, fabric: &Fabric, plane: usize, j: i64, b: u8, f16: Option<u8>) -> Check {
        if let Some(iw) = self.planes[plane].last_iw
            && fabric.cycle < iw + self.delays.iw_to_lw
        {
            return Err(FaultKind::LwAfterIw.because(format!(
                "iw at {iw}, the next lw not before {}",
                iw + self.delays.iw_to_lw
            )));
        }
        let columns = if f16.is_some() { GROUP_F16 } else { GROUP_I8 };
        let groups = LANES / columns;
        let j = usize::try_from(j)
            .ok()
            .filter(|j| *j < groups)
            .ok_or_else(|| {
                FaultKind::GroupRange.because(format!("group {j}, expected 0…{}", groups - 1))
            })?;
        let port = fabric.timing.port;
        match f16 {
            None => {
                for i in 0..GROUP_I8 {
                    let bytes = fabric.take(self.outward(b + i as u8), port)?;
                    self.planes[plane].spare.set_column(GROUP_I8 * j + i, bytes);
                }
                self.planes[plane].loaded |= 1 << j;
                // The same storage: fp16 groups that were loaded are gone.
                self.unit.loaded = [0; 2];
            }
            Some(p) => {
                self.busy(fabric.cycle)?;
                for i in 0..GROUP_F16 {
                    let low = fabric.take(self.outward(b + 2 * i as u8), port)?;
                    let high = fabric.take(self.outward(b + 2 * i as u8 + 1), port)?;
                    let lanes = HALF * usize::from(p)..HALF * usize::from(p + 1);
                    for (k, (low, high)) in low[lanes.clone()].iter().zip(&high[lanes]).enumerate()
                    {
                        let bits = u16::from_le_bytes([*low, *high]);
                        self.unit.spare.set(k, GROUP_F16 * j + i, bits);
                    }
                }
                self.unit.loaded[usize::from(p)] |= 1 << j;
                self.unit.loaded[usize::from(1 - p)] &= !(1 << j);
                self.planes.iter_mut().for_each(|plane| plane.loaded = 0);
            }
        }
        Ok(())
    }

    fn iw_i8(&mut self, cycle: u64, plane: usize, n: u8) -> Check {
        let plane = &mut self.planes[plane];
        all_loaded(plane.loaded.into(), n)?;
        std::mem::swap(&mut plane.spare, &mut plane.array);
        plane.loaded = 0;
        plane.installed = Some(n);
        plane.last_iw = Some(cycle);
        self.unit.installed = None;
        Ok(())
    }

    fn iw_f16(&mut self, cycle: u64, n: u8, p: u8) -> Check {
        self.busy(cycle)?;
        all_loaded(self.unit.loaded[usize::from(p)], n)?;
        std::mem::swap(&mut self.unit.spare, &mut self.unit.array);
        self.unit.loaded = [0; 2];
        self.unit.installed = Some((n, p));
        for plane in &mut self.planes {
            plane.installed = None;
            plane.last_iw = Some(cycle);
        }
        Ok(())
    }

    fn act(
        &mut self,
        fabric: &Fabric,
        plane: usize,
        stream: u8,
        ty: ElemType,
        by: Dispatch,
    ) -> Check {
        let cycle = fabric.cycle;
        if let Some(iw) = self.planes[plane].last_iw
            && cycle < iw + self.delays.iw_to_act
        {
            return Err(FaultKind::ActDuringIw.because(format!(
                "iw at {iw}, the first activation with the new weights is at {}",
                iw + self.delays.iw_to_act
            )));
        }
        let float = ty == ElemType::F16;
        let (same, other) = match float {
            true => (
                self.unit.installed.is_some(),
                self.planes[plane].installed.is_some(),
            ),
            false => (
                self.planes[plane].installed.is_some(),
                self.unit.installed.is_some(),
            ),
        };
        if !same && other {
            let message = format!(
                "{} activations on {} weights",
                ty.name(),
                if float { "i8" } else { "f16" }
            );
            return Err(FaultKind::WeightType.because(message));
        }
        let due = cycle + self.delays.act_to_accumulate;
        let mut row = Row {
            due,
            by,
            float,
            sums: [0; LANES],
        };
        match (float, self.planes[plane].installed, self.unit.installed) {
            (false, Some(n), _) => self.multiply_i8(fabric, plane, stream, ty, n, &mut row.sums)?,
            (true, _, Some((n, p))) => {
                self.busy(due + self.delays.accumulate_to_result)?;
                self.multiply_f16(fabric, stream, n, p, &mut row.sums)?;
            }
            _ => return Err(FaultKind::NoWeights.because("no weights are installed")),
        }
        let plane = &mut self.planes[plane];
        let slot = due as usize & (plane.rows.len() - 1);
        plane.rows[slot] = Some(row);
        plane.acts += 1;
        self.waiting += 1;
        Ok(())
    }

    fn multiply_i8(
        &self,
        fabric: &Fabric,
        plane: usize,
        stream: u8,
        ty: ElemType,
        n: u8,
        sums: &mut Lanes,
    ) -> Check {
        let bytes = fabric.take(self.outward(stream), fabric.timing.port)?;
        let x = match ty {
            ElemType::U8 => bytes.map(i16::from),
            _ => bytes.map(|byte| i16::from(byte as i8)),
        };
        let mut products = [0; LANES];
        self.planes[plane].array.multiply(&x, &mut products);
        *sums = products.map(|sum| sum as u32);
        sums[GROUP_I8 * usize::from(n)..].fill(0);
        Ok(())
    }

    fn multiply_f16(&self, fabric: &Fabric, stream: u8, n: u8, p: u8, sums: &mut Lanes) -> Check {
        let port = fabric.timing.port;
        let (low, high) = (
            fabric.take(self.outward(stream), port)?,
            fabric.take(self.outward(stream + 1), port)?,
        );
        let first = HALF * usize::from(p);
        let x = std::array::from_fn(|k| {
            arith::f16_to_f32(u16::from_le_bytes([low[first + k], high[first + k]]))
        });
        self.unit.array.multiply(&x, sums);
        sums[GROUP_F16 * usize::from(n)..].fill(0);
        Ok(())
    }

    fn meet(&mut self, cycle: u64, plane: usize) -> Check<Row> {
        let rows = &mut self.planes[plane].rows;
        let slot = cycle as usize & (rows.len() - 1);
        match rows[slot].take_if(|row| row.due == cycle) {
            Some(row) => {
                self.waiting -= 1;
                Ok(row)
            }
            None => Err(FaultKind::UnmatchedAccumulate.because(format!(
                "no activation of the plane dispatched {} cycles before",
                self.delays.act_to_accumulate
            ))),
        }
    }

    fn add(&self, fabric: &Fabric, s: u8, row: &mut Row) -> Check {
        let mut partial = [0; LANES];
        for k in 0..4 {
            let bytes = fabric.take(self.outward(s + k), fabric.timing.port)?;
            for (lane, byte) in partial.iter_mut().zip(bytes) {
                *lane |= u32::from(*byte) << (8 * k);
            }
        }
        if row.float {
            for (sum, partial) in row.sums.iter_mut().zip(partial) {
                *sum = arith::acc_f32(*sum, partial);
            }
            return Ok(());
        }
        let mut overflow = 0;
        for (sum, partial) in row.sums.iter_mut().zip(partial) {
            let total = sum.wrapping_add(partial);
            // Overflow: both have one sign, the total the other.
            overflow |= (*sum ^ total) & (partial ^ total);
            *sum = total;
        }
        if overflow >> 31 == 1 {
            return Err(FaultKind::Overflow.because("the sum leaves the range of int32"));
        }
        Ok(())
    }

    fn result(&self, fabric: &mut Fabric, d: u8, sums: &Lanes, by: Dispatch) {
        let dir: Direction = self.hemi.inward();
        let target = Target::Position(fabric.timing.results());
        for k in 0..4 {
            let stream = Stream { dir, id: d + k };
            let out = fabric.emit(stream, target, self.delays.accumulate_to_result, by);
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = (sum >> (8 * k)) as u8;
            }
        }
    }
}

fn all_loaded(loaded: u64, n: u8) -> Check {
    let missing = (!loaded).trailing_zeros();
    if missing < u32::from(n) {
        let message = format!("group {missing} was not loaded since the last iw");
        return Err(FaultKind::MissingLw.because(message));
    }
    Ok(())
}

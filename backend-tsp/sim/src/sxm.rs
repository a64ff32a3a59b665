//! The SXM: distribute, transpose, permute, shift (machine.md section 3).

use tspc_machine::Machine;
use tspc_program::{Hemisphere, Instr, Stream, SxmMode, SxmUnit};

use crate::fabric::{Fabric, Target};
use crate::fault::{Check, Dispatch, FaultKind};
use crate::memory::SUPERLANE;
use crate::pool::{Bytes, LANES};

/// Streams of a transpose, and lanes of a superlane.
const SIDE: usize = 16;

/// Delays of the SXM.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    distribute: u64,
    transpose: u64,
    permute: u64,
    shift: u64,
    back: u64,
    on: u64,
}

impl Delays {
    /// From the machine file.
    pub fn new(machine: &Machine) -> Delays {
        Delays {
            distribute: machine.sxm_distribute.into(),
            transpose: machine.sxm_transpose.into(),
            permute: machine.sxm_permute.into(),
            shift: machine.sxm_shift.into(),
            back: machine.sxm_out_back.into(),
            on: machine.sxm_out_on.into(),
        }
    }

    /// 4 up to one superlane, one more for each further superlane that the lanes cross.
    fn shift(self, n: u16) -> u64 {
        self.shift + u64::from(n).div_ceil(SUPERLANE as u64) - 1
    }
}

/// One operation's view of the fabric.
struct Operation<'f> {
    fabric: &'f mut Fabric,
    hemi: Hemisphere,
    mode: SxmMode,
    delays: Delays,
    by: Dispatch,
}

impl Operation<'_> {
    fn take(&self, id: u8) -> Check<&Bytes> {
        let stream = Stream {
            dir: self.hemi.outward(),
            id,
        };
        self.fabric.take(stream, self.fabric.timing.sxm)
    }

    fn emit(&mut self, id: u8, delay: u64) -> &mut Bytes {
        let (dir, position, out) = match self.mode {
            SxmMode::Back => (
                self.hemi.inward(),
                self.fabric.timing.results(),
                self.delays.back,
            ),
            SxmMode::On => (self.hemi.outward(), self.fabric.timing.port, self.delays.on),
        };
        self.fabric.emit(
            Stream { dir, id },
            Target::Position(position),
            delay + out,
            self.by,
        )
    }
}

/// Executes an instruction that validation has accepted for this sub-unit.
pub fn execute(
    fabric: &mut Fabric,
    delays: Delays,
    hemi: Hemisphere,
    unit: SxmUnit,
    instr: &Instr,
    by: Dispatch,
) -> Check {
    let wrong = || FaultKind::WrongUnit.because("the SXM unit does not execute this instruction");
    let (Instr::Distribute { mode, .. }
    | Instr::Transpose { mode, .. }
    | Instr::Permute { mode, .. }
    | Instr::Shift { mode, .. }) = *instr
    else {
        return Err(wrong());
    };
    let sxm = Operation {
        fabric,
        hemi,
        mode,
        delays,
        by,
    };
    match (unit, *instr) {
        (SxmUnit::Distributor(q), Instr::Distribute { mask, map, dst, .. }) => {
            distribute(sxm, q, mask, map, dst)
        }
        (_, Instr::Transpose { src, dst, .. }) => transpose(sxm, src, dst),
        (
            _,
            Instr::Permute {
                src, w, map, dst, ..
            },
        ) => permute(sxm, src, w, map, dst),
        (unit, Instr::Shift { src, w, n, dst, .. }) => {
            shift(sxm, unit == SxmUnit::ShiftUp, src, w, n, dst)
        }
        _ => Err(wrong()),
    }
}

fn distribute(mut sxm: Operation, q: u8, mask: u8, map: u8, dst: u8) -> Check {
    let map = *sxm.take(map)?;
    for i in (0..8).filter(|i| mask >> i & 1 == 1) {
        let from = *sxm.take(8 * q + i)?;
        let delay = sxm.delays.distribute;
        let out = sxm.emit(dst + i, delay);
        for (lane, (out, source)) in out.iter_mut().zip(&map).enumerate() {
            let source = usize::from(*source);
            *out = if source < SUPERLANE {
                from[lane - lane % SUPERLANE + source]
            } else {
                0
            };
        }
    }
    Ok(())
}

fn transpose(mut sxm: Operation, src: u8, dst: u8) -> Check {
    let mut from = [[0; LANES]; SIDE];
    for (j, from) in from.iter_mut().enumerate() {
        *from = *sxm.take(src + j as u8)?;
    }
    for i in 0..SIDE {
        let delay = sxm.delays.transpose;
        let out = sxm.emit(dst + i as u8, delay);
        for (lane, out) in out.iter_mut().enumerate() {
            *out = from[lane % SIDE][lane - lane % SIDE + i];
        }
    }
    Ok(())
}

fn permute(mut sxm: Operation, src: u8, w: u8, map: u8, dst: u8) -> Check {
    let mut sources = [0usize; LANES];
    let mut named = [false; LANES];
    let (low, high) = (sxm.take(map)?, sxm.take(map + 1)?);
    for (lane, source) in sources.iter_mut().enumerate() {
        *source = usize::from(u16::from_le_bytes([low[lane], high[lane]]));
        let Some(named) = named.get_mut(*source) else {
            let message = format!("lane {lane} names source lane {source} of {LANES}");
            return Err(FaultKind::NotABijection.because(message));
        };
        if std::mem::replace(named, true) {
            let message = format!("lane {lane} names source lane {source} a second time");
            return Err(FaultKind::NotABijection.because(message));
        }
    }
    for i in 0..w {
        let from = *sxm.take(src + i)?;
        let delay = sxm.delays.permute;
        let out = sxm.emit(dst + i, delay);
        for (out, source) in out.iter_mut().zip(&sources) {
            *out = from[*source];
        }
    }
    Ok(())
}

fn shift(mut sxm: Operation, up: bool, src: u8, w: u8, n: u16, dst: u8) -> Check {
    let kept = LANES - usize::from(n);
    for i in 0..w {
        let from = *sxm.take(src + i)?;
        let delay = sxm.delays.shift(n);
        let out = sxm.emit(dst + i, delay);
        out.fill(0);
        if up {
            out[LANES - kept..].copy_from_slice(&from[..kept]);
        } else {
            out[..kept].copy_from_slice(&from[LANES - kept..]);
        }
    }
    Ok(())
}

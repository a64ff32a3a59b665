//! Moments of rows in fixed point: what `(moment x energy n)` is on the chip.
//!
//! The tiles of x, or of x², are added up lane by lane; the sum is converted to i32 in units of a power of two, and each
//! byte of it passes through ones, exactly. Horner's rule puts the sums of the bytes together again. The unit leaves
//! room for sixteen times the energy that calibration saw; beyond that sums saturate (decision 0015).

use egg::Id;
use tspc_ir::eval::{Array, Data};
use tspc_ir::{Elem, Loc};

use super::constants;
use super::plan::{Arg, NodeId, What, stream};
use super::terms::{Decoded, Term, Val};

/// How much larger than calibration saw the energy of a row may be before its sums saturate.
const HEADROOM: f64 = 16.0;

/// The bytes of the fixed point number that are summed, from the highest one on, for the first and the second moment:
/// a few lanes hold most of the energy of a row, so squares need more bits below them than the numbers themselves.
pub const fn bytes(power: usize) -> u8 {
    if power == 1 { 3 } else { 4 }
}

/// 2^e of the least unit such that so much fits an i32.
fn unit(limit: f64) -> i32 {
    let bits = limit.to_bits();
    let (exponent, fraction) = ((bits >> 52) as i32 - 1023, bits & ((1 << 52) - 1));
    (exponent + i32::from(fraction > 0) - 31).clamp(-126, 126)
}

/// 2^e as fp32.
fn power_of_two(e: i32) -> f32 {
    f32::from_bits(((e + 127) as u32) << 23)
}

impl Term<'_, '_> {
    /// The mean over the lanes of x (power 1) or x² (2).
    pub(super) fn moment(&mut self, i: usize, x: Id, energy: Id, n: Id) -> Decoded<NodeId> {
        let loc = self.instance.locs[i];
        let Val::Count(power) = self.vals[usize::from(n)] else {
            return Err(self.error(i, "the moment is not counted"));
        };
        let energy = match &self.vals[usize::from(energy)] {
            Val::Constant(Array {
                data: Data::F32(energy),
                ..
            }) => f64::from(energy[0]),
            _ => return Err(self.error(i, "the energy is not constant")),
        };
        let x = self.stored(usize::from(x))?;
        let lanes = self.plan()[x].ty.last();
        let parts = self.tiles(i, x)?;
        // |Σx| is at most √(lanes·Σx²).
        let unit = match power {
            1 => unit((HEADROOM * energy * lanes as f64).sqrt()),
            _ => unit(HEADROOM * energy),
        };
        let mut sum = None;
        for &part in &parts {
            let term = match power {
                1 => part,
                _ => self.alu("mul", [part, part], Elem::F32, loc),
            };
            sum = Some(match sum {
                None => term,
                Some(sum) => self.alu("add", [sum, term], Elem::F32, loc),
            });
        }
        let sum = sum.ok_or_else(|| self.error(i, "has no lanes"))?;
        let scaled = self.by(i, "mul", sum, power_of_two(-unit).to_bits(), Elem::F32)?;
        let fixed = self
            .plan()
            .alu("cvt", vec![Arg::Node(scaled)], Elem::I32, loc);
        let total = self.sum_of_bytes(i, fixed, bytes(power))?;
        let wide = self
            .plan()
            .alu("cvt", vec![Arg::Node(total)], Elem::F32, loc);
        let dropped = 8 * (4 - i32::from(bytes(power)));
        let step = f64::from(power_of_two(unit)) * f64::from(1u32 << dropped) / lanes as f64;
        self.by(i, "mul", wide, (step as f32).to_bits(), Elem::F32)
    }

    /// The tiles of a value, if they are alike, so that they can be added up; else the value. Of one that is the first
    /// lanes of another, the tiles of that, with nothing in further lanes.
    fn tiles(&mut self, i: usize, x: NodeId) -> Decoded<Vec<NodeId>> {
        let (loc, lanes) = (self.instance.locs[i], self.plan()[x].ty.last());
        let root = match self.plan()[x].what {
            What::Lanes(root, 0, _) => root,
            _ => x,
        };
        let ty = self.plan()[root].ty.clone();
        let cuts = self.decoder.cuts(ty.last());
        let apart = self.plan()[root].heads.is_some() || ty.rank() != 2;
        let uneven = cuts.iter().any(|c| c.count != cuts[0].count);
        if apart || uneven || lanes <= cuts[0].count {
            return Ok(vec![x]);
        }
        let mut tiles = Vec::new();
        for cut in cuts.into_iter().filter(|c| c.start < lanes) {
            let tile = self.plan().lanes(root, cut.start, cut.count, loc);
            tiles.push(match cut.end() > lanes {
                true => self.first_lanes(i, tile, lanes - cut.start)?,
                false => tile,
            });
        }
        Ok(tiles)
    }

    /// A tile with 0 behind so many lanes; both moments share it.
    fn first_lanes(&mut self, i: usize, tile: NodeId, first: usize) -> Decoded<NodeId> {
        if let Some(&known) = self.firsts.get(&(tile, first)) {
            return Ok(known);
        }
        let (lanes, loc) = (self.plan()[tile].ty.last(), self.instance.locs[i]);
        let row = (0..lanes).map(|l| if l < first { 1.0 } else { 0.0 });
        let row = Array::new(vec![1, lanes], Data::F32(row.collect()));
        let row = row.and_then(|row| row.to_const());
        let row = row.map_err(|e| self.error(i, &e))?;
        let ones = self.plan().constant(row, loc);
        let masked = self.alu("mul", [tile, ones], Elem::F32, loc);
        self.firsts.insert((tile, first), masked);
        Ok(masked)
    }

    /// The sum over the lanes of the highest bytes of an i32 value, in units of the lowest of them.
    fn sum_of_bytes(&mut self, i: usize, fixed: NodeId, bytes: u8) -> Decoded<NodeId> {
        let (ty, loc) = (self.plan()[fixed].ty.clone(), self.instance.locs[i]);
        let (mut total, mut ones) = (None, None);
        for byte in (4 - bytes..4).rev() {
            let elem = if byte == 3 { Elem::I8 } else { Elem::U8 };
            let plane = stream(ty.shape.clone(), elem);
            let plane = self.plan().add(What::Byte(fixed, byte), plane, loc, None);
            let ones = match ones {
                Some(ones) => ones,
                None => *ones.insert(self.ones(i, plane)?),
            };
            let sum = self.pass(plane, ones, Elem::I32, loc)?;
            total = Some(match total {
                None => sum,
                Some(total) => {
                    let total = self.by(i, "mul.sat", total, 256, Elem::I32)?;
                    self.alu("add.sat", [total, sum], Elem::I32, loc)
                }
            });
        }
        let total = total.ok_or_else(|| self.error(i, "has no bytes"))?;
        match bytes {
            4 => Ok(total),
            // What is left out is half a unit of each lane, on average.
            _ => self.by(i, "add.sat", total, ty.last() as u32 / 2, Elem::I32),
        }
    }

    fn alu(&mut self, op: &'static str, args: [NodeId; 2], elem: Elem, loc: Loc) -> NodeId {
        let args = args.map(Arg::Node).to_vec();
        self.plan().alu(op, args, elem, loc)
    }

    /// An operation with a number.
    fn by(
        &mut self,
        i: usize,
        op: &'static str,
        x: NodeId,
        bits: u32,
        elem: Elem,
    ) -> Decoded<NodeId> {
        let loc = self.instance.locs[i];
        let number = match self.decoder.numbers.vxm_immediates {
            true => Arg::Imm(bits),
            false => {
                let lanes = self.plan()[x].ty.last();
                let array = Array::new(vec![1], Data::from_lanes(elem, &[bits]));
                let row = array.and_then(|a| constants::rows(&a, lanes));
                let row = row.map_err(|e| self.error(i, &e))?;
                Arg::Node(self.plan().constant(row, loc))
            }
        };
        Ok(self.plan().alu(op, vec![Arg::Node(x), number], elem, loc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_the_least_that_hold_the_limit() {
        for (limit, e) in [(1.0, -31), (1.5, -30), (2f64.powi(31), 0), (1e-40, -126)] {
            assert_eq!(unit(limit), e, "{limit}");
            assert_eq!(power_of_two(e), 2f32.powi(e));
        }
    }
}

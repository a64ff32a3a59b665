//! SXM sub-units (machine.md section 3, SXM).

use tspc_program::{Hemisphere, Instr, Stream, SxmMode, SxmUnit};

use crate::follow::{Chip, Now, outward};
use crate::lines::{Point, Spot};
use crate::rule::Rule;
use crate::token::Token;

/// The image words of the last permutation that was found to be one: maps are used many times in a row.
#[derive(Default)]
pub(crate) struct GoodMap(Option<(usize, usize)>);

impl Chip<'_> {
    /// Takes the operands of an operation and puts its results.
    pub(crate) fn sxm(&mut self, now: Now, instr: &Instr, hemi: Hemisphere, unit: SxmUnit) {
        let m = self.m;
        let mut results = [None; 16];
        let (delay, dst, mode) = match (*instr, unit) {
            (
                Instr::Distribute {
                    mask,
                    map,
                    dst,
                    mode,
                },
                SxmUnit::Distributor(q),
            ) => {
                for i in (0..8).filter(|i| mask & 1 << i != 0) {
                    results[usize::from(i)] = Some(self.sxm_takes_one(now, hemi, i, 8 * q + i));
                }
                self.sxm_takes_one(now, hemi, 8, map);
                (m.sxm_distribute, dst, mode)
            }
            (Instr::Transpose { src, dst, mode }, _) => {
                let taken: Vec<_> = (0..16)
                    .map(|i| self.sxm_takes_one(now, hemi, i, src + i))
                    .collect();
                results = [Some(Token::moved(now.token(), &taken)); 16];
                (m.sxm_transpose, dst, mode)
            }
            (
                Instr::Permute {
                    src,
                    w,
                    map,
                    dst,
                    mode,
                },
                _,
            ) => {
                for i in 0..w {
                    results[usize::from(i)] = Some(self.sxm_takes_one(now, hemi, i, src + i));
                }
                let low = self.sxm_takes_one(now, hemi, 4, map);
                let high = self.sxm_takes_one(now, hemi, 5, map + 1);
                self.check_permutation(now, low, high);
                (m.sxm_permute, dst, mode)
            }
            (
                Instr::Shift {
                    src,
                    w,
                    n,
                    dst,
                    mode,
                },
                _,
            ) => {
                for i in 0..w {
                    results[usize::from(i)] = Some(self.sxm_takes_one(now, hemi, i, src + i));
                }
                let superlanes = u32::from(n).div_ceil(m.lanes_per_superlane);
                (m.sxm_shift + superlanes - 1, dst, mode)
            }
            _ => return,
        };
        let (dir, point, out) = match mode {
            SxmMode::Back => (hemi.inward(), Point::RESULT, m.sxm_out_back),
            SxmMode::On => (hemi.outward(), Point::PORT, m.sxm_out_on),
        };
        let cycle = now.cycle + u64::from(delay) + u64::from(out);
        for (i, value) in (0..).zip(results) {
            let Some(value) = value else { continue };
            let stream = Stream { dir, id: dst + i };
            let token = Token::moved(now.token(), &[value]);
            self.put(now, Spot { stream, point }, cycle, token);
        }
    }

    fn sxm_takes_one(&mut self, now: Now, hemi: Hemisphere, slot: u8, id: u8) -> Token {
        let spot = Spot {
            stream: outward(hemi, id),
            point: Point::SXM_IN,
        };
        match now.cycle.checked_sub(u64::from(self.m.sxm_in)) {
            Some(cycle) => self.get(now, slot, spot, cycle),
            None => {
                let message = || format!("slot {slot}: {spot} is taken before cycle 0");
                self.violation(Rule::OperandMissing, now, message);
                Token::NOTHING
            }
        }
    }

    fn check_permutation(&mut self, now: Now, low: Token, high: Token) {
        let words = low.constant().zip(high.constant());
        if words.is_some() && words == self.good_map.0 {
            return;
        }
        let Some(low) = self.constant_map(now, low).map(<[u8]>::to_vec) else {
            return;
        };
        let Some(high) = self.constant_map(now, high) else {
            return;
        };
        let mut named = [false; 320];
        for (lane, (&low, &high)) in low.iter().zip(high).enumerate() {
            let source = u16::from_le_bytes([low, high]);
            match named.get_mut(usize::from(source)) {
                Some(seen) if !*seen => *seen = true,
                _ => {
                    let message = || {
                        format!(
                            "lane {lane} takes lane {source}, which is taken already or is none"
                        )
                    };
                    return self.violation(Rule::MapBijection, now, message);
                }
            }
        }
        self.good_map.0 = words;
    }
}

//! Bounds of the values that an instruction takes, followed back through `uses` to where they are made.
//!
//! Before: the checker accepts the program, so that `uses` is true and the bytes of a value come from one value in
//! order. Lanes stay apart in memory and in an ALU, so a bound of every lane is a bound of what is made of them.
//! Knows the few forms that softmax is made of, and says nothing of all others.

use std::collections::BTreeMap;

use tspc::program::{
    AluInstr, AluOp, Consumer, ElemType, Instr, LANES, Operand, Program, Site, Source, Unit, Use,
    WordAddress,
};

/// Who made a value: one iteration of an instruction, or the image.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Maker {
    Dispatch(Site, u32),
    Word(WordAddress),
}

/// Least and greatest.
pub type Range = (f64, f64);

pub struct Bounds<'a> {
    program: &'a Program,
    uses: BTreeMap<(Site, u8), Vec<&'a Use>>,
}

impl<'a> Bounds<'a> {
    pub fn new(program: &'a Program) -> Bounds<'a> {
        let mut uses: BTreeMap<_, Vec<&Use>> = BTreeMap::new();
        for u in &program.uses {
            if let Consumer::Instr(site) = u.consumer {
                uses.entry((site, u.slot)).or_default().push(u);
            }
        }
        Bounds { program, uses }
    }

    fn instr(&self, site: Site) -> Instr {
        self.program.queues[site.queue.index()][site.index as usize]
    }

    /// Who made what an iteration takes in a slot.
    fn source(&self, site: Site, slot: u8, i: u32) -> Option<Maker> {
        let covers = |u: &&&Use| (u.first..u.first + u.count).contains(&i);
        let u = self.uses.get(&(site, slot))?.iter().find(covers)?;
        let ahead = i64::from(i - u.first);
        match u.source {
            Source::Dispatch { site, first, step } => {
                let made = i64::from(first) + ahead * i64::from(step);
                Some(Maker::Dispatch(site, u32::try_from(made).ok()?))
            }
            Source::Image { word, step } => {
                let Unit::Mem(hemi, slice) = site.queue.unit() else {
                    return None;
                };
                let addr = u16::try_from(i64::from(word) + ahead * i64::from(step)).ok()?;
                Some(Maker::Word(WordAddress { hemi, slice, addr }))
            }
            Source::Clock { .. } => None,
        }
    }

    /// Who computed what an iteration takes in a slot, before memory and copies.
    fn origin(&self, site: Site, slot: u8, i: u32) -> Option<Maker> {
        let mut maker = self.source(site, slot, i)?;
        loop {
            let Maker::Dispatch(site, i) = maker else {
                return Some(maker);
            };
            maker = match self.instr(site) {
                Instr::Mem { .. } => match self.source(site, 0, i)? {
                    Maker::Dispatch(write, i) => self.source(write, 2, i)?,
                    word => word,
                },
                Instr::Alu(AluInstr {
                    op: AluOp::Copy, ..
                }) => self.source(site, slot % 4, i)?,
                _ => return Some(maker),
            };
        }
    }

    /// Who computed an operand of an ALU of which `first` is the slot of the first byte.
    fn operand(&self, site: Site, first: u8, i: u32) -> Option<Maker> {
        let Instr::Alu(alu) = self.instr(site) else {
            return None;
        };
        let Some(Operand::Stream { ty, .. }) = (if first == 0 { Some(alu.a) } else { alu.b })
        else {
            return None;
        };
        let maker = self.origin(site, first, i)?;
        let same = |slot| self.origin(site, slot, i) == Some(maker);
        (first..first + ty.bytes()).all(same).then_some(maker)
    }

    /// Whether a maximum has a value among its operands, so that it is nowhere less.
    fn dominates(&self, maximum: Maker, value: Maker) -> bool {
        let Maker::Dispatch(site, i) = maximum else {
            return false;
        };
        maximum == value
            || matches!(
                self.instr(site),
                Instr::Alu(AluInstr { op: AluOp::Max, .. })
            ) && [0, 4].iter().any(|&first| {
                self.operand(site, first, i)
                    .is_some_and(|operand| self.dominates(operand, value))
            })
    }

    /// The bounds of what a slot takes.
    pub fn taken(&self, site: Site, slot: u8, i: u32) -> Option<Range> {
        match self.instr(site) {
            Instr::Alu(_) => self.made(self.operand(site, slot, i)?),
            _ => self.made(self.origin(site, slot, i)?),
        }
    }

    fn made(&self, maker: Maker) -> Option<Range> {
        let (site, i) = match maker {
            Maker::Word(word) => return self.bytes(word).map(of_bytes),
            Maker::Dispatch(site, i) => (site, i),
        };
        match self.instr(site) {
            Instr::Alu(alu) => self.computed(alu, site, i),
            Instr::Out { .. } => self.product(site, i),
            _ => None,
        }
    }

    fn computed(&self, alu: AluInstr, site: Site, i: u32) -> Option<Range> {
        match alu.op {
            // exp(x − max(…, x, …)); that of a NaN becomes 0 in the conversion.
            AluOp::Exp => {
                let Maker::Dispatch(sub, i) = self.operand(site, 0, i)? else {
                    return None;
                };
                let (value, maximum) = (self.operand(sub, 0, i)?, self.operand(sub, 4, i)?);
                let below = matches!(self.instr(sub), Instr::Alu(AluInstr { op: AluOp::Sub, .. }))
                    && self.dominates(maximum, value);
                below.then_some((0.0, 1.0))
            }
            AluOp::Mul if alu.ty == ElemType::F32 && alu.b == Some(Operand::Imm) => {
                let factor = f64::from(f32::from_bits(alu.imm));
                let (least, greatest) = self.taken(site, 0, i)?;
                (factor >= 0.0).then_some((least * factor, greatest * factor))
            }
            AluOp::Convert if alu.ty == ElemType::I8 => {
                let (least, greatest) = self.taken(site, 0, i)?;
                Some((least.round_ties_even(), greatest.round_ties_even()))
            }
            _ => None,
        }
    }

    /// Activations of the image with weights that are not negative.
    fn product(&self, out: Site, i: u32) -> Option<Range> {
        let Maker::Dispatch(act, i) = self.source(out, 4, i)? else {
            return None;
        };
        let (Maker::Word(word), Maker::Dispatch(iw, at)) =
            (self.origin(act, 0, i)?, self.source(act, 2, i)?)
        else {
            return None;
        };
        let x = self.bytes(word)?;
        let Instr::Iw { n, f16: None } = self.instr(iw) else {
            return None;
        };
        let mut greatest = 0.0;
        for j in 0..n {
            let Maker::Dispatch(lw, at) = self.source(iw, j, at)? else {
                return None;
            };
            for slot in 0..16 {
                greatest = f64::max(greatest, self.column(lw, slot, at, x)?);
            }
        }
        (of_bytes(x).0 >= 0.0).then_some((0.0, greatest))
    }

    /// The greatest sum of activations with a weight column, both not negative; lanes that a map hides add nothing.
    fn column(&self, lw: Site, slot: u8, at: u32, x: &[u8]) -> Option<f64> {
        let (mut taker, mut shown) = ((lw, slot, at), None);
        if let Maker::Dispatch(site, i) = self.origin(lw, slot, at)?
            && let Instr::Distribute { .. } = self.instr(site)
        {
            let Maker::Word(map) = self.origin(site, 8, i)? else {
                return None;
            };
            (taker, shown) = ((site, slot % 8, i), Some(self.bytes(map)?));
        }
        let (least, greatest) = self.taken(taker.0, taker.1, taker.2)?;
        let lanes = x.iter().enumerate();
        let lanes = lanes.filter(|(l, _)| shown.is_none_or(|map| map[*l] < 16));
        let sum: f64 = lanes.map(|(_, x)| f64::from(x.cast_signed())).sum();
        (least >= 0.0).then_some(sum * greatest)
    }

    /// A word of the image.
    fn bytes(&self, word: WordAddress) -> Option<&'a [u8]> {
        let WordAddress { hemi, slice, addr } = word;
        self.program.image.iter().find_map(|s| {
            let at = usize::from(addr.checked_sub(s.addr)?) * LANES;
            let here = (s.hemi, s.slice) == (hemi, slice);
            s.bytes.get(at..at + LANES).filter(|_| here)
        })
    }
}

fn of_bytes(bytes: &[u8]) -> Range {
    let values = bytes.iter().map(|b| f64::from(b.cast_signed()));
    values.fold((f64::MAX, f64::MIN), |(least, greatest), x| {
        (least.min(x), greatest.max(x))
    })
}

//! Changes of the memory image, each of a byte that something depends on: who reads a word, and as what, is followed
//! through `uses`.
//!
//! The choice, stated: bytes that are zero stay, since padding is zeros; of an f32 vector the sign, the exponent and
//! the highest bit of the mantissa are changed, of an f16 the same and two bits more, of an int8 the sign and the
//! highest bit (others may vanish in a requantisation, or in a softmax, which a key's bias only reaches by rounding);
//! a map's lane takes another lane of its superlane, and the lanes of a map that select nothing stay.

use std::collections::BTreeMap;

use tspc::program::{
    Consumer, ElemType, Instr, LANES, Operand, Program, QueueId, Site, Source, Unit, Use,
    WordAddress,
};

use crate::subject::{Change, Place, Subject, below, one_of};
use crate::tiled::Seeded;

/// What a byte of the image is to its reader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// A weight: byte k of `size`.
    Weight { byte: u8, size: u8 },
    /// An operand of an ALU: byte k of `size`.
    Vector { byte: u8, size: u8 },
    /// The map of a distributor.
    Map,
}

/// For each word of the image that is read, its roles.
pub struct Readers(BTreeMap<WordAddress, Vec<Role>>);

impl Readers {
    pub fn new(program: &Program) -> Readers {
        let mut takers: BTreeMap<Site, Vec<(&Use, Role)>> = BTreeMap::new();
        for u in &program.uses {
            if let (Source::Dispatch { site, .. }, Some(role)) = (u.source, role(program, u)) {
                takers.entry(site).or_default().push((u, role));
            }
        }
        let mut roles: BTreeMap<WordAddress, Vec<Role>> = BTreeMap::new();
        for u in &program.uses {
            let (Source::Image { word, step }, Consumer::Instr(site)) = (u.source, u.consumer)
            else {
                continue;
            };
            let Unit::Mem(hemi, slice) = site.queue.unit() else {
                continue;
            };
            for i in 0..u.count {
                let addr = (i64::from(word) + i64::from(i) * i64::from(step)) as u16;
                let taken = takers.get(&site).into_iter().flatten();
                let taken = taken.filter(|(taker, _)| takes(taker, u.first + i));
                let word = WordAddress { hemi, slice, addr };
                roles.entry(word).or_default().extend(taken.map(|t| t.1));
            }
        }
        Readers(roles)
    }

    /// The one role of a word; `None` if it has several or none.
    fn role(&self, word: WordAddress) -> Option<Role> {
        let roles = self.0.get(&word)?;
        let first = *roles.first()?;
        roles.iter().all(|r| *r == first).then_some(first)
    }
}

/// Whether a record takes iteration `made` of its source.
fn takes(u: &Use, made: u32) -> bool {
    let Source::Dispatch { first, step, .. } = u.source else {
        return false;
    };
    let (ahead, step) = (i64::from(made) - i64::from(first), i64::from(step));
    match step {
        0 => ahead == 0,
        _ => ahead % step == 0 && (0..i64::from(u.count)).contains(&(ahead / step)),
    }
}

fn role(program: &Program, u: &Use) -> Option<Role> {
    let Consumer::Instr(site) = u.consumer else {
        return None;
    };
    match program.queues[site.queue.index()][site.index as usize] {
        Instr::Lw { f16, .. } => {
            let size = if f16.is_some() { 2 } else { 1 };
            Some(Role::Weight {
                byte: u.slot % size,
                size,
            })
        }
        Instr::Alu(alu) => {
            let operand = if u.slot < 4 { Some(alu.a) } else { alu.b };
            match operand {
                Some(Operand::Stream { ty, .. }) => Some(Role::Vector {
                    byte: u.slot % 4,
                    size: if ty == ElemType::F32 { 4 } else { 1 },
                }),
                _ => None,
            }
        }
        Instr::Distribute { .. } if u.slot == 8 => Some(Role::Map),
        _ => None,
    }
}

/// Bits of a byte that matter.
fn bits(role: Role) -> &'static [u8] {
    match role {
        Role::Weight { byte: 0, size: 2 } => &[7],
        Role::Weight { size: 2, .. } => &[7, 6, 5, 4, 3, 2, 1, 0],
        Role::Vector { byte: 2, size: 4 } => &[7, 6],
        Role::Vector { byte: 3, size: 4 } => &[7, 6, 5, 4, 3, 2, 1, 0],
        Role::Vector { size: 4, .. } => &[],
        Role::Weight { .. } | Role::Vector { .. } => &[7, 6],
        Role::Map => &[3, 2, 1, 0],
    }
}

pub fn weights(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    byte(s, dice, |role| matches!(role, Role::Weight { .. }))
}

pub fn vectors(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    byte(s, dice, |role| matches!(role, Role::Vector { .. }))
}

pub fn maps(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    byte(s, dice, |role| role == Role::Map)
}

fn byte(s: &Subject, dice: &mut Seeded, wanted: impl Fn(Role) -> bool) -> Option<Change> {
    let mut words = Vec::new();
    for (number, segment) in s.program.image.iter().enumerate() {
        for (i, addr) in (0..segment.bytes.len() / LANES).zip(segment.addr..) {
            let (hemi, slice) = (segment.hemi, segment.slice);
            let role = s.readers.role(WordAddress { hemi, slice, addr });
            if let Some(role) = role.filter(|r| wanted(*r) && !bits(*r).is_empty()) {
                words.push((number, i, role));
            }
        }
    }
    let (number, word, role) = one_of(dice, &words)?;
    let bytes = &s.program.image[number].bytes;
    let matters = |at: &usize| match role {
        Role::Map => bytes[*at] < 16,
        _ => bytes[*at] != 0,
    };
    let places: Vec<usize> = (word * LANES..(word + 1) * LANES).filter(matters).collect();
    let at = one_of(dice, &places)?;
    let bit = bits(role)[below(dice, bits(role).len() as u64) as usize];
    let mut program = s.program.clone();
    let segment = &mut program.image[number];
    segment.bytes[at] ^= 1 << bit;
    let queue: Option<QueueId> = Unit::Mem(segment.hemi, segment.slice).queue();
    let what = format!(
        "{} word {:#06x} lane {}: bit {bit} of a {role:?}",
        queue?,
        usize::from(segment.addr) + word,
        at % LANES
    );
    Some(Change {
        what,
        place: Place::Image {
            segment: number,
            byte: at,
        },
        program,
    })
}

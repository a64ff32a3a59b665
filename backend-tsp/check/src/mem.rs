//! MEM slices (machine.md section 3, MEM).

use tspc_program::{Hemisphere, MemAccess, MemPart, Stream};

use crate::follow::{Chip, Now};
use crate::instruction::bank;
use crate::lines::{Point, Spot};
use crate::memory::{word_name, word_number};
use crate::rule::Rule;
use crate::token::{Maker, Token};

/// Where a read part drives a stream.
fn driven(hemi: Hemisphere, slice: u8, stream: Stream) -> Spot {
    let group = slice / 4;
    let column = if stream.dir == hemi.outward() {
        group + 1
    } else {
        group
    };
    Spot {
        stream,
        point: Point::register(hemi, stream.dir, column),
    }
}

/// Where a write part, or a map, takes a stream.
fn taken(hemi: Hemisphere, slice: u8, stream: Stream) -> Spot {
    let group = slice / 4;
    let column = if stream.dir == hemi.outward() {
        group
    } else {
        group + 1
    };
    Spot {
        stream,
        point: Point::register(hemi, stream.dir, column),
    }
}

/// The word of this iteration; in range by the rule `bank-exit`.
fn direct(now: Now, hemi: Hemisphere, slice: u8, addr: u16, step: i16) -> usize {
    let addr = i64::from(addr) + i64::from(now.iteration) * i64::from(step);
    word_number(hemi, slice, addr as u16)
}

impl Chip<'_> {
    pub(crate) fn mem(
        &mut self,
        now: Now,
        hemi: Hemisphere,
        slice: u8,
        read: Option<&MemPart>,
        write: Option<&MemPart>,
    ) {
        if let Some(read) = read {
            let token = match read.access {
                MemAccess::Direct { addr, step } => {
                    let word = direct(now, hemi, slice, addr, step);
                    let value = self.read_word(now, word, None, 0);
                    now.token().copying(value)
                }
                MemAccess::Mapped { .. } => self.gather(now, hemi, slice, read),
            };
            let cycle = now.cycle + u64::from(self.m.mem_read_latency);
            self.put(now, driven(hemi, slice, read.stream), cycle, token);
        }
        let Some(write) = write else { return };
        let value = self.get(now, 2, taken(hemi, slice, write.stream), now.cycle);
        let readable = now.cycle + u64::from(self.m.mem_write_to_read);
        match write.access {
            MemAccess::Direct { addr, step } => {
                let word = direct(now, hemi, slice, addr, step);
                self.memory
                    .store(word, now.token().copying(value), readable);
            }
            MemAccess::Mapped { .. } => {
                let token = now.token().copying(value).without_word();
                let words = self.mapped_words(now, hemi, slice, write, 3);
                for (k, word) in words.into_iter().flatten().enumerate() {
                    self.memory.store_superlane(word, k, token, readable);
                }
            }
        }
    }

    /// The token of what is gathered: the byte that all superlanes agree on.
    fn gather(&mut self, now: Now, hemi: Hemisphere, slice: u8, read: &MemPart) -> Token {
        let words = self.mapped_words(now, hemi, slice, read, 1);
        let mut bytes = Vec::new();
        for (k, word) in words.into_iter().flatten().enumerate() {
            bytes.push(self.read_word(now, word, Some(k), 4 + k as u8));
        }
        Token::moved(now.token(), &bytes)
    }

    /// Takes the map of a mapped part; each superlane's word, if the map is known and in range.
    fn mapped_words(
        &mut self,
        now: Now,
        hemi: Hemisphere,
        slice: u8,
        part: &MemPart,
        slot: u8,
    ) -> Option<[usize; 20]> {
        let MemAccess::Mapped { map, .. } = part.access else {
            return None;
        };
        let map = self.get(now, slot, taken(hemi, slice, map), now.cycle);
        let bytes = self.constant_map(now, map)?;
        let mut words = [0; 20];
        for (k, word) in words.iter_mut().enumerate() {
            let addr = u16::from_le_bytes([bytes[16 * k], bytes[16 * k + 1]]);
            if addr > 4095 {
                let message = || format!("superlane {k} goes to word {addr}, expected 0…4095");
                self.violation(Rule::MapRange, now, message);
                return None;
            }
            *word = word_number(hemi, slice, addr | u16::from(bank(part)) << 12);
        }
        Some(words)
    }

    /// The bytes of a map, which must come from the image; a missing map has been reported already.
    pub(crate) fn constant_map(&mut self, now: Now, map: Token) -> Option<&[u8]> {
        if map.is_nothing() {
            return None;
        }
        let Some(word) = map.constant() else {
            let sites = self.sites;
            self.violation(Rule::MapConstant, now, || {
                format!(
                    "the map is made by {}, not a word of the image",
                    sites.describe(map)
                )
            });
            return None;
        };
        self.memory.image_bytes(word)
    }

    /// Reads a word, or superlane k of it, as operand `slot`.
    fn read_word(&mut self, now: Now, word: usize, k: Option<usize>, slot: u8) -> Token {
        let state = self.memory.word(word);
        if now.cycle < state.readable {
            let (sites, token) = (self.sites, state.token);
            self.violation(Rule::WriteToRead, now, || {
                let (word, writer) = (word_name(word), sites.describe(token));
                format!(
                    "{word}, written by {writer}, may be read {} cycles later",
                    state.readable - now.cycle
                )
            });
        }
        let token = match (state.token.maker(), k) {
            (Maker::Mixed(index), Some(k)) => self.memory.mixed(index)[k],
            (Maker::Mixed(index), None)
                if self.memory.mixed(index).iter().any(|t| t.is_nothing()) =>
            {
                Token::NOTHING
            }
            _ => state.token,
        };
        if token.is_nothing() {
            self.violation(Rule::ReadUndefined, now, || {
                format!(
                    "{} is neither in the image nor an input nor written",
                    word_name(word)
                )
            });
        } else {
            self.compare(now, slot, token, || word_name(word));
        }
        token
    }
}

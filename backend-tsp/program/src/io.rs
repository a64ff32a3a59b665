//! Inputs and outputs: between the bytes of a matrix and words of memory.
//!
//! Before: the entry is well-formed ([`Program::validate`](crate::Program::validate)); one that is not gives an
//! error, never a wrong word. The bytes are rows × cols little-endian elements, row after row.

use std::fmt;

use crate::instr::Address;
use crate::program::{IoEntry, WordRun};
use crate::unit::Hemisphere;

/// Lanes of a vector, and bytes of a word of memory.
pub const LANES: usize = 320;

/// A word of memory.
pub type Word = [u8; LANES];

/// The place of a word; prints as `MEM_W12:0x0010`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WordAddress {
    /// Hemisphere of the slice.
    pub hemi: Hemisphere,
    /// Slice 0…43.
    pub slice: u8,
    /// Word address with the bank in bit 12.
    pub addr: Address,
}

impl fmt::Display for WordAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MEM_{}{}:{:#06x}",
            self.hemi.letter(),
            self.slice,
            self.addr
        )
    }
}

impl WordRun {
    /// The words in order; `None` if one would leave the bank or come twice.
    pub fn words(self) -> Option<impl Iterator<Item = WordAddress> + use<>> {
        let last = i64::from(self.addr) + (i64::from(self.count) - 1).max(0) * i64::from(self.step);
        let in_bank = (0..0x2000).contains(&last) && last >> 12 == i64::from(self.addr) >> 12;
        let distinct = self.count <= 1 || self.step != 0;
        (in_bank && distinct).then(move || {
            (0..i64::from(self.count)).map(move |i| WordAddress {
                hemi: self.hemi,
                slice: self.slice,
                addr: (i64::from(self.addr) + i * i64::from(self.step)) as Address,
            })
        })
    }
}

/// Why data do not fit an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PackError {
    /// The data have another length.
    Length {
        /// Name of the entry.
        name: String,
        /// Bytes that rows × cols elements take.
        expected: u64,
        /// Bytes of the data.
        found: u64,
    },
    /// The entry is not well-formed.
    Malformed {
        /// Name of the entry.
        name: String,
        /// What does not hold.
        what: &'static str,
    },
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PackError::Length {
                name,
                expected,
                found,
            } => {
                write!(f, "`{name}`: expected {expected} bytes, found {found}")
            }
            PackError::Malformed { name, what } => write!(f, "`{name}`: {what}"),
        }
    }
}

impl std::error::Error for PackError {}

/// A word of an entry, and which bytes of the matrix it holds.
struct Placed<'e> {
    at: WordAddress,
    row: u64,
    plane: u64,
    lanes: &'e [Option<u32>],
}

impl IoEntry {
    /// Bytes of the matrix; `None` if they exceed u64.
    pub fn byte_len(&self) -> Option<u64> {
        (u64::from(self.rows) * u64::from(self.cols)).checked_mul(self.elem.bytes().into())
    }

    /// The runs over tiles and planes, in order: what [`Consumer::Output`](crate::Consumer) counts.
    pub fn runs(&self) -> impl Iterator<Item = &WordRun> {
        self.tiles
            .iter()
            .flat_map(|tile| tile.planes.iter().flatten())
    }

    /// The words that hold `data`, in the order of tiles, planes and runs; lanes without a column are 0.
    pub fn pack(&self, data: &[u8]) -> Result<Vec<(WordAddress, Word)>, PackError> {
        self.matching(data.len() as u64)?;
        let fill = |place: Placed| {
            let mut word = [0; LANES];
            for (byte, col) in word.iter_mut().zip(place.lanes) {
                if let Some(col) = col {
                    *byte = data[self.offset(&place, *col)];
                }
            }
            (place.at, word)
        };
        Ok(self.placed()?.into_iter().map(fill).collect())
    }

    /// The matrix from memory: `word` gives the content of a word, or the caller's own error.
    pub fn unpack<E: From<PackError>>(
        &self,
        mut word: impl FnMut(WordAddress) -> Result<Word, E>,
    ) -> Result<Vec<u8>, E> {
        let placed = self.placed()?;
        let lanes: u64 = placed.iter().map(|p| p.lanes.len() as u64).sum();
        let len = self.byte_len().filter(|&len| len <= lanes);
        let len = len.ok_or_else(|| self.malformed("columns without a lane"))?;
        let mut data = vec![0; len as usize];
        for place in placed {
            let content = word(place.at)?;
            for (byte, col) in content.iter().zip(place.lanes) {
                if let Some(col) = col {
                    data[self.offset(&place, *col)] = *byte;
                }
            }
        }
        Ok(data)
    }

    fn offset(&self, place: &Placed, col: u32) -> usize {
        let element = place.row * u64::from(self.cols) + u64::from(col);
        (element * u64::from(self.elem.bytes()) + place.plane) as usize
    }

    fn placed(&self) -> Result<Vec<Placed<'_>>, PackError> {
        let mut all = Vec::new();
        for tile in &self.tiles {
            if tile.lanes.len() != LANES || tile.lanes.iter().flatten().any(|&col| col >= self.cols)
            {
                return Err(
                    self.malformed("a tile without 320 lanes, or a column outside of the matrix")
                );
            }
            if tile.planes.len() != usize::from(self.elem.bytes()) {
                return Err(self.malformed("a tile without one plane per byte of the element"));
            }
            for (plane, runs) in (0u64..).zip(&tile.planes) {
                let words: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
                if words != u64::from(self.rows) {
                    return Err(self.malformed("a plane without one word per row"));
                }
                let mut row = 0;
                for run in runs {
                    let words = run.words().ok_or_else(|| {
                        self.malformed("a run that leaves its bank or stands still")
                    })?;
                    for at in words {
                        all.push(Placed {
                            at,
                            row,
                            plane,
                            lanes: &tile.lanes,
                        });
                        row += 1;
                    }
                }
            }
        }
        Ok(all)
    }

    fn matching(&self, found: u64) -> Result<(), PackError> {
        let expected = self
            .byte_len()
            .ok_or_else(|| self.malformed("more than 2^64 bytes"))?;
        if expected == found {
            return Ok(());
        }
        Err(PackError::Length {
            name: self.name.clone(),
            expected,
            found,
        })
    }

    fn malformed(&self, what: &'static str) -> PackError {
        PackError::Malformed {
            name: self.name.clone(),
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instr::ElemType;
    use crate::program::IoTile;

    /// 3 × 400 i16: columns 0…319 in lanes 0…319 and 320…399 in lanes 16…95.
    fn entry() -> IoEntry {
        let run = |slice, addr, step, count| WordRun {
            hemi: Hemisphere::West,
            slice,
            addr,
            step,
            count,
        };
        let tail = |lane: u32| (16..96).contains(&lane).then(|| 320 + lane - 16);
        IoEntry {
            name: "x".into(),
            elem: ElemType::I16,
            rows: 3,
            cols: 400,
            tiles: vec![
                IoTile {
                    lanes: (0..320).map(Some).collect(),
                    planes: vec![vec![run(0, 10, 1, 3)], vec![run(1, 0x1010, -2, 3)]],
                },
                IoTile {
                    lanes: (0..320).map(tail).collect(),
                    planes: vec![
                        vec![run(0, 20, 1, 2), run(2, 7, 0, 1)],
                        vec![run(3, 0, 4, 3)],
                    ],
                },
            ],
        }
    }

    fn data() -> Vec<u8> {
        (0..3u16 * 400)
            .flat_map(|i| (i * 7).to_le_bytes())
            .collect()
    }

    #[test]
    fn bytes_go_to_their_lane_plane_and_word() {
        let words = entry().pack(&data()).unwrap();
        let word = |text: &str| {
            words
                .iter()
                .find(|(at, _)| at.to_string() == text)
                .unwrap()
                .1
        };
        let element = |row: u16, col: u16| ((row * 400 + col) * 7).to_le_bytes();
        assert_eq!(words.len(), 12);
        assert_eq!(word("MEM_W0:0x000b")[319], element(1, 319)[0]);
        assert_eq!(word("MEM_W1:0x100c")[5], element(2, 5)[1]);
        assert_eq!(word("MEM_W2:0x0007")[16], element(2, 320)[0]);
        assert_eq!(word("MEM_W3:0x0004")[95], element(1, 399)[1]);
        assert_eq!(word("MEM_W3:0x0004")[96], 0);
    }

    #[test]
    fn unpack_restores_what_pack_placed() {
        let words = entry().pack(&data()).unwrap();
        let read = |at| Ok::<_, PackError>(words.iter().find(|(a, _)| *a == at).unwrap().1);
        assert_eq!(entry().unpack(read).unwrap(), data());
    }

    #[test]
    fn wrong_lengths_and_malformed_entries_are_errors() {
        let length = entry().pack(&[0; 7]).unwrap_err().to_string();
        assert_eq!(length, "`x`: expected 2400 bytes, found 7");
        let broken: [fn(&mut IoEntry); 7] = [
            |e| e.tiles[0].lanes.truncate(319),
            |e| e.tiles[0].lanes[0] = Some(400),
            |e| e.tiles[0].planes.truncate(1),
            |e| e.tiles[0].planes[0][0].count = 2,
            |e| e.tiles[0].planes[0][0].step = 4000,
            |e| e.tiles[0].planes[0][0].addr = 0x2000,
            |e| e.tiles[0].planes[0][0].step = 0,
        ];
        for change in broken {
            let mut entry = entry();
            change(&mut entry);
            assert!(matches!(
                entry.pack(&data()),
                Err(PackError::Malformed { .. })
            ));
            assert!(entry.unpack(|_| Ok::<_, PackError>([0; LANES])).is_err());
        }
        let columns = IoEntry {
            cols: u32::MAX,
            rows: 3,
            ..entry()
        };
        assert!(columns.unpack(|_| Ok::<_, PackError>([0; LANES])).is_err());
    }
}

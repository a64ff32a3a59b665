//! The SRAM: words, which superlanes of them hold something, and when they were last written.

use tspc_program::{Address, Hemisphere};

use crate::fault::{Check, FaultKind};
use crate::pool::{Bytes, LANES};

/// Words of a bank.
pub const WORDS: usize = 4096;
/// Superlanes of a word.
pub const SUPERLANES: usize = 20;
/// Lanes of a superlane.
pub const SUPERLANE: usize = 16;
/// Slices of both hemispheres.
const SLICES: usize = 88;
const BANKS: usize = 2;
const ALL_SUPERLANES: u32 = (1 << SUPERLANES) - 1;

struct Bank {
    bytes: Vec<u8>,
    /// Bit k: superlane k of the word was given or written.
    filled: Vec<u32>,
    /// One more than the cycle of the last write; 0: none.
    written: Vec<u64>,
}

/// One word of the chip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Word {
    /// Hemisphere.
    pub hemi: Hemisphere,
    /// Slice 0…43.
    pub slice: u8,
    /// Bit 12 is the bank.
    pub addr: Address,
}

impl Word {
    fn bank(self) -> usize {
        (self.hemi.index() * SLICES / 2 + self.slice as usize) * BANKS + self.addr as usize / WORDS
    }

    fn index(self) -> usize {
        self.addr as usize % WORDS
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "word {} of MEM_{}{}",
            self.addr,
            self.hemi.letter(),
            self.slice
        )
    }
}

/// All slices; banks that nobody touches cost nothing.
pub struct Memory {
    banks: Vec<Option<Bank>>,
    write_to_read: u64,
}

impl Memory {
    /// Nothing is filled.
    pub fn new(write_to_read: u64) -> Memory {
        Memory {
            banks: (0..SLICES * BANKS).map(|_| None).collect(),
            write_to_read,
        }
    }

    fn bank_mut(&mut self, word: Word) -> &mut Bank {
        self.banks[word.bank()].get_or_insert_with(|| Bank {
            bytes: vec![0; WORDS * LANES],
            filled: vec![0; WORDS],
            written: vec![0; WORDS],
        })
    }

    /// Puts a word in place before cycle 0; false if it was filled already.
    pub fn fill(&mut self, word: Word, bytes: &Bytes) -> bool {
        let bank = self.bank_mut(word);
        bank.bytes[word.index() * LANES..][..LANES].copy_from_slice(bytes);
        std::mem::replace(&mut bank.filled[word.index()], ALL_SUPERLANES) == 0
    }

    /// A word, at dispatch cycle `cycle` of its read.
    pub fn read(&self, word: Word, cycle: u64) -> Check<&[u8]> {
        self.look(word, cycle, ALL_SUPERLANES)
    }

    /// Superlane `k` of a word.
    pub fn read_superlane(&self, word: Word, k: usize, cycle: u64) -> Check<&[u8]> {
        Ok(&self.look(word, cycle, 1 << k)?[k * SUPERLANE..(k + 1) * SUPERLANE])
    }

    fn look(&self, word: Word, cycle: u64, superlanes: u32) -> Check<&[u8]> {
        let uninitialised = || {
            FaultKind::Uninitialised.because(format!("{word} was neither in the image nor written"))
        };
        let bank = self.banks[word.bank()].as_ref().ok_or_else(uninitialised)?;
        if bank.filled[word.index()] & superlanes != superlanes {
            return Err(uninitialised());
        }
        // `written` is one more than the cycle.
        let written = bank.written[word.index()];
        if written > 0 && cycle < written - 1 + self.write_to_read {
            return Err(FaultKind::ReadTooEarly.because(format!(
                "{word} was written at {}, it may be read from {}",
                written - 1,
                written - 1 + self.write_to_read
            )));
        }
        Ok(&bank.bytes[word.index() * LANES..][..LANES])
    }

    /// Writes a word at `cycle`.
    pub fn write(&mut self, word: Word, bytes: &Bytes, cycle: u64) {
        let bank = self.bank_mut(word);
        bank.bytes[word.index() * LANES..][..LANES].copy_from_slice(bytes);
        bank.filled[word.index()] = ALL_SUPERLANES;
        bank.written[word.index()] = cycle + 1;
    }

    /// Writes superlane `k` of a word at `cycle`.
    pub fn write_superlane(&mut self, word: Word, k: usize, bytes: &[u8], cycle: u64) {
        let bank = self.bank_mut(word);
        bank.bytes[word.index() * LANES + k * SUPERLANE..][..SUPERLANE].copy_from_slice(bytes);
        bank.filled[word.index()] |= 1 << k;
        bank.written[word.index()] = cycle + 1;
    }

    /// Cycle of the last write of a word by the program.
    pub fn last_write(&self, word: Word) -> Option<u64> {
        self.banks[word.bank()].as_ref()?.written[word.index()].checked_sub(1)
    }
}

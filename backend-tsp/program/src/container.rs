//! The binary container (`.tsp`): layout, checksum, errors. `docs/program-format.md` is the reference.
//!
//! ```text
//! magic 8 | version u32 | total length u64 | sections META TEXT IMAG IOTB USES LOCS | SHA-256 of all before
//! section: tag 4 | payload length u64 | payload
//! ```
//! Everything is little-endian. A well-formed program has exactly one encoding, which decoding restores; the
//! decoder accepts no other bytes.

mod decode;
mod encode;
mod text;

use std::fmt;

use sha2::{Digest, Sha256};

use crate::program::Program;

/// First bytes of a container.
pub const MAGIC: &[u8; 8] = b"TSPPROG\0";
/// Version of the container; changes with every change of the encoding.
pub const FORMAT_VERSION: u32 = 2;

const TAGS: [&[u8; 4]; 6] = [b"META", b"TEXT", b"IMAG", b"IOTB", b"USES", b"LOCS"];
const HEADER: usize = MAGIC.len() + 4 + 8;
const CHECKSUM: usize = 32;

/// Why bytes are not a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// Byte offset in the container.
    pub offset: usize,
    /// What was expected there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "byte {}: expected {}, found {}",
            self.offset, self.expected, self.found
        )
    }
}

impl std::error::Error for DecodeError {}

impl Program {
    /// Bytes of program text: 16 per instruction, 4 per nop or repeat.
    pub fn text_bytes(&self) -> u64 {
        self.queues
            .iter()
            .flatten()
            .map(|instr| instr.text_bytes())
            .sum()
    }

    /// Hex SHA-256 of what the chip executes: the sections of text, memory image and input/output table.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (tag, payload) in [
            (TAGS[1], encode::text(self)),
            (TAGS[2], encode::image(self)),
            (TAGS[3], encode::io(self)),
        ] {
            hash.update(tag);
            hash.update((payload.len() as u64).to_le_bytes());
            hash.update(payload);
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

#[cfg(test)]
mod tests;

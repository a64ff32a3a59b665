//! A MEM slice: reads, writes, gathers and scatters (machine.md section 3).

use tspc_program::{Address, Hemisphere, MemAccess, MemPart, Stream};

use crate::fabric::{Fabric, Target};
use crate::fault::{Check, Dispatch, FaultKind};
use crate::memory::{Memory, SUPERLANE, SUPERLANES, WORDS, Word};
use crate::pool::LANES;

/// A slice of a hemisphere.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// Hemisphere.
    pub hemi: Hemisphere,
    /// 0…43.
    pub slice: u8,
}

/// Both parts of an instruction; the read sees memory as it was, which the write-to-read time implies.
pub fn execute(
    fabric: &mut Fabric,
    memory: &mut Memory,
    read_latency: u64,
    slice: Slice,
    (read, write): (Option<&MemPart>, Option<&MemPart>),
    by: Dispatch,
) -> Check {
    if let Some(part) = read {
        self::read(fabric, memory, read_latency, slice, part, by)?;
    }
    if let Some(part) = write {
        self::write(fabric, memory, slice, part, by)?;
    }
    Ok(())
}

fn read(
    fabric: &mut Fabric,
    memory: &Memory,
    latency: u64,
    slice: Slice,
    part: &MemPart,
    by: Dispatch,
) -> Check {
    let cycle = fabric.cycle;
    let position = fabric
        .timing
        .mem_drives(slice.hemi, slice.slice, part.stream.dir);
    match part.access {
        MemAccess::Direct { addr, step } => {
            let word = memory.read(slice.word(iterate(addr, step, by.iteration)?), cycle)?;
            fabric
                .emit(part.stream, Target::Position(position), latency, by)
                .copy_from_slice(word);
        }
        MemAccess::Mapped { bank, map } => {
            let words = addresses(fabric, slice, bank, map)?;
            let mut gathered = [0; LANES];
            for (k, (out, word)) in gathered.chunks_exact_mut(SUPERLANE).zip(words).enumerate() {
                out.copy_from_slice(memory.read_superlane(word, k, cycle)?);
            }
            *fabric.emit(part.stream, Target::Position(position), latency, by) = gathered;
        }
    }
    Ok(())
}

fn write(
    fabric: &Fabric,
    memory: &mut Memory,
    slice: Slice,
    part: &MemPart,
    by: Dispatch,
) -> Check {
    let cycle = fabric.cycle;
    let position = fabric
        .timing
        .mem_takes(slice.hemi, slice.slice, part.stream.dir);
    let bytes = fabric.take(part.stream, position)?;
    match part.access {
        MemAccess::Direct { addr, step } => {
            memory.write(slice.word(iterate(addr, step, by.iteration)?), bytes, cycle);
        }
        MemAccess::Mapped { bank, map } => {
            let words = addresses(fabric, slice, bank, map)?;
            for (k, (bytes, word)) in bytes.chunks_exact(SUPERLANE).zip(words).enumerate() {
                memory.write_superlane(word, k, bytes, cycle);
            }
        }
    }
    Ok(())
}

impl Slice {
    fn word(self, addr: Address) -> Word {
        Word {
            hemi: self.hemi,
            slice: self.slice,
            addr,
        }
    }
}

/// The address of a repeat's iteration.
fn iterate(addr: Address, step: i16, iteration: u32) -> Check<Address> {
    let at = i64::from(addr) + i64::from(iteration) * i64::from(step);
    let bank = i64::from(addr) / WORDS as i64;
    if at.div_euclid(WORDS as i64) != bank {
        return Err(FaultKind::LeavesBank.because(format!(
            "address {addr} + {iteration}·({step}) leaves bank {bank}"
        )));
    }
    Ok(at as Address)
}

/// Each superlane's word of a map, taken where a write of the map's direction would take.
fn addresses(fabric: &Fabric, slice: Slice, bank: u8, map: Stream) -> Check<[Word; SUPERLANES]> {
    let position = fabric.timing.mem_takes(slice.hemi, slice.slice, map.dir);
    let bytes = fabric.take(map, position)?;
    let mut words = [slice.word(0); SUPERLANES];
    for (k, word) in words.iter_mut().enumerate() {
        let at = u16::from_le_bytes([bytes[k * SUPERLANE], bytes[k * SUPERLANE + 1]]);
        if usize::from(at) >= WORDS {
            let message = format!("superlane {k} of the map on {map} names word {at} of {WORDS}");
            return Err(FaultKind::MapAddress.because(message));
        }
        word.addr = u16::from(bank) * WORDS as u16 + at;
    }
    Ok(words)
}

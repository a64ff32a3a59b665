//! The host: fills memory before cycle 0, reads the outputs afterwards.

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{IoEntry, Program, SLICES, WordRun};

use crate::fault::{Fault, FaultKind};
use crate::memory::{Memory, SUPERLANE, WORDS, Word};
use crate::pool::LANES;
use crate::validate;

/// The chip's memory in bytes, rounded up.
const LARGEST_TENSOR: u64 = 256 << 20;

/// Inputs or outputs by name: little-endian elements, row after row.
pub type Tensors = BTreeMap<String, Vec<u8>>;

/// Puts the image and the inputs in place.
pub fn fill(
    program: &Program,
    machine: &Machine,
    inputs: &Tensors,
    memory: &mut Memory,
) -> Result<(), Fault> {
    image(program, machine, memory)?;
    for (i, entry) in program.inputs.iter().enumerate() {
        well_formed(entry, machine)?;
        unique(entry, &program.inputs[..i])?;
        let bytes = inputs.get(&entry.name).ok_or_else(|| {
            FaultKind::BadInput.before_start(format!("input `{}` is missing", entry.name))
        })?;
        let size = entry.rows as usize * row_bytes(entry);
        if bytes.len() != size {
            return Err(FaultKind::BadInput.before_start(format!(
                "input `{}` has {} bytes, expected {} × {} × {} = {size}",
                entry.name,
                bytes.len(),
                entry.rows,
                entry.cols,
                entry.elem.name()
            )));
        }
        input(entry, bytes, memory)?;
    }
    if let Some(name) = inputs
        .keys()
        .find(|name| program.inputs.iter().all(|e| e.name != **name))
    {
        return Err(FaultKind::BadInput.before_start(format!("the program has no input `{name}`")));
    }
    for (i, entry) in program.outputs.iter().enumerate() {
        well_formed(entry, machine)?;
        unique(entry, &program.outputs[..i])?;
        every_column_once(entry)?;
    }
    Ok(())
}

/// The outputs, and the last cycle in which the program wrote a word of them.
pub fn outputs(
    program: &Program,
    memory: &Memory,
    end: u64,
) -> Result<(Tensors, Option<u64>), Fault> {
    let mut tensors = Tensors::new();
    let mut last = None;
    for entry in &program.outputs {
        let mut bytes = vec![0; entry.rows as usize * row_bytes(entry)];
        for (word, row, plane, lanes) in placed(entry) {
            last = last.max(memory.last_write(word));
            for (lane, col) in lanes.iter().enumerate() {
                if let Some(col) = col {
                    // The host reads when everything has settled.
                    let superlane = memory.read_superlane(word, lane / SUPERLANE, u64::MAX);
                    let superlane = superlane.map_err(|broken| Fault {
                        cycle: end,
                        ..broken
                            .kind
                            .before_start(format!("output `{}`: {}", entry.name, broken.message))
                    })?;
                    bytes[offset(entry, row, *col, plane)] = superlane[lane % SUPERLANE];
                }
            }
        }
        tensors.insert(entry.name.clone(), bytes);
    }
    Ok((tensors, last))
}

fn image(program: &Program, machine: &Machine, memory: &mut Memory) -> Result<(), Fault> {
    for segment in &program.image {
        let (words, rest) = segment.bytes.as_chunks::<LANES>();
        let run = WordRun {
            hemi: segment.hemi,
            slice: segment.slice,
            addr: segment.addr,
            step: 1,
            count: words.len() as u32,
        };
        in_bank("image", &run, machine)?;
        if !rest.is_empty() {
            let message = format!("image: {} bytes are not whole words", segment.bytes.len());
            return Err(FaultKind::MalformedProgram.before_start(message));
        }
        for (word, bytes) in run_words(&run).zip(words) {
            if !memory.fill(word, bytes) {
                return Err(twice("image", word));
            }
        }
    }
    Ok(())
}

fn input(entry: &IoEntry, bytes: &[u8], memory: &mut Memory) -> Result<(), Fault> {
    for (word, row, plane, lanes) in placed(entry) {
        let mut content = [0; LANES];
        for (byte, col) in content.iter_mut().zip(lanes) {
            if let Some(col) = col {
                *byte = bytes[offset(entry, row, *col, plane)];
            }
        }
        if !memory.fill(word, &content) {
            return Err(twice(&entry.name, word));
        }
    }
    Ok(())
}

fn twice(what: &str, word: Word) -> Fault {
    FaultKind::MalformedProgram.before_start(format!("{what}: {word} is filled twice"))
}

fn row_bytes(entry: &IoEntry) -> usize {
    entry.cols as usize * usize::from(entry.elem.bytes())
}

fn offset(entry: &IoEntry, row: usize, col: u32, plane: usize) -> usize {
    row * row_bytes(entry) + col as usize * usize::from(entry.elem.bytes()) + plane
}

/// Each word of an entry with its row, its byte of the element, and the columns of its lanes.
fn placed(entry: &IoEntry) -> impl Iterator<Item = (Word, usize, usize, &[Option<u32>])> {
    entry.tiles.iter().flat_map(|tile| {
        tile.planes
            .iter()
            .enumerate()
            .flat_map(move |(plane, runs)| {
                let words = runs.iter().flat_map(run_words).enumerate();
                words.map(move |(row, word)| (word, row, plane, tile.lanes.as_slice()))
            })
    })
}

/// The words of a run that [`in_bank`] accepts.
fn run_words(run: &WordRun) -> impl Iterator<Item = Word> + use<> {
    let run = *run;
    (0..i64::from(run.count)).map(move |i| Word {
        hemi: run.hemi,
        slice: run.slice,
        addr: (i64::from(run.addr) + i * i64::from(run.step)) as u16,
    })
}

fn in_bank(what: &str, run: &WordRun, machine: &Machine) -> Result<(), Fault> {
    let malformed =
        |why: String| Err(FaultKind::MalformedProgram.before_start(format!("{what}: {why}")));
    if run.slice >= SLICES {
        return malformed(format!("slice {}, expected less than {SLICES}", run.slice));
    }
    if validate::is_text(machine, run.hemi, run.slice) {
        return Err(FaultKind::TextSlice.before_start(format!(
            "{what}: MEM_{}{} is reserved for program text",
            run.hemi.letter(),
            run.slice
        )));
    }
    let last = i64::from(run.addr) + (i64::from(run.count) - 1).max(0) * i64::from(run.step);
    let bank = |addr: i64| addr.div_euclid(WORDS as i64);
    if usize::from(run.addr) >= 2 * WORDS || bank(last) != bank(run.addr.into()) {
        return malformed(format!(
            "{} words from {} on, step {}, are not in one bank",
            run.count, run.addr, run.step
        ));
    }
    Ok(())
}

fn well_formed(entry: &IoEntry, machine: &Machine) -> Result<(), Fault> {
    let malformed = |why: &str| {
        Err(FaultKind::MalformedProgram.before_start(format!("`{}`: {why}", entry.name)))
    };
    // Keeps the sizes below from overflowing, and nobody from asking for more than there is.
    let row = u64::from(entry.cols) * u64::from(entry.elem.bytes());
    if row.saturating_mul(entry.rows.max(1).into()) > LARGEST_TENSOR {
        return malformed("it is larger than the memory");
    }
    for tile in &entry.tiles {
        if tile.lanes.len() != LANES {
            return malformed("a tile does not have 320 lanes");
        }
        if tile.lanes.iter().flatten().any(|col| *col >= entry.cols) {
            return malformed("a lane holds a column that does not exist");
        }
        if tile.planes.len() != usize::from(entry.elem.bytes()) {
            return malformed("a tile does not have one plane per byte of the element");
        }
        for runs in &tile.planes {
            for run in runs {
                in_bank(&entry.name, run, machine)?;
            }
            if runs.iter().map(|run| u64::from(run.count)).sum::<u64>() != u64::from(entry.rows) {
                return malformed("a plane does not have one word per row");
            }
        }
    }
    Ok(())
}

fn unique(entry: &IoEntry, before: &[IoEntry]) -> Result<(), Fault> {
    if before.iter().any(|other| other.name == entry.name) {
        let message = format!("`{}` is declared twice", entry.name);
        return Err(FaultKind::MalformedProgram.before_start(message));
    }
    Ok(())
}

fn every_column_once(entry: &IoEntry) -> Result<(), Fault> {
    let mut times = vec![0u32; entry.cols as usize];
    for col in entry
        .tiles
        .iter()
        .flat_map(|tile| tile.lanes.iter().flatten())
    {
        times[*col as usize] += 1;
    }
    if let Some(col) = times.iter().position(|times| *times != 1) {
        return Err(FaultKind::MalformedProgram.before_start(format!(
            "output `{}`: column {col} is in {} lanes, expected one",
            entry.name, times[col]
        )));
    }
    Ok(())
}

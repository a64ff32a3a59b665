//! Changes of the table of inputs and outputs.

use tspc::program::{IoEntry, LANES, Program};

use crate::subject::{Change, Place, Subject, below, one_of};
use crate::tiled::Seeded;

/// Changes an entry of the table of inputs and outputs.
fn entry(
    s: &Subject,
    dice: &mut Seeded,
    other: impl FnOnce(&mut IoEntry, &mut Seeded) -> Option<String>,
) -> Option<Change> {
    let mut program: Program = s.program.clone();
    let (inputs, outputs) = (program.inputs.len() as u64, program.outputs.len() as u64);
    let number = below(dice, inputs + outputs);
    let entry = match number.checked_sub(inputs) {
        None => &mut program.inputs[number as usize],
        Some(output) => &mut program.outputs[output as usize],
    };
    let name = entry.name.clone();
    let what = other(entry, dice)?;
    Some(Change {
        what: format!("`{name}`: {what}"),
        place: Place::Table,
        program,
    })
}

/// A run of words elsewhere.
pub fn address(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    entry(s, dice, |entry, dice| {
        let planes = entry.tiles.iter_mut().flat_map(|t| &mut t.planes);
        let mut runs: Vec<_> = planes.flatten().collect();
        let number = below(dice, runs.len() as u64) as usize;
        let run = &mut runs[number];
        let addr = one_of(dice, &[run.addr + 1, run.addr + 2, run.addr ^ 1 << 12])?;
        let what = format!("run {number} at {:#06x} is at {addr:#06x}", run.addr);
        run.addr = addr;
        Some(what)
    })
}

/// Two columns exchanged.
pub fn lanes(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    entry(s, dice, |entry, dice| {
        let tile = below(dice, entry.tiles.len() as u64) as usize;
        let lanes = &mut entry.tiles[tile].lanes;
        let held: Vec<usize> = (0..LANES).filter(|l| lanes[*l].is_some()).collect();
        let (a, b) = (one_of(dice, &held)?, one_of(dice, &held)?);
        let differ = lanes[a] != lanes[b];
        lanes.swap(a, b);
        differ.then(|| format!("lanes {a} and {b} of tile {tile} exchanged"))
    })
}

//! Rules 10 to 17: image, inputs and outputs, uses.

use std::collections::BTreeSet;

use super::{Errors, FormPlace, Refused, require};
use crate::instr::{AluInstr, Instr, MemAccess, MemPart, Operand};
use crate::io::LANES;
use crate::program::{Consumer, INSTALL_TIME, ImageSegment, IoEntry, Program, Site, Source, Use};
use crate::timeline::{Dispatch, dispatches};
use crate::unit::{QueueId, SLICES};

pub(super) fn image(program: &Program, errors: &mut Errors) {
    for (i, segment) in program.image.iter().enumerate() {
        errors.note(FormPlace::Image(i), image_segment(segment));
    }
}

fn image_segment(segment: &ImageSegment) -> Result<(), Refused> {
    slice(10, segment.slice)?;
    let words = segment.bytes.len() / LANES;
    require(
        10,
        words > 0 && segment.bytes.len().is_multiple_of(LANES),
        || {
            format!(
                "{} bytes, expected a multiple of {LANES} and at least one word",
                segment.bytes.len()
            )
        },
    )?;
    require(10, segment.addr < 1 << 13, || {
        format!("address {:#x}, expected 13 bits", segment.addr)
    })?;
    let room = 4096 - usize::from(segment.addr & 0xFFF);
    require(10, words <= room, || {
        format!(
            "{words} words from {:#06x} on, the bank has room for {room}",
            segment.addr
        )
    })
}

fn slice(rule: u8, slice: u8) -> Result<(), Refused> {
    require(rule, slice < SLICES, || {
        format!("slice {slice}, expected less than {SLICES}")
    })
}

pub(super) fn io(program: &Program, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (i, entry) in program.inputs.iter().enumerate() {
        let found = name(entry, names.insert(&entry.name)).and_then(|()| shape(entry));
        errors.note(FormPlace::Input(i), found);
    }
    names.clear();
    for (i, entry) in program.outputs.iter().enumerate() {
        let found = name(entry, names.insert(&entry.name))
            .and_then(|()| shape(entry))
            .and_then(|()| each_column_once(entry));
        errors.note(FormPlace::Output(i), found);
    }
}

fn name(entry: &IoEntry, new: bool) -> Result<(), Refused> {
    require(11, !entry.name.is_empty(), || "empty name".into())?;
    require(11, new, || format!("a second `{}`", entry.name))
}

fn shape(entry: &IoEntry) -> Result<(), Refused> {
    require(11, entry.rows >= 1 && entry.cols >= 1, || {
        format!("{} × {}, expected at least 1 × 1", entry.rows, entry.cols)
    })?;
    for tile in &entry.tiles {
        let (lanes, planes) = (tile.lanes.len(), tile.planes.len());
        require(12, lanes == LANES, || {
            format!("{lanes} lanes, expected {LANES}")
        })?;
        let outside = tile.lanes.iter().flatten().find(|&&col| col >= entry.cols);
        require(12, outside.is_none(), || {
            format!(
                "column {}, expected less than {}",
                outside.unwrap_or(&0),
                entry.cols
            )
        })?;
        let bytes = entry.elem.bytes();
        require(12, planes == usize::from(bytes), || {
            format!("{planes} planes, expected {bytes}")
        })?;
        for runs in &tile.planes {
            let words: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
            require(12, words == u64::from(entry.rows), || {
                format!("{words} words in a plane, expected {} rows", entry.rows)
            })?;
            for run in runs {
                slice(12, run.slice)?;
                require(12, run.count >= 1 && run.words().is_some(), || {
                    format!(
                        "{} words from {:#06x} on, step {}: expected words of one bank, each once",
                        run.count, run.addr, run.step
                    )
                })?;
            }
        }
    }
    Ok(())
}

fn each_column_once(entry: &IoEntry) -> Result<(), Refused> {
    let mut columns: Vec<u32> = entry
        .tiles
        .iter()
        .flat_map(|t| t.lanes.iter().flatten().copied())
        .collect();
    columns.sort_unstable();
    require(13, columns.iter().copied().eq(0..entry.cols), || {
        format!(
            "expected each of {} columns in exactly one lane",
            entry.cols
        )
    })
}

/// What records may name.
struct Sites {
    /// All dispatches, by queue; within a queue ordered by index.
    dispatches: Vec<Vec<Dispatch>>,
    /// Words of each run, by output.
    runs: Vec<Vec<u32>>,
}

impl Sites {
    fn iterations(&self, site: Site) -> Option<u32> {
        let queue = self.dispatches.get(site.queue.index())?;
        let at = queue
            .binary_search_by_key(&(site.index as usize), |d| d.index)
            .ok()?;
        Some(queue[at].iterations())
    }
}

pub(super) fn uses(program: &Program, errors: &mut Errors) {
    let runs = |output: &IoEntry| output.runs().map(|run| run.count).collect();
    let sites = Sites {
        dispatches: program
            .queues
            .iter()
            .map(|queue| dispatches(queue).collect())
            .collect(),
        runs: program.outputs.iter().map(runs).collect(),
    };
    for (i, record) in program.uses.iter().enumerate() {
        errors.note(FormPlace::Use(i), one_use(program, &sites, record));
    }
}

fn one_use(program: &Program, sites: &Sites, record: &Use) -> Result<(), Refused> {
    let nowhere = |rule, site: Site| {
        (
            rule,
            format!("{}#{} does not dispatch", site.queue, site.index),
        )
    };
    let iterations = match record.consumer {
        Consumer::Instr(site) => {
            let iterations = sites.iterations(site).ok_or_else(|| nowhere(14, site))?;
            let instr = &program.queues[site.queue.index()][site.index as usize];
            slot(site.queue, instr, record.slot)?;
            iterations
        }
        Consumer::Output { entry, run } => {
            let words = sites
                .runs
                .get(entry as usize)
                .and_then(|runs| runs.get(run as usize));
            let words = *words
                .ok_or_else(|| (14, format!("run {run} of output {entry} does not exist")))?;
            require(15, record.slot == 0, || {
                format!("slot {} of an output, expected 0", record.slot)
            })?;
            words
        }
    };
    let end = u64::from(record.first) + u64::from(record.count);
    require(
        14,
        record.count >= 1 && end <= u64::from(iterations),
        || {
            format!(
                "iterations {}..{end}, expected a part of 0..{iterations}",
                record.first
            )
        },
    )?;
    let timed = matches!(record.source, Source::Clock { .. });
    require(16, timed == (record.slot == INSTALL_TIME), || {
        format!("expected the clock for slot {INSTALL_TIME} of an iw and for nothing else")
    })?;
    let (what, first, step, end) = match record.source {
        Source::Dispatch { site, first, step } => {
            let made = sites.iterations(site).ok_or_else(|| nowhere(16, site))?;
            ("iterations", i64::from(first), i64::from(step), made.into())
        }
        Source::Image { word, step } => ("words", i64::from(word), i64::from(step), 1 << 13),
        Source::Clock { .. } => ("cycles", 0, 0, 1),
    };
    let last = first + i64::from(record.count - 1) * step;
    require(16, first < end && (0..end).contains(&last), || {
        format!("source {what} {first}…{last}, expected a part of 0..{end}")
    })?;
    require(17, (record.loc as usize) < program.locations.len(), || {
        format!(
            "location {}, expected less than {}",
            record.loc,
            program.locations.len()
        )
    })
}

fn slot(queue: QueueId, instr: &Instr, slot: u8) -> Result<(), Refused> {
    require(15, has_slot(instr, slot), || {
        format!("slot {slot} does not exist for this instruction of {queue}")
    })
}

/// The table of [`Use::slot`].
pub(crate) fn has_slot(instr: &Instr, slot: u8) -> bool {
    let mapped = |part: &Option<MemPart>| {
        matches!(
            part,
            Some(MemPart {
                access: MemAccess::Mapped { .. },
                ..
            })
        )
    };
    match *instr {
        Instr::Nop { .. } | Instr::Repeat { .. } => false,
        Instr::Mem { read, write } => match slot {
            0 => read.is_some() && !mapped(&read),
            1 | 4..=23 => mapped(&read),
            2 => write.is_some(),
            3 => mapped(&write),
            _ => false,
        },
        Instr::Alu(AluInstr { a, b, .. }) => {
            let bytes = |operand| match operand {
                Some(Operand::Stream { ty, .. }) => ty.bytes(),
                Some(Operand::Imm) | None => 0,
            };
            if slot < 4 {
                slot < bytes(Some(a))
            } else {
                slot - 4 < bytes(b)
            }
        }
        Instr::Lw { .. } | Instr::Transpose { .. } => slot < 16,
        Instr::Iw { n, .. } => slot < n || slot == INSTALL_TIME,
        Instr::Act { ty, .. } => slot < ty.bytes() || slot == 2,
        Instr::Out { .. } | Instr::Drop => slot == 4,
        Instr::Acc { .. } => slot <= 4,
        Instr::Distribute { mask, .. } => slot == 8 || slot < 8 && mask >> slot & 1 == 1,
        Instr::Permute { w, .. } => slot < w || (4..6).contains(&slot),
        Instr::Shift { w, .. } => slot < w,
    }
}

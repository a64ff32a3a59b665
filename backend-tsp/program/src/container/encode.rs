//! From a program to bytes.
//!
//! Before: the program is well-formed. One that is not gives bytes too, which decode to another program or to none.

use sha2::{Digest, Sha256};

use super::{CHECKSUM, FORMAT_VERSION, HEADER, MAGIC, TAGS, text::instruction};
use crate::program::{Consumer, IoEntry, Program, Site, Source, Use, WordRun};

impl Program {
    /// The container.
    pub fn to_bytes(&self) -> Vec<u8> {
        let payloads = [
            meta(self),
            text(self),
            image(self),
            io(self),
            uses(self),
            locations(self),
        ];
        let total = HEADER + payloads.iter().map(|p| 12 + p.len()).sum::<usize>() + CHECKSUM;
        let mut out = Vec::with_capacity(total);
        out.extend(MAGIC);
        out.extend(FORMAT_VERSION.to_le_bytes());
        out.extend((total as u64).to_le_bytes());
        for (tag, payload) in TAGS.iter().zip(payloads) {
            out.extend(*tag);
            out.extend((payload.len() as u64).to_le_bytes());
            out.extend(payload);
        }
        let checksum = Sha256::digest(&out);
        out.extend(checksum);
        out
    }
}

fn count(out: &mut Vec<u8>, n: usize) {
    out.extend((n as u64).to_le_bytes());
}

fn string(out: &mut Vec<u8>, text: &str) {
    count(out, text.len());
    out.extend(text.as_bytes());
}

fn meta(program: &Program) -> Vec<u8> {
    let mut out = Vec::new();
    string(&mut out, &program.machine);
    string(&mut out, &program.machine_hash);
    out
}

/// The lengths of all queues, then their instructions.
pub(super) fn text(program: &Program) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * program.queues.len() + program.text_bytes() as usize);
    for queue in &program.queues {
        count(&mut out, queue.len());
    }
    for instr in program.queues.iter().flatten() {
        instruction(&mut out, instr);
    }
    out
}

pub(super) fn image(program: &Program) -> Vec<u8> {
    let mut out = Vec::new();
    count(&mut out, program.image.len());
    for segment in &program.image {
        out.extend([segment.hemi as u8, segment.slice]);
        out.extend(segment.addr.to_le_bytes());
        count(&mut out, segment.bytes.len());
        out.extend(&segment.bytes);
    }
    out
}

pub(super) fn io(program: &Program) -> Vec<u8> {
    let mut out = Vec::new();
    for entries in [&program.inputs, &program.outputs] {
        count(&mut out, entries.len());
        for entry in entries {
            io_entry(&mut out, entry);
        }
    }
    out
}

fn io_entry(out: &mut Vec<u8>, entry: &IoEntry) {
    string(out, &entry.name);
    out.push(entry.elem as u8);
    out.extend(entry.rows.to_le_bytes());
    out.extend(entry.cols.to_le_bytes());
    count(out, entry.tiles.len());
    for tile in &entry.tiles {
        count(out, tile.lanes.len());
        for lane in &tile.lanes {
            out.extend(lane.unwrap_or(u32::MAX).to_le_bytes());
        }
        count(out, tile.planes.len());
        for runs in &tile.planes {
            count(out, runs.len());
            for run in runs {
                word_run(out, run);
            }
        }
    }
}

fn word_run(out: &mut Vec<u8>, run: &WordRun) {
    out.extend([run.hemi as u8, run.slice]);
    out.extend(run.addr.to_le_bytes());
    out.extend(run.step.to_le_bytes());
    out.extend(run.count.to_le_bytes());
}

fn uses(program: &Program) -> Vec<u8> {
    let mut out = Vec::new();
    count(&mut out, program.uses.len());
    for record in &program.uses {
        one_use(&mut out, record);
    }
    out
}

fn one_use(out: &mut Vec<u8>, record: &Use) {
    match record.consumer {
        Consumer::Instr(at) => {
            out.push(0);
            site(out, at);
        }
        Consumer::Output { entry, run } => {
            out.push(1);
            out.extend(entry.to_le_bytes());
            out.extend(run.to_le_bytes());
        }
    }
    out.push(record.slot);
    out.extend(record.first.to_le_bytes());
    out.extend(record.count.to_le_bytes());
    match record.source {
        Source::Dispatch {
            site: at,
            first,
            step,
        } => {
            out.push(0);
            site(out, at);
            out.extend(first.to_le_bytes());
            out.extend(step.to_le_bytes());
        }
        Source::Image { word, step } => {
            out.push(1);
            out.extend(word.to_le_bytes());
            out.extend(step.to_le_bytes());
        }
        Source::Clock { cycle } => {
            out.push(2);
            out.extend(cycle.to_le_bytes());
        }
    }
    out.extend(record.loc.to_le_bytes());
}

fn site(out: &mut Vec<u8>, site: Site) {
    out.push(site.queue.index() as u8);
    out.extend(site.index.to_le_bytes());
}

fn locations(program: &Program) -> Vec<u8> {
    let mut out = Vec::new();
    count(&mut out, program.locations.len());
    for location in &program.locations {
        string(&mut out, location);
    }
    out
}

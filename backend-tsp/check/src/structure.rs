//! The program as a whole, before it is followed in time: shape, instructions by themselves, tables, `uses`.
//!
//! After: if no rule that stops is broken, every site, word, run and record can be followed without further checks.

use tspc_machine::Machine;
use tspc_program::{
    Consumer, INSTALL_TIME, Instr, IoEntry, Program, QueueId, Source, Use, WordRun,
};

use crate::instruction::{self, is_text_slice};
use crate::memory::WORDS_PER_SLICE;
use crate::report::{Log, Place, consumer_name};
use crate::rule::Rule;
use crate::sites::Sites;
use crate::uses::{CoverFault, SLOTS, Uses, cover_faults};

/// Bytes of program text.
pub(crate) fn text_bytes(program: &Program, m: &Machine) -> u64 {
    let bytes = |instr: &Instr| match instr {
        Instr::Nop { .. } | Instr::Repeat { .. } => u64::from(m.text_bytes_nop_repeat),
        _ => u64::from(m.text_bytes_instruction),
    };
    program.queues.iter().flatten().map(bytes).sum()
}

/// Machine, text, image and tables.
pub(crate) fn check_parts(program: &Program, m: &Machine, log: &mut Log) {
    if program.machine != m.name || program.machine_hash != m.hash {
        let message = format!(
            "compiled for `{}` ({}), checked against `{}` ({})",
            program.machine, program.machine_hash, m.name, m.hash
        );
        log.part(Rule::MachineMismatch, "program", message);
    }
    let slices = m.text_slices_west.len() + m.text_slices_east.len();
    let word = u64::from(m.superlanes) * u64::from(m.lanes_per_superlane);
    let room = slices as u64 * u64::from(m.mem_banks) * u64::from(m.mem_words_per_bank) * word;
    let text = text_bytes(program, m);
    if text > room {
        let message = format!("{text} bytes of text, {room} bytes are reserved in {slices} slices");
        log.part(Rule::TextCapacity, "program", message);
    }
    for (i, segment) in program.image.iter().enumerate() {
        let words = segment.bytes.len() / 320;
        if segment.bytes.len() % 320 != 0 || words == 0 {
            let message = format!(
                "segment {i} has {} bytes, expected a multiple of 320",
                segment.bytes.len()
            );
            log.part(Rule::Form, "image", message);
        }
        let run = WordRun {
            hemi: segment.hemi,
            slice: segment.slice,
            addr: segment.addr,
            step: 1,
            count: u32::try_from(words).unwrap_or(u32::MAX),
        };
        check_run(&run, m, "image", || format!("segment {i}"), log);
    }
    for (part, entries) in [("inputs", &program.inputs), ("outputs", &program.outputs)] {
        for entry in entries {
            check_entry(entry, m, part, log);
        }
        let mut names: Vec<_> = entries.iter().map(|e| &e.name).collect();
        names.sort_unstable();
        for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
            log.part(
                Rule::Form,
                part,
                format!("the name `{}` occurs twice", pair[0]),
            );
        }
    }
}

fn check_run(
    run: &WordRun,
    m: &Machine,
    part: &'static str,
    name: impl Fn() -> String,
    log: &mut Log,
) {
    let WordRun {
        hemi,
        slice,
        addr,
        step,
        count,
    } = *run;
    if u32::from(slice) >= m.mem_slices || addr >= 8192 || count == 0 || (step == 0 && count > 1) {
        let message = format!(
            "{}: slice {slice}, address {addr}, step {step}, {count} words",
            name()
        );
        return log.part(Rule::Form, part, message);
    }
    let last = i64::from(addr % 4096) + i64::from(step) * i64::from(count - 1);
    if !(0..4096).contains(&last) {
        let message = format!(
            "{}: the last of {count} words from address {addr} is word {last} of its bank",
            name()
        );
        log.part(Rule::BankExit, part, message);
    }
    if is_text_slice(m, hemi, slice) {
        let message = format!(
            "{}: MEM_{}{slice} holds program text",
            name(),
            hemi.letter()
        );
        log.part(Rule::TextSlice, part, message);
    }
}

fn check_entry(entry: &IoEntry, m: &Machine, part: &'static str, log: &mut Log) {
    let name = || format!("`{}`", entry.name);
    let mut columns: Vec<u32> = Vec::new();
    for tile in &entry.tiles {
        columns.extend(tile.lanes.iter().flatten());
        let planes = &tile.planes;
        let rows = |runs: &Vec<WordRun>| runs.iter().map(|r| u64::from(r.count)).sum::<u64>();
        let whole = planes
            .iter()
            .all(|runs| rows(runs) == u64::from(entry.rows));
        if tile.lanes.len() != 320 || planes.len() != usize::from(entry.elem.bytes()) || !whole {
            let message = format!(
                "{}: a tile has {} lanes and {} planes, expected 320 and {}, of {} rows each",
                name(),
                tile.lanes.len(),
                planes.len(),
                entry.elem.bytes(),
                entry.rows
            );
            log.part(Rule::Form, part, message);
        }
        for run in planes.iter().flatten() {
            check_run(run, m, part, name, log);
        }
    }
    columns.sort_unstable();
    let all = columns.len();
    columns.dedup();
    // Sorted and distinct: complete if they are as many as they should be and the last is the last.
    let complete = columns.len() as u64 == u64::from(entry.cols)
        && columns.last().is_none_or(|&last| last == entry.cols - 1);
    if !complete || (part == "outputs" && all != columns.len()) {
        let message = format!(
            "{}: {all} lanes name {} of {} columns",
            name(),
            columns.len(),
            entry.cols
        );
        log.part(Rule::Form, part, message);
    }
}

/// Queues and instructions, each by itself.
pub(crate) fn check_instructions(program: &Program, m: &Machine, sites: &Sites, log: &mut Log) {
    for queue in QueueId::all() {
        let unit = queue.unit();
        let mut repeatable = false;
        for (number, instr) in sites.of_queue(queue).zip(&program.queues[queue.index()]) {
            let place = Place::Dispatch {
                site: number,
                iteration: 0,
            };
            let is_repeat = matches!(instr, Instr::Repeat { .. });
            if is_repeat && !repeatable {
                log.push(Rule::Form, place, None, || {
                    "a repeat follows the instruction that it repeats".into()
                });
            }
            repeatable = !is_repeat && !matches!(instr, Instr::Nop { .. });
            for (rule, message) in instruction::faults(instr, unit, sites.times(number).count, m) {
                log.push(rule, place, None, || message);
            }
        }
    }
}

/// What `uses` names exists.
pub(crate) fn check_uses(
    program: &Program,
    sites: &Sites,
    runs: &[Vec<(WordRun, u8)>],
    log: &mut Log,
) {
    for (i, u) in program.uses.iter().enumerate() {
        let consumer = match u.consumer {
            Consumer::Instr(site) => sites.number(site).is_some(),
            Consumer::Output { entry, run } => runs
                .get(entry as usize)
                .is_some_and(|r| (run as usize) < r.len()),
        };
        let timed = matches!(u.source, Source::Clock { .. });
        if timed != (u.slot == INSTALL_TIME) {
            let message = format!(
                "record {i}: {} slot {}: expected the clock for slot {INSTALL_TIME} of an iw and for nothing else",
                consumer_name(u.consumer),
                u.slot
            );
            log.part(Rule::Form, "uses", message);
        }
        if !consumer || u.count == 0 || u.loc as usize >= program.locations.len() {
            let message = format!(
                "record {i}: {} slot {}, {} iterations, location {} of {}",
                consumer_name(u.consumer),
                u.slot,
                u.count,
                u.loc,
                program.locations.len()
            );
            log.part(Rule::Form, "uses", message);
        }
        let (made, step) = match u.source {
            Source::Dispatch { site, step, .. } => {
                let made = sites.number(site).map_or(0, |s| sites.times(s).count);
                (made, i64::from(step))
            }
            Source::Image { step, .. } => (WORDS_PER_SLICE as u32, i64::from(step)),
            Source::Clock { .. } => (1, 0),
        };
        let first = u.source.first();
        let last = i64::from(first) + step * (i64::from(u.count) - 1);
        if first >= made || !(0..i64::from(made)).contains(&last) {
            log.part(Rule::UseSource, "uses", missing_source(i, u, last, made));
        }
    }
}

fn missing_source(i: usize, u: &Use, last: i64, made: u32) -> String {
    let consumer = consumer_name(u.consumer);
    let (slot, first) = (u.slot, u.source.first());
    match u.source {
        Source::Dispatch { site, .. } => format!(
            "record {i}: {consumer} slot {slot} from iterations {first} … {last} of {}[{}], which has {made}",
            site.queue, site.index
        ),
        Source::Image { .. } => format!(
            "record {i}: {consumer} slot {slot} from words {first} … {last}, a slice has {made}"
        ),
        Source::Clock { .. } => format!("record {i}: {consumer} slot {slot} from the clock"),
    }
}

/// Every operand is covered by exactly one record.
pub(crate) fn check_cover(
    program: &Program,
    sites: &Sites,
    uses: &Uses,
    runs: &[Vec<(WordRun, u8)>],
    log: &mut Log,
) {
    for queue in QueueId::all() {
        for (number, instr) in sites.of_queue(queue).zip(&program.queues[queue.index()]) {
            let iterations = sites.times(number).count;
            let taken = instruction::slots(instr);
            let list = uses.of_site(number);
            let mut covered = 0u64;
            for same in list
                .chunk_by(|a, b| program.uses[*a as usize].slot == program.uses[*b as usize].slot)
            {
                let slot = program.uses[same[0] as usize].slot;
                let timed = slot == INSTALL_TIME && matches!(instr, Instr::Iw { .. });
                if !timed && (usize::from(slot) >= SLOTS || taken & 1 << slot == 0) {
                    let place = Place::Dispatch {
                        site: number,
                        iteration: 0,
                    };
                    let loc = Some(program.uses[same[0] as usize].loc);
                    log.push(Rule::UseUnknown, place, loc, || {
                        format!("slot {slot} is not taken")
                    });
                    continue;
                }
                covered |= 1 << slot;
                report_cover(number, slot, iterations, same, program, log);
            }
            let bare = taken & !covered;
            for slot in (0..SLOTS as u8).filter(|s| bare & 1 << s != 0) {
                report_cover(number, slot, iterations, &[], program, log);
            }
        }
    }
    for (entry, runs) in runs.iter().enumerate() {
        for (run, (words, _)) in runs.iter().enumerate() {
            let list = uses.of_run(program, entry as u32, run as u32);
            for fault in cover_faults(words.count, list, &program.uses) {
                let (rule, message) = cover_message(fault, "word");
                log.part(
                    rule,
                    "outputs",
                    format!("output {entry} run {run}: {message}"),
                );
            }
            for &i in list.iter().filter(|i| program.uses[**i as usize].slot != 0) {
                let slot = program.uses[i as usize].slot;
                log.part(
                    Rule::UseUnknown,
                    "outputs",
                    format!("output {entry} run {run}: slot {slot} is not taken"),
                );
            }
        }
    }
}

fn report_cover(
    site: u32,
    slot: u8,
    iterations: u32,
    list: &[u32],
    program: &Program,
    log: &mut Log,
) {
    for fault in cover_faults(iterations, list, &program.uses) {
        let iteration = match fault {
            CoverFault::Gap(i) | CoverFault::Twice(i, _) => i,
            CoverFault::Beyond(..) => iterations.saturating_sub(1),
        };
        let (rule, message) = cover_message(fault, "iteration");
        let place = Place::Dispatch { site, iteration };
        log.push(rule, place, None, || format!("slot {slot}: {message}"));
    }
}

fn cover_message(fault: CoverFault, turn: &str) -> (Rule, String) {
    match fault {
        CoverFault::Gap(i) => (Rule::UseMissing, format!("no record from {turn} {i} on")),
        CoverFault::Twice(i, r) => (
            Rule::UseTwice,
            format!("record {r} covers {turn} {i} again"),
        ),
        CoverFault::Beyond(i, r) => (
            Rule::UseUnknown,
            format!("record {r} covers {turn} {i}, which does not exist"),
        ),
    }
}

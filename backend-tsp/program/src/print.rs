//! The listing (`.tspasm`): a program as text, restored exactly by [`assemble`](crate::assemble).
//!
//! Before: the program is well-formed. One that is not is printed too, so that it can be looked at, but need not
//! assemble. Grammar: `docs/program-format.md`.

use std::fmt::{self, Write};

use crate::instr::{Instr, MemAccess, MemPart, Operand, ResultMode, SxmMode};
use crate::io::LANES;
use crate::program::{Consumer, ImageSegment, IoEntry, IoTile, Program, Site, Source, Use};
use crate::timeline::{Dispatch, dispatches};
use crate::unit::QueueId;

/// The listing of a program.
pub fn listing(program: &Program) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_listing(&mut out, program);
    out
}

fn write_listing(out: &mut String, program: &Program) -> fmt::Result {
    writeln!(
        out,
        ".machine {} {}",
        name(&program.machine),
        name(&program.machine_hash)
    )?;
    for location in &program.locations {
        writeln!(out, ".location {location:?}")?;
    }
    for segment in &program.image {
        image_segment(out, segment)?;
    }
    for (keyword, entries) in [(".input", &program.inputs), (".output", &program.outputs)] {
        for entry in entries {
            io_entry(out, keyword, entry)?;
        }
    }
    let times: Vec<Vec<Dispatch>> = program
        .queues
        .iter()
        .map(|queue| dispatches(queue).collect())
        .collect();
    for ((queue, instrs), times) in QueueId::all().zip(&program.queues).zip(&times) {
        if !instrs.is_empty() {
            writeln!(out, "\n.queue {queue}")?;
            let mut times = times.iter().peekable();
            for (index, instr) in instrs.iter().enumerate() {
                match times.next_if(|dispatch| dispatch.index == index) {
                    Some(dispatch) => {
                        writeln!(out, "  {:<10} {instr}", format!("@{}", dispatch.first))?
                    }
                    None => writeln!(out, "  {:10} {instr}", "")?,
                }
            }
        }
    }
    if !program.uses.is_empty() {
        writeln!(out, "\n.uses")?;
        uses(out, program, &times)?;
    }
    Ok(())
}

/// Bare if it is one plain word, else quoted.
fn name(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("{text:?}")
    }
}

fn image_segment(out: &mut String, segment: &ImageSegment) -> fmt::Result {
    writeln!(
        out,
        "\n.image MEM_{}{} {:#06x}",
        segment.hemi.letter(),
        segment.slice,
        segment.addr
    )?;
    let words: Vec<&[u8]> = segment.bytes.chunks(LANES).collect();
    for same in words.chunk_by(|a, b| a == b) {
        out.push_str("  ");
        word(out, same[0])?;
        match same.len() {
            1 => out.push('\n'),
            n => writeln!(out, " * {n}")?,
        }
    }
    Ok(())
}

fn word(out: &mut String, bytes: &[u8]) -> fmt::Result {
    let first = bytes[0];
    if bytes.iter().all(|&byte| byte == first) {
        return write!(out, "splat {first:#04x}");
    }
    if bytes
        .iter()
        .zip(0u8..=255)
        .all(|(&byte, i)| byte == first.wrapping_add(i))
        && iota_tail(bytes)
    {
        return write!(out, "iota {first:#04x}");
    }
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0);
    out.push_str("hex ");
    bytes[..=end]
        .iter()
        .try_for_each(|byte| write!(out, "{byte:02x}"))
}

/// Whether the bytes after the 256th go on as before.
fn iota_tail(bytes: &[u8]) -> bool {
    bytes.iter().skip(256).zip(bytes).all(|(a, b)| a == b)
}

fn io_entry(out: &mut String, keyword: &str, entry: &IoEntry) -> fmt::Result {
    writeln!(
        out,
        "\n{keyword} {:?} {} {}x{}",
        entry.name,
        entry.elem.name(),
        entry.rows,
        entry.cols
    )?;
    for tile in &entry.tiles {
        lanes(out, tile)?;
        for runs in &tile.planes {
            write!(out, "    plane")?;
            for run in runs {
                let (hemi, slice) = (run.hemi.letter(), run.slice);
                write!(
                    out,
                    " MEM_{hemi}{slice} {:#06x} {:+} x{}",
                    run.addr, run.step, run.count
                )?;
            }
            out.push('\n');
        }
    }
    Ok(())
}

/// `c` one column, `a..b` consecutive ones, `c*n` one column n times, `-*n` nothing n times; nothing at the end is left out.
fn lanes(out: &mut String, tile: &IoTile) -> fmt::Result {
    write!(out, "  tile")?;
    let end = tile
        .lanes
        .iter()
        .rposition(Option::is_some)
        .map_or(0, |i| i + 1);
    let mut rest = &tile.lanes[..end];
    while let Some(&first) = rest.first() {
        let same = rest.iter().take_while(|&&lane| lane == first).count();
        let used = match first {
            None => {
                write!(out, " -*{same}")?;
                same
            }
            Some(col) if same > 1 => {
                write!(out, " {col}*{same}")?;
                same
            }
            Some(col) => {
                let rising = rest
                    .iter()
                    .zip(col..)
                    .take_while(|&(&lane, next)| lane == Some(next))
                    .count();
                match rising {
                    1 => write!(out, " {col}")?,
                    _ => write!(out, " {col}..{}", u64::from(col) + rising as u64)?,
                }
                rising
            }
        };
        rest = &rest[used..];
    }
    out.push('\n');
    Ok(())
}

fn uses(out: &mut String, program: &Program, times: &[Vec<Dispatch>]) -> fmt::Result {
    let site = |at: Site| {
        let of_queue = &times[at.queue.index()];
        match of_queue.binary_search_by_key(&(at.index as usize), |dispatch| dispatch.index) {
            Ok(i) => (
                format!("{}@{}", at.queue, of_queue[i].first),
                of_queue[i].iterations(),
            ),
            Err(_) => (format!("{}#{}", at.queue, at.index), 0),
        }
    };
    let mut loc = 0;
    let mut rest = &program.uses[..];
    while let Some(record) = rest.first() {
        let (same, each) = slots(rest);
        rest = &rest[same..];
        if record.loc != loc {
            loc = record.loc;
            writeln!(out, "  at {loc}")?;
        }
        let (consumer, iterations) = match record.consumer {
            Consumer::Instr(at) => site(at),
            Consumer::Output { entry, run } => {
                let runs = program
                    .outputs
                    .get(entry as usize)
                    .and_then(|o| o.runs().nth(run as usize));
                (
                    format!("output#{entry}:{run}"),
                    runs.map_or(0, |run| run.count),
                )
            }
        };
        write!(out, "  {consumer}")?;
        match (record.consumer, same) {
            (Consumer::Output { .. }, _) => {}
            (_, 1) => write!(out, ".{}", record.slot)?,
            _ => write!(
                out,
                ".{}-{}",
                record.slot,
                usize::from(record.slot) + same - 1
            )?,
        }
        if record.first != 0 || record.count != iterations {
            write!(
                out,
                " {}..{}",
                record.first,
                u64::from(record.first) + u64::from(record.count)
            )?;
        }
        let step = match record.source {
            source
                if each == 0
                    && program.own_words(record.consumer, record.first) == Some(source) =>
            {
                writeln!(out, " <- image")?;
                continue;
            }
            Source::Clock { cycle } => {
                writeln!(out, " <- cycle {cycle}")?;
                continue;
            }
            Source::Image { word, step } => {
                write!(out, " <- image {word:#06x}")?;
                step.into()
            }
            Source::Dispatch {
                site: at,
                first,
                step,
            } => {
                write!(out, " <- {}", site(at).0)?;
                if first != 0 {
                    write!(out, " from {first}")?;
                }
                step
            }
        };
        if step != 1 {
            write!(out, " step {step:+}")?;
        }
        if each != 0 {
            write!(out, " each {each:+}")?;
        }
        out.push('\n');
    }
    Ok(())
}

/// How many of the records differ from the first only in the slot, which rises by one, and in the source's first
/// iteration, which changes by the same number each time; and that number.
fn slots(records: &[Use]) -> (usize, i64) {
    let Some(&head) = records.first() else {
        return (0, 0);
    };
    let first = |record: &Use| i64::from(record.source.first());
    let each = records
        .get(1)
        .map_or(0, |second| first(second) - first(&head));
    let follows = |k: usize, record: &Use| {
        let slot = u8::try_from(usize::from(head.slot) + k);
        let from = first(&head) + k as i64 * each;
        let source = head.source.with_first(from);
        slot.is_ok_and(|slot| {
            source.is_some_and(|source| {
                *record
                    == Use {
                        slot,
                        source,
                        ..head
                    }
            })
        })
    };
    match records
        .iter()
        .enumerate()
        .take_while(|(k, record)| follows(*k, record))
        .count()
    {
        0 | 1 => (1, 0),
        same => (same, each),
    }
}

impl fmt::Display for MemPart {
    /// Stream and words, without `read` or `write`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.access {
            MemAccess::Direct { addr, step } => write!(f, "{} {addr:#06x} {step:+}", self.stream),
            MemAccess::Mapped { bank, map } => write!(f, "{} bank {bank} map {map}", self.stream),
        }
    }
}

impl fmt::Display for SxmMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SxmMode::Back => "back",
            SxmMode::On => "on",
        })
    }
}

impl fmt::Display for Instr {
    /// As in the listing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Instr::Nop { n } => write!(f, "nop {n}"),
            Instr::Repeat { n, d } => write!(f, "repeat {n} {d}"),
            Instr::Mem { read, write } => {
                let mut between = "";
                for (part, direct, mapped) in
                    [(read, "read", "gather"), (write, "write", "scatter")]
                {
                    if let Some(part) = part {
                        let verb = if matches!(part.access, MemAccess::Direct { .. }) {
                            direct
                        } else {
                            mapped
                        };
                        write!(f, "{between}{verb} {part}")?;
                        between = ", ";
                    }
                }
                Ok(())
            }
            Instr::Alu(alu) => {
                write!(f, "{}", alu.op.name())?;
                for operand in [Some(alu.a), alu.b].into_iter().flatten() {
                    match operand {
                        Operand::Imm => write!(f, " imm:{:#010x}", alu.imm)?,
                        Operand::Stream { stream, ty } => write!(f, " {stream}:{}", ty.name())?,
                    }
                }
                let mode = match alu.mode {
                    ResultMode::Mesh => "mesh",
                    ResultMode::Out => "out",
                };
                write!(f, " -> {}:{} {mode}", alu.result, alu.ty.name())
            }
            Instr::Lw {
                j,
                step,
                b,
                f16: None,
            } => write!(f, "lw {j} {step:+} s{b}"),
            Instr::Lw {
                j,
                step,
                b,
                f16: Some(p),
            } => write!(f, "lw.f16 {j} {step:+} s{b} p{p}"),
            Instr::Iw { n, f16: None } => write!(f, "iw {n}"),
            Instr::Iw { n, f16: Some(p) } => write!(f, "iw.f16 {n} p{p}"),
            Instr::Act { stream, ty } => write!(f, "act s{stream}:{}", ty.name()),
            Instr::Out { d } => write!(f, "out -> s{d}"),
            Instr::Acc { s, d } => write!(f, "acc s{s} -> s{d}"),
            Instr::Drop => write!(f, "drop"),
            Instr::Distribute {
                mask,
                map,
                dst,
                mode,
            } => {
                write!(f, "distribute {mask:#04x} map s{map} -> s{dst} {mode}")
            }
            Instr::Transpose { src, dst, mode } => write!(f, "transpose s{src} -> s{dst} {mode}"),
            Instr::Permute {
                src,
                w,
                map,
                dst,
                mode,
            } => {
                write!(f, "permute s{src} w{w} map s{map} -> s{dst} {mode}")
            }
            Instr::Shift {
                src,
                w,
                n,
                dst,
                mode,
            } => write!(f, "shift s{src} w{w} by {n} -> s{dst} {mode}"),
        }
    }
}

//! Words of the image, tiles of inputs and outputs.

use super::instr::elem;
use super::line::{Line, Parsed, integer};
use crate::instr::ElemType;
use crate::io::{LANES, Word};
use crate::program::{IoEntry, IoTile, WordRun};
use crate::unit::{Hemisphere, SLICES};

/// `MEM_W12`.
pub(super) fn slice(line: &mut Line) -> Parsed<(Hemisphere, u8)> {
    let known = |text: &str| {
        let (hemi, slice) = match text.strip_prefix("MEM_")?.split_at_checked(1)? {
            ("W", slice) => (Hemisphere::West, slice),
            ("E", slice) => (Hemisphere::East, slice),
            _ => return None,
        };
        Some((hemi, integer(slice, 0, i64::from(SLICES) - 1)?))
    };
    line.parse("a slice MEM_W0…MEM_E43", known)
}

/// `hex`, `splat` or `iota`, and how often, at most `room` times.
pub(super) fn words(line: &mut Line, room: usize) -> Parsed<(Word, usize)> {
    if room == 0 {
        let token = line.text("a directive")?;
        return Err(line.refuse(&token, "a directive: the bank is full"));
    }
    let word = match line.parse("`hex`, `splat` or `iota`", Fill::named)? {
        Fill::Hex => line.parse("1…320 bytes in hexadecimal", hex)?,
        Fill::Splat => [line.integer("byte", 0, 255)?; LANES],
        Fill::Iota => {
            let first: u8 = line.integer("byte", 0, 255)?;
            std::array::from_fn(|lane| first.wrapping_add(lane as u8))
        }
    };
    let times = match line.next_if(|text| text == "*") {
        Some(_) => line.integer::<u16>("words", 1, room as i64)?.into(),
        None => 1,
    };
    Ok((word, times))
}

#[derive(Clone, Copy)]
enum Fill {
    Hex,
    Splat,
    Iota,
}

impl Fill {
    fn named(text: &str) -> Option<Fill> {
        match text {
            "hex" => Some(Fill::Hex),
            "splat" => Some(Fill::Splat),
            "iota" => Some(Fill::Iota),
            _ => None,
        }
    }
}

/// Missing bytes at the end are 0.
fn hex(text: &str) -> Option<Word> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    if pairs.is_empty() || pairs.len() > LANES {
        return None;
    }
    let mut word = [0; LANES];
    for (byte, &[high, low]) in word.iter_mut().zip(pairs) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = (digit(high)? * 16 + digit(low)?) as u8;
    }
    Some(word)
}

/// `"name" type ROWSxCOLS`.
pub(super) fn io_entry(line: &mut Line) -> Parsed<IoEntry> {
    let name = line.text("a name")?.text;
    let elem: ElemType = line.parse("an element type", elem)?;
    let (rows, cols) = line.parse("rows and columns like `4x320`", |text| {
        let (rows, cols) = text.split_once('x')?;
        Some((
            integer(rows, 1, u32::MAX.into())?,
            integer(cols, 1, u32::MAX.into())?,
        ))
    })?;
    Ok(IoEntry {
        name,
        elem,
        rows,
        cols,
        tiles: Vec::new(),
    })
}

/// A line inside an input or output.
pub(super) fn io_line(line: &mut Line, entry: &mut IoEntry) -> Parsed<()> {
    let expected = "`tile` or `plane`";
    let keyword = line.word(expected)?;
    match (keyword.text.as_str(), entry.tiles.last_mut()) {
        ("tile", _) => entry.tiles.push(IoTile {
            lanes: lanes(line)?,
            planes: Vec::new(),
        }),
        ("plane", Some(tile)) => tile.planes.push(runs(line)?),
        ("plane", None) => return Err(line.refuse(&keyword, "a `tile` before the first plane")),
        _ => return Err(line.refuse(&keyword, expected)),
    }
    Ok(())
}

/// `c` one column, `a..b` consecutive ones, `c*n` one column n times, `-*n` nothing n times.
fn lanes(line: &mut Line) -> Parsed<Vec<Option<u32>>> {
    const MOST: i64 = LANES as i64;
    let mut lanes = Vec::with_capacity(LANES);
    while !line.is_empty() {
        let expected = format!(
            "columns like `0..320`, `7*16` or `-*4`, for at most {} lanes",
            LANES - lanes.len()
        );
        let token = line.word(&expected)?;
        let group = || {
            let text = token.text.as_str();
            if let Some((first, end)) = text.split_once("..") {
                let first: u32 = integer(first, 0, u32::MAX.into())?;
                let end: u32 = integer(end, i64::from(first) + 1, i64::from(first) + MOST)?;
                return Some((first..end).map(Some).collect::<Vec<_>>());
            }
            let (column, times) = text.split_once('*').unwrap_or((text, "1"));
            let column = if column == "-" {
                None
            } else {
                Some(integer(column, 0, u32::MAX.into())?)
            };
            Some(vec![column; integer(times, 1, MOST)?])
        };
        let group = group().filter(|group| lanes.len() + group.len() <= LANES);
        lanes.extend(group.ok_or_else(|| line.refuse(&token, &expected))?);
    }
    lanes.resize(LANES, None);
    Ok(lanes)
}

/// `MEM_W0 0x0000 +1 x4 …`.
fn runs(line: &mut Line) -> Parsed<Vec<WordRun>> {
    let mut runs = Vec::new();
    while !line.is_empty() {
        let (hemi, slice) = slice(line)?;
        let addr = line.integer("address", 0, 0x1FFF)?;
        let step = line.integer("step", -4096, 4095)?;
        let count = line.parse("words x1…x4096", |text| {
            integer(text.strip_prefix('x')?, 1, 4096)
        })?;
        runs.push(WordRun {
            hemi,
            slice,
            addr,
            step,
            count,
        });
    }
    Ok(runs)
}

//! The `.uses` section: records, with instructions named by the cycle of their first dispatch.

use std::collections::BTreeMap;

use super::line::{Line, Parsed, Token, integer};
use crate::instr::Instr;
use crate::program::{Consumer, Program, Site, Source, Use};
use crate::timeline::{Dispatch, dispatches};
use crate::unit::QueueId;

/// What records may name: complete once all queues have been read.
pub(super) struct Names {
    queues: BTreeMap<String, QueueId>,
    times: Vec<Vec<Dispatch>>,
}

impl Names {
    pub(super) fn new(queues: &[Vec<Instr>]) -> Names {
        Names {
            queues: QueueId::all()
                .map(|queue| (queue.to_string(), queue))
                .collect(),
            times: queues
                .iter()
                .map(|queue| dispatches(queue).collect())
                .collect(),
        }
    }

    /// `MEM_W3@12` or `MEM_W3#2`, with the number of iterations.
    fn site(&self, text: &str) -> Option<(Site, u32)> {
        let (name, index) = text.split_once('#').or_else(|| text.split_once('@'))?;
        let queue = *self.queues.get(name)?;
        let times = &self.times[queue.index()];
        let number: i64 = integer(index, 0, i64::MAX)?;
        let at = match text.as_bytes().get(name.len()) {
            Some(b'#') => times.binary_search_by_key(&(number as usize), |dispatch| dispatch.index),
            _ => times.binary_search_by_key(&(number as u64), |dispatch| dispatch.first),
        };
        let dispatch = times[at.ok()?];
        Some((
            Site {
                queue,
                index: u32::try_from(dispatch.index).ok()?,
            },
            dispatch.iterations(),
        ))
    }
}

/// One line: `at N` sets the location, any other is a record for one or more slots.
pub(super) fn record(
    line: &mut Line,
    names: &Names,
    program: &mut Program,
    loc: &mut u32,
) -> Parsed<()> {
    let locations = program.locations.len() as i64;
    if line.next_if(|text| text == "at").is_some() {
        *loc = line.integer(
            "location (there are as many `.location` lines)",
            0,
            locations - 1,
        )?;
        return Ok(());
    }
    let expected = "a consumer and its slots like `MEM_W3@12.2` or `output#0:1`";
    let token = line.word(expected)?;
    if locations == 0 {
        return Err(line.refuse(&token, "a `.location` line before the uses"));
    }
    let wrong = |line: &Line, token: &Token| {
        line.refuse(
            token,
            &format!("{expected}, of an instruction that dispatches"),
        )
    };
    let (consumer, slots, iterations) =
        consumer(&token.text, names, program).ok_or_else(|| wrong(line, &token))?;
    let range = |text: &str| {
        let (first, end) = text.split_once("..")?;
        let first: u32 = integer(first, 0, u32::MAX.into())?;
        let end: u32 = integer(end, i64::from(first) + 1, u32::MAX.into())?;
        Some((first, end - first))
    };
    let (first, count) = match line.next_if(|text| text != "<-") {
        None => (0, iterations),
        Some(token) => range(&token.text)
            .ok_or_else(|| line.refuse(&token, "iterations like `0..128`, or `<-`"))?,
    };
    line.keyword("<-")?;
    let own = program.own_words(consumer, first);
    let source = source(line, names, own)?;
    for (k, slot) in slots.enumerate() {
        let source = source.for_slot(k).ok_or_else(|| wrong(line, &token))?;
        program.uses.push(Use {
            consumer,
            slot,
            first,
            count,
            source,
            loc: *loc,
        });
    }
    Ok(())
}

/// The consumer, its slots, its iterations.
fn consumer(
    text: &str,
    names: &Names,
    program: &Program,
) -> Option<(Consumer, std::ops::RangeInclusive<u8>, u32)> {
    let number = |text: &str| integer::<u32>(text, 0, u32::MAX.into());
    if let Some(rest) = text.strip_prefix("output#") {
        let (entry, run) = rest.split_once(':')?;
        let (entry, run) = (number(entry)?, number(run)?);
        let words = program
            .outputs
            .get(entry as usize)?
            .runs()
            .nth(run as usize)?
            .count;
        return Some((Consumer::Output { entry, run }, 0..=0, words));
    }
    let (site, slots) = text.rsplit_once('.')?;
    let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
    let first: u8 = integer(first, 0, 255)?;
    let last: u8 = integer(last, first.into(), 255)?;
    let (site, iterations) = names.site(site)?;
    Some((Consumer::Instr(site), first..=last, iterations))
}

/// The source of the first slot, and how its iteration or word changes from slot to slot.
struct Sources {
    first: Source,
    each: i64,
}

impl Sources {
    fn for_slot(&self, k: usize) -> Option<Source> {
        let number = i64::from(self.first.first()) + k as i64 * self.each;
        self.first.with_first(number)
    }
}

/// `cycle N`; `image` for the words that the consumer names itself, `own`; or `image` and a word with `step STEP`, `each STEP`, or an
/// instruction with `from FIRST` before these, in this order, all optional.
fn source(line: &mut Line, names: &Names, own: Option<Source>) -> Parsed<Sources> {
    let expected = "`image` or an instruction that dispatches, like `MEM_W3@12`";
    let token = line.word(expected)?;
    if token.text == "cycle" {
        let cycle = line.integer("cycle", 0, i64::MAX)?;
        let first = Source::Clock { cycle };
        return Ok(Sources { first, each: 0 });
    }
    let first = if token.text == "image" {
        if line.is_empty() {
            let first = own.ok_or_else(|| {
                line.refuse(
                    &token,
                    "`image` with a word, for other operands than that of a read",
                )
            })?;
            return Ok(Sources { first, each: 0 });
        }
        let word = line.integer("address of a word", 0, (1 << 13) - 1)?;
        let step = match line.next_if(|text| text == "step") {
            Some(_) => line.integer("step", i16::MIN.into(), i16::MAX.into())?,
            None => 1,
        };
        Source::Image { word, step }
    } else {
        let (site, _) = names
            .site(&token.text)
            .ok_or_else(|| line.refuse(&token, expected))?;
        let first = match line.next_if(|text| text == "from") {
            Some(_) => line.integer("iteration", 0, u32::MAX.into())?,
            None => 0,
        };
        let step = match line.next_if(|text| text == "step") {
            Some(_) => line.integer("step", i32::MIN.into(), i32::MAX.into())?,
            None => 1,
        };
        Source::Dispatch { site, first, step }
    };
    let each = match line.next_if(|text| text == "each") {
        Some(_) => line.integer("step from slot to slot", -(1 << 32), 1 << 32)?,
        None => 0,
    };
    Ok(Sources { first, each })
}

//! allocate: the word of every buffer.
//!
//! Before: all accesses have a cycle, all buffers a bank. After: every buffer has a first word in its bank, and buffers
//! whose lifetimes meet do not share words. What is there at cycle 0 stays for ever, and outputs stay from their first write on, so that a
//! program can be run again and read at leisure.

use std::collections::BTreeMap;

use tspc_machine::Machine;

use crate::Refusal;
use crate::problem::{Buffer, BufferId, Origin};
use crate::run::Action;
use crate::schedule::Scheduled;

/// A scheduled problem with addresses.
#[derive(Clone, Debug)]
pub struct Allocated {
    /// What was scheduled.
    pub scheduled: Scheduled,
    /// Per buffer: its first word within the bank; none if nobody reads or writes it.
    pub words: Vec<Option<u32>>,
}

/// From the first access to the last, both included.
#[derive(Clone, Copy)]
struct Life {
    start: i64,
    end: i64,
}

/// Gives every buffer its words, lowest first.
pub fn allocate(scheduled: Scheduled, machine: &Machine) -> Result<Allocated, Refusal> {
    let lives = lives(&scheduled);
    let placed = &scheduled.placed;
    let buffers = &placed.problem.buffers;
    let mut slices: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let accessed = |b: &usize| lives[*b].start <= lives[*b].end;
    for b in (0..buffers.len()).filter(accessed) {
        let place = placed.places[b].get();
        slices.entry((place.hemi, place.slice)).or_default().push(b);
    }
    let mut words = vec![0u32; buffers.len()];
    for ((hemi, slice), mut members) in slices {
        members.sort_by_key(|&b| (lives[b].start, b));
        // Per bank: live buffers, by first word.
        let mut live: [Vec<usize>; 2] = Default::default();
        for b in members {
            for bank in &mut live {
                bank.retain(|&l| lives[l].end >= lives[b].start);
            }
            let need = buffers[b].words;
            let place = placed.places[b].get();
            let word = lowest(&live[usize::from(place.bank)], need, &words, buffers);
            if word + need > machine.mem_words_per_bank {
                let held = live.each_ref().map(|bank| {
                    let words: u32 = bank.iter().map(|&l| buffers[l].words).sum();
                    format!("{words} words in {} buffers", bank.len())
                });
                return Err(Refusal {
                    location: location(&scheduled, b),
                    message: format!(
                        "MEM_{}{slice}: no room for a buffer of {need} words in bank {} at cycle {}: of {} words, bank 0 holds {}, \
                         bank 1 holds {}; a shorter sequence or fewer layers would relax it",
                        hemi.letter(),
                        place.bank,
                        lives[b].start,
                        machine.mem_words_per_bank,
                        held[0],
                        held[1],
                    ),
                });
            }
            words[b] = word;
            let bank = &mut live[usize::from(place.bank)];
            let at = bank.partition_point(|&l| words[l] < word);
            bank.insert(at, b);
        }
    }
    let words = (0..buffers.len()).map(|b| accessed(&b).then_some(words[b]));
    let words = words.collect();
    Ok(Allocated { scheduled, words })
}

/// The lowest word from which on `need` words are free.
fn lowest(live: &[usize], need: u32, words: &[u32], buffers: &[Buffer]) -> u32 {
    let mut word = 0;
    for &l in live {
        if word + need <= words[l] {
            break;
        }
        word = word.max(words[l] + buffers[l].words);
    }
    word
}

fn lives(scheduled: &Scheduled) -> Vec<Life> {
    let problem = &scheduled.placed.problem;
    let never = Life {
        start: i64::MAX,
        end: i64::MIN,
    };
    let mut lives = vec![never; problem.buffers.len()];
    for run in &scheduled.runs {
        if let Action::Read { buffer, .. } | Action::Write { buffer, .. } = run.action {
            let life = &mut lives[buffer.0 as usize];
            life.start = life.start.min(run.cycle);
            life.end = life.end.max(run.last());
        }
    }
    // The host fills inputs whether somebody reads them or not.
    let always = |(b, life): (&Buffer, &Life)| match b.origin {
        Origin::Written => false,
        Origin::Input => true,
        Origin::Constant(_) => life.start <= life.end,
    };
    for (buffer, life) in problem.buffers.iter().zip(&mut lives) {
        if always((buffer, life)) {
            (life.start, life.end) = (i64::MIN, i64::MAX);
        }
    }
    for BufferId(b) in problem
        .outputs
        .iter()
        .flat_map(|o| &o.tiles)
        .flat_map(|t| &t.1)
    {
        lives[*b as usize].end = i64::MAX;
    }
    lives
}

fn location(scheduled: &Scheduled, buffer: usize) -> String {
    let writes =
        |a: &Action| matches!(a, Action::Write { buffer: b, .. } if b.0 as usize == buffer);
    let chain = scheduled
        .runs
        .iter()
        .find(|r| writes(&r.action))
        .map(|r| r.chain as usize);
    chain.map_or(String::new(), |c| {
        scheduled.placed.problem.chains[c].location.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_lowest_gap_that_is_long_enough() {
        let buffer = |words| Buffer {
            words,
            origin: Origin::Written,
        };
        let buffers = [buffer(4), buffer(8), buffer(2)];
        let (words, live) = ([0, 10, 20], [0, 1, 2]);
        assert_eq!(lowest(&live, 6, &words, &buffers), 4);
        assert_eq!(lowest(&live, 7, &words, &buffers), 22);
        assert_eq!(lowest(&live, 2, &words, &buffers), 4);
        assert_eq!(lowest(&[], 2, &words, &buffers), 0);
    }
}

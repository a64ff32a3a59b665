//! allocate: the word of every buffer.
//!
//! Before: all accesses have a cycle. After: every buffer has a first word in its bank, and buffers whose lifetimes meet do
//! not share words. What is there at cycle 0 stays for ever, and outputs stay from their first write on, so that a
//! program can be run again and read at leisure.

use std::collections::BTreeMap;

use tspc_machine::Machine;

use crate::Refusal;
use crate::problem::{BufferId, Origin};
use crate::run::Action;
use crate::schedule::Scheduled;

/// A scheduled problem with addresses.
#[derive(Clone, Debug)]
pub struct Allocated {
    /// What was scheduled.
    pub scheduled: Scheduled,
    /// Per buffer: its first word within the bank.
    pub words: Vec<u32>,
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
    let mut banks: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (b, place) in placed.places.iter().enumerate() {
        banks
            .entry((place.hemi, place.slice, place.bank))
            .or_default()
            .push(b);
    }
    let mut words = vec![0u32; placed.places.len()];
    for ((hemi, slice, bank), mut buffers) in banks {
        buffers.sort_by_key(|&b| (lives[b].start, b));
        // Live buffers, by first word.
        let mut live: Vec<usize> = Vec::new();
        for b in buffers {
            live.retain(|&l| lives[l].end >= lives[b].start);
            let need = placed.problem.buffers[b].words;
            let mut word = 0;
            for &l in &live {
                if word + need <= words[l] {
                    break;
                }
                word = word.max(words[l] + placed.problem.buffers[l].words);
            }
            if word + need > machine.mem_words_per_bank {
                let held: u32 = live.iter().map(|&l| placed.problem.buffers[l].words).sum();
                return Err(Refusal {
                    location: location(&scheduled, b),
                    message: format!(
                        "MEM_{}{slice} bank {bank}: a buffer of {need} words is needed at cycle {}, where {} live \
                         buffers hold {held} of {} words",
                        hemi.letter(),
                        lives[b].start,
                        live.len(),
                        machine.mem_words_per_bank,
                    ),
                });
            }
            words[b] = word;
            let at = live.partition_point(|&l| words[l] < word);
            live.insert(at, b);
        }
    }
    Ok(Allocated { scheduled, words })
}

fn lives(scheduled: &Scheduled) -> Vec<Life> {
    let problem = &scheduled.placed.problem;
    let mut lives: Vec<Life> = problem
        .buffers
        .iter()
        .map(|b| match b.origin {
            Origin::Written => Life {
                start: i64::MAX,
                end: i64::MIN,
            },
            _ => Life {
                start: i64::MIN,
                end: i64::MAX,
            },
        })
        .collect();
    for run in &scheduled.runs {
        if let Action::Read { buffer, .. } | Action::Write { buffer, .. } = run.action {
            let life = &mut lives[buffer.0 as usize];
            life.start = life.start.min(run.cycle);
            life.end = life.end.max(run.last());
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

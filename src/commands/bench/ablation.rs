//! `tspc bench ablation`: what each group of rules earns.

use std::fmt::Write;

use serde_json::{Value, json};

use super::on::{On, Prepared};
use crate::cli::Failure;
use crate::compiler::{Error, Silent, scheduled};
use crate::ir::Module;
use crate::machine::Machine;
use crate::passes::egraph::saturate::{Settings, Statistics};
use crate::passes::egraph::spellings::lost;
use crate::passes::egraph::{fuse, rules};
use crate::passes::tile::tile;
use crate::progress::Progress;

/// What a set of rules leads to.
struct Row {
    /// The group that is left out; `None`: all rules.
    without: Option<&'static str>,
    /// Of the extracted terms, over all regions.
    cost: Option<u64>,
    /// Spellings that do not reach their function's program.
    lost: usize,
    /// Cycles of the program that the checker accepted, or why there is none, in a line.
    cycles: Result<u64, String>,
}

/// The whole report.
pub fn ablation(on: &On, machine: &Machine) -> Result<String, Failure> {
    let prepared = on.prepare(&on.model, on.seq_len, machine)?;
    let mut progress = Progress::new("ablation");
    let (mut rows, mut spellings) = (Vec::new(), 0);
    for without in [None]
        .into_iter()
        .chain(rules::groups().into_iter().map(Some))
    {
        progress.step(without.unwrap_or("all rules"));
        let mut settings = prepared.settings.clone();
        settings.without.extend(without);
        let (count, lost) = lost(machine, &whole(&prepared.settings), &whole(&settings))?;
        spellings = count;
        let (cost, cycles) = costs(&prepared, &settings, machine);
        rows.push(Row {
            without,
            cost,
            lost,
            cycles,
        });
    }
    drop(progress);
    if on.json {
        let row = |row: &Row| {
            json!({
                "without": row.without,
                "cost": row.cost,
                "spellings_lost": row.lost,
                "cycles": row.cycles.as_ref().ok(),
                "refused": row.cycles.as_ref().err(),
            })
        };
        let rows: Vec<Value> = rows.iter().map(row).collect();
        return Ok(on.report(
            prepared.seq_len,
            machine,
            json!({ "spellings": spellings, "rows": rows }),
        ));
    }
    let title = on.title(prepared.seq_len, machine);
    let mut out =
        format!("{title}; {spellings} spellings\n\nwithout               cost  lost    cycles\n");
    for row in &rows {
        let cost = row.cost.map_or("-".to_string(), |cost| cost.to_string());
        let cycles = match &row.cycles {
            Ok(cycles) => format!("{cycles:>9}"),
            Err(why) => why.clone(),
        };
        let _ = writeln!(
            out,
            "{:<16} {cost:>9} {:>5} {cycles}",
            row.without.unwrap_or("nothing"),
            row.lost
        );
    }
    Ok(out)
}

/// The same without what is said about one module: fuel and choices.
fn whole(settings: &Settings) -> Settings {
    Settings {
        fuel: None,
        choose: Vec::new(),
        ..settings.clone()
    }
}

/// What these settings cost.
fn costs(
    prepared: &Prepared,
    settings: &Settings,
    machine: &Machine,
) -> (Option<u64>, Result<u64, String>) {
    match fuse(&prepared.module, machine, settings, prepared.room) {
        Ok((untiled, statistics)) => {
            let cycles = cycles(&untiled, machine).map_err(|why| why.line());
            (Some(cost(&statistics)), cycles)
        }
        Err(why) => (None, Err(why.message)),
    }
}

/// Of the extracted terms, over all instances.
fn cost(statistics: &[Statistics]) -> u64 {
    let cycles = |s: &Statistics| s.cost.total() * s.instances as u64;
    statistics.iter().map(cycles).sum()
}

/// Cycles of the program, which the checker accepts.
fn cycles(untiled: &Module, machine: &Machine) -> Result<u64, Error> {
    let stream = tile(untiled, machine)?;
    let made = scheduled(&stream, machine, &mut Silent, &mut Vec::new())?;
    let cycles = made.report.cycles;
    Ok(cycles.ok_or_else(|| "the checker counted no cycles".to_string())?)
}

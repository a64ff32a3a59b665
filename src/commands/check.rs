//! `tspc check`, and how the checker's verdict is reported.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::check::{self, Report, Violation};
use crate::cli::Failure;
use crate::files;
use crate::machine::Machine;
use crate::program::{Program, Site};

/// Arguments of `check`.
#[derive(Args)]
pub struct Check {
    /// Program (.tsp) or listing (.tspasm); `-` is standard input
    program: PathBuf,
    /// Report as JSON: ok, violations [{rule, cycle, unit, instruction, message}], cycles
    #[arg(long)]
    json: bool,
}

/// `tspc check`.
pub fn check(args: &Check, machine: &Machine) -> Result<(), Failure> {
    let program = files::read_program(&args.program)?;
    let report = check::check(&program, machine);
    if args.json {
        let report = json(&program, &report);
        files::print(format!("{report:#}\n"))?;
    } else {
        files::print(table(&program, &report))?;
    }
    verdict(&report)
}

/// A failure if the program may not run.
pub fn verdict(report: &Report) -> Result<(), Failure> {
    match report.total {
        0 => Ok(()),
        1 => Err(Failure::from("the checker found 1 violation".to_string())),
        n => Err(Failure::from(format!("the checker found {n} violations"))),
    }
}

/// The report for scripts.
pub fn json(program: &Program, report: &Report) -> Value {
    let violation = |v: &Violation| {
        json!({
            "rule": v.rule.id(),
            "cycle": v.cycle,
            "unit": v.unit,
            "instruction": instruction(program, v.site),
            "iteration": v.iteration,
            "message": v.message,
            "location": v.location,
        })
    };
    json!({
        "ok": report.accepted(),
        "violations": report.violations.iter().map(violation).collect::<Vec<_>>(),
        "total": report.total,
        "cycles": report.cycles,
        "dispatches": report.dispatches,
        "text_bytes": report.text_bytes,
        "sram_words": report.sram_words,
    })
}

/// The report for people: a violation has a line, then the instruction and the part of the model that it serves.
pub fn table(program: &Program, report: &Report) -> String {
    let mut out = String::new();
    if report.accepted() {
        let cycles = report
            .cycles
            .map_or("no".into(), |cycles| cycles.to_string());
        let _ = writeln!(
            out,
            "ok: {cycles} cycles, {} dispatches, {} bytes of text, {} words of memory",
            report.dispatches, report.text_bytes, report.sram_words
        );
        return out;
    }
    let _ = writeln!(out, "{:>8}  {:<18} {:<20} message", "cycle", "rule", "unit");
    for v in &report.violations {
        let cycle = v.cycle.map_or("-".into(), |cycle| cycle.to_string());
        let iteration = match v.iteration {
            0 => String::new(),
            i => format!(" iteration {i}"),
        };
        let unit = format!("{}{iteration}", v.unit);
        let _ = writeln!(
            out,
            "{cycle:>8}  {:<18} {unit:<20} {}",
            v.rule.id(),
            v.message
        );
        if let Some(text) = instruction(program, v.site) {
            let _ = writeln!(out, "{:>10}{text}", "");
        }
        if !v.location.is_empty() {
            let _ = writeln!(out, "{:>10}for {}", "", v.location);
        }
    }
    let shown = report.violations.len() as u64;
    if shown < report.total {
        let _ = writeln!(out, "{:>10}and {} more", "", report.total - shown);
    }
    out
}

/// An instruction as in the listing.
pub fn instruction(program: &Program, site: Option<Site>) -> Option<String> {
    let Site { queue, index } = site?;
    let instr = program.queues.get(queue.index())?.get(index as usize)?;
    Some(instr.to_string())
}

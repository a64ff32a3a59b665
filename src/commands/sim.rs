//! `tspc sim`: check a program, run it, hand out its outputs and its latency.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::check;
use crate::cli::Failure;
use crate::commands::check as verdict;
use crate::files;
use crate::machine::Machine;
use crate::program::{IoEntry, Program};
use crate::progress::Progress;
use crate::sim::{Fault, Options, Outcome, simulate_with};
use crate::tensors::{self, Tensors};

/// Arguments of `sim`.
#[derive(Args)]
pub struct Sim {
    /// Program (.tsp) or listing (.tspasm); `-` is standard input
    program: PathBuf,
    /// The program's inputs: one tensor for each, with its name, type and shape
    #[arg(long, value_name = "FILE.safetensors")]
    input: Option<PathBuf>,
    /// Where the outputs go
    #[arg(long, value_name = "FILE.safetensors")]
    output: Option<PathBuf>,
    /// Print the first N elements of each row of each output
    #[arg(long, value_name = "N", default_value_t = 0)]
    show: usize,
    /// Do not run the checker first
    #[arg(long)]
    no_check: bool,
    /// Report as JSON: ok, cycles, latency_us, clock_mhz, or the violations or the fault
    #[arg(long)]
    json: bool,
}

/// `tspc sim`.
pub fn sim(args: &Sim, machine: &Machine) -> Result<(), Failure> {
    let program = files::read_program(&args.program)?;
    if !args.no_check {
        let report = check::check(&program, machine);
        if !report.accepted() {
            files::print(match args.json {
                true => format!("{:#}\n", verdict::json(&program, &report)),
                false => verdict::table(&program, &report),
            })?;
            return verdict::verdict(&report);
        }
    }
    let inputs = inputs(args, &program)?;
    let mut progress = Progress::new("simulating");
    let mut at = |done, total| progress.at(done, total);
    let options = Options {
        progress: Some(&mut at),
    };
    let outcome = simulate_with(&program, machine, &inputs, options);
    drop(progress);
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(fault) => {
            if args.json {
                files::print(format!("{:#}\n", fault_json(&program, &fault)))?;
            }
            return Err(Failure::from(fault_text(&program, &fault)));
        }
    };
    if let Some(path) = &args.output {
        let bytes = tensors::write(&outcome.outputs, &program.outputs)?;
        files::write(path, &bytes)?;
    }
    Ok(files::print(match args.json {
        true => format!("{:#}\n", outcome_json(&program, machine, &outcome)),
        false => outcome_text(&program, machine, &outcome, args.show),
    })?)
}

fn inputs(args: &Sim, program: &Program) -> Result<Tensors, Failure> {
    match &args.input {
        Some(path) => {
            let bytes = files::read(path)?;
            Ok(tensors::read(
                &path.display().to_string(),
                &bytes,
                &program.inputs,
            )?)
        }
        None if program.inputs.is_empty() => Ok(Tensors::new()),
        None => {
            let wanted: Vec<_> = program
                .inputs
                .iter()
                .map(|entry| format!("`{}` {}", entry.name, tensors::describe(entry)))
                .collect();
            Err(Failure::from(format!(
                "the program needs --input with {}",
                wanted.join(", ")
            )))
        }
    }
}

fn microseconds(machine: &Machine, cycles: u64) -> f64 {
    cycles as f64 / f64::from(machine.clock_mhz)
}

fn outcome_json(program: &Program, machine: &Machine, outcome: &Outcome) -> Value {
    let output = |entry: &IoEntry| json!({"name": entry.name, "type": entry.elem.name(), "rows": entry.rows, "cols": entry.cols});
    json!({
        "ok": true,
        "cycles": outcome.cycles,
        "latency_us": microseconds(machine, outcome.cycles),
        "clock_mhz": machine.clock_mhz,
        "machine": machine.name,
        "end": outcome.end,
        "dispatches": outcome.dispatches.iter().sum::<u64>(),
        "activations": outcome.acts,
        "outputs": program.outputs.iter().map(output).collect::<Vec<_>>(),
        "program_sha256": program.sha256(),
    })
}

fn outcome_text(program: &Program, machine: &Machine, outcome: &Outcome, show: usize) -> String {
    let mut out = String::new();
    let us = microseconds(machine, outcome.cycles);
    let _ = writeln!(out, "cycles       {}", outcome.cycles);
    let _ = writeln!(out, "latency      {us:.3} us at {} MHz", machine.clock_mhz);
    let _ = writeln!(out, "last cycle   {}", outcome.end.saturating_sub(1));
    let _ = writeln!(
        out,
        "dispatches   {}",
        outcome.dispatches.iter().sum::<u64>()
    );
    let [a, b, c, d] = outcome.acts;
    let _ = writeln!(out, "activations  {a} {b} {c} {d}");
    for entry in program.outputs.iter().filter(|_| show > 0) {
        let data = outcome
            .outputs
            .get(&entry.name)
            .map_or(&[][..], Vec::as_slice);
        let cols = entry.cols as usize;
        for row in 0..entry.rows as usize {
            let elements: Vec<_> = (0..cols.min(show))
                .filter_map(|col| tensors::element(entry.elem, data, row * cols + col))
                .collect();
            let _ = writeln!(out, "{}[{row}] {}", entry.name, elements.join(" "));
        }
    }
    out
}

fn fault_json(program: &Program, fault: &Fault) -> Value {
    json!({"ok": false, "fault": {
        "rule": fault.kind.id(),
        "cycle": fault.cycle,
        "unit": fault.unit.map(|unit| unit.to_string()),
        "instruction": verdict::instruction(program, fault.at.map(|at| at.site)),
        "iteration": fault.at.map_or(0, |at| at.iteration),
        "message": fault.message,
        "location": fault.location,
    }})
}

/// Rule, cycle and unit in the first line, then the instruction as in the listing and whom it serves.
fn fault_text(program: &Program, fault: &Fault) -> String {
    let unit = fault.unit.map_or("host".into(), |unit| unit.to_string());
    let iteration = match fault.at {
        Some(at) if at.iteration > 0 => format!(" iteration {}", at.iteration),
        _ => String::new(),
    };
    let mut out = format!(
        "fault {} in cycle {}, {unit}{iteration}: {}",
        fault.kind.id(),
        fault.cycle,
        fault.message
    );
    if let Some(text) = verdict::instruction(program, fault.at.map(|at| at.site)) {
        let _ = write!(out, "\n  {text}");
    }
    if let Some(location) = &fault.location {
        let _ = write!(out, "\n  for {location}");
    }
    out
}

//! `tspc blame`: what fixed a cycle of a program, from the program alone.

use std::path::PathBuf;

use clap::Args;

use crate::check;
use crate::cli::Failure;
use crate::commands::check as verdict;
use crate::files;
use crate::machine::Machine;
use crate::report::blame::{Chain, last_output};
use crate::report::waits::Waits;

/// Arguments of `blame`.
#[derive(Args)]
#[command(
    after_help = "A run is all that streams tie together, from reads through planes and ALUs to writes: it moves as one. \
                  A line is a run, later ones first: the dispatch that could not be earlier, the dispatch through which \
                  the line above waits for it, and of all that the run waits for what leaves it the least slack. Slack \
                  that is not 0 is what operands, planes and queues do not explain: a stream, or the scheduler's choice."
)]
pub struct Blame {
    /// Program (.tsp) or listing (.tspasm); `-` is standard input
    program: PathBuf,
    /// Start from the last dispatch in this cycle or before; by default from the write that fixes the latency
    cycle: Option<u64>,
    /// Print this many lines at most
    #[arg(long, value_name = "N", default_value_t = 60)]
    lines: usize,
    /// Report as JSON: dispatch, steps [{cycle, unit, instruction, iteration, location, needed, waits_for}]
    #[arg(long)]
    json: bool,
}

/// `tspc blame`.
pub fn blame(args: &Blame, machine: &Machine) -> Result<(), Failure> {
    let program = files::read_program(&args.program)?;
    let checked = check::check(&program, machine);
    if !checked.accepted() {
        files::print(verdict::table(&program, &checked))?;
        return verdict::verdict(&checked);
    }
    let waits = Waits::new(&program, machine);
    let start = match args.cycle {
        None => last_output(&waits)
            .ok_or("no instruction writes an output: name a cycle".to_string())?,
        Some(cycle) => {
            let cycles = checked.cycles.unwrap_or_else(|| waits.end());
            if cycle >= cycles {
                return Err(format!(
                    "cycle {cycle} is beyond the program, which ends after {cycles} cycles"
                )
                .into());
            }
            waits
                .last_until(cycle)
                .ok_or(format!("nothing dispatches in cycle {cycle} or before"))?
        }
    };
    let chain = Chain::new(&waits, start);
    Ok(files::print(match args.json {
        true => format!("{:#}\n", chain.json()),
        false => chain.text(args.lines),
    })?)
}

//! `tspc report`: where a program's cycles go, from the program alone.

use std::path::PathBuf;

use clap::Args;

use crate::check;
use crate::cli::Failure;
use crate::commands::check as verdict;
use crate::files;
use crate::machine::Machine;
use crate::program::{MxmQueue, QueueId, Unit, dispatches};
use crate::report::bounds::Bounds;
use crate::report::phases::usage;
use crate::report::sheet::{Sheet, sizes};
use crate::report::waits::Waits;
use crate::report::why::Why;

/// Arguments of `report`.
#[derive(Args)]
pub struct Report {
    /// Program (.tsp) or listing (.tspasm); `-` is standard input
    program: PathBuf,
    /// Say why: lower bounds of the whole, the layers and the phases, and what the MXM waited for
    #[arg(long)]
    why: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// `tspc report`.
pub fn report(args: &Report, machine: &Machine) -> Result<(), Failure> {
    let program = files::read_program(&args.program)?;
    let checked = check::check(&program, machine);
    if !checked.accepted() {
        files::print(verdict::table(&program, &checked))?;
        return verdict::verdict(&checked);
    }
    let mut activations = [0u64; 4];
    for queue in QueueId::all() {
        if let Unit::Mxm(hemi, plane, MxmQueue::Activation) = queue.unit() {
            let all = dispatches(&program.queues[queue.index()]);
            let plane = 2 * hemi.index() + usize::from(plane);
            activations[plane] = all.map(|d| u64::from(d.iterations())).sum();
        }
    }
    let cycles = checked.cycles.unwrap_or(0);
    let (text_bytes, sram_words, host_bytes) = sizes(&program, &checked);
    let first = program.inputs.first();
    let sheet = Sheet {
        model: args.program.display().to_string(),
        precision: "as compiled".to_string(),
        seq_len: first.map_or(0, |i| i.rows as usize),
        cycles,
        activations,
        usage: usage(&program, machine, cycles),
        bounds: Bounds::new(),
        text_bytes,
        sram_words,
        host_bytes,
        sha256: program.sha256(),
        cosine: None,
        seconds: None,
    };
    let why = args
        .why
        .then(|| Why::new(&Waits::new(&program, machine), machine, checked.cycles));
    Ok(files::print(match args.json {
        true => {
            let mut json = sheet.json(machine);
            if let Some(why) = why {
                json["why"] = why.json();
            }
            format!("{json:#}\n")
        }
        false => sheet.text(machine) + &why.map_or(String::new(), |w| w.text()),
    })?)
}

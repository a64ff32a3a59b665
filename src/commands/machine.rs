//! `tspc machine` and the text of `--version`.

use clap::Args;
use serde_json::json;

use crate::cli::Failure;
use crate::files;
use crate::ir::constant::SIDE_FILE_VERSION;
use crate::machine::Machine;
use crate::passes::egraph::proof;
use crate::program::FORMAT_VERSION;

/// Arguments of `machine`.
#[derive(Args)]
pub struct Numbers {
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// `tspc machine`: every number with status and source.
pub fn machine(args: &Numbers, machine: &Machine) -> Result<(), Failure> {
    if args.json {
        let numbers: Vec<_> = machine
            .entries
            .iter()
            .map(|e| json!({"key": e.key, "value": e.value, "status": e.status.name(), "source": e.source}))
            .collect();
        let report = json!({"machine": machine.name, "hash": machine.hash, "numbers": numbers});
        Ok(files::print(format!("{report:#}\n"))?)
    } else {
        Ok(files::print(machine.to_markdown())?)
    }
}

/// Version of the compiler, of the formats that it writes, and the default machine file's hash.
pub fn version() -> String {
    let machine = Machine::tsp_v1();
    format!(
        "{}\nprogram format {FORMAT_VERSION}\nconstants file format {SIDE_FILE_VERSION}\nproof format {}\nmachine {} {}",
        env!("CARGO_PKG_VERSION"),
        proof::VERSION,
        machine.name,
        machine.hash
    )
}

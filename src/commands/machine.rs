//! `tspc machine` and the text of `--version`.

use serde_json::json;

use crate::cli::Failure;
use crate::machine::Machine;

/// `tspc machine`: every number with status and source.
pub fn machine(machine: &Machine, as_json: bool) -> Result<(), Failure> {
    if as_json {
        let numbers: Vec<_> = machine
            .entries
            .iter()
            .map(|e| json!({"key": e.key, "value": e.value, "status": e.status.name(), "source": e.source}))
            .collect();
        let report = json!({"machine": machine.name, "hash": machine.hash, "numbers": numbers});
        println!("{report:#}");
    } else {
        print!("{}", machine.to_markdown());
    }
    Ok(())
}

/// Version of the compiler, of the formats that it writes, and the default machine file's hash.
pub fn version() -> String {
    let machine = Machine::tsp_v1();
    format!(
        "{}\nmachine {} {}",
        env!("CARGO_PKG_VERSION"),
        machine.name,
        machine.hash
    )
}

//! What is told about the e-graph beside the result: options of the commands that run the pass.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Failure;
use crate::files;
use crate::ir::Module;
use crate::machine::Machine;
use crate::passes::egraph::explain::{Explained, dump, explain, remarks, text};
use crate::passes::egraph::saturate::Settings;

/// What is told.
#[derive(Args)]
pub struct Told {
    /// Write what the e-graph did to this file, a JSON object a line: regions, fusions, limits that were met
    #[arg(long, value_name = "FILE")]
    remarks: Option<PathBuf>,
    /// Print e-nodes, rounds, and matches and applications of each rule to standard error
    #[arg(long)]
    stats: bool,
    /// Write the e-graph of each distinct region into this directory, as egraph-serialize JSON and as dot
    #[arg(long, value_name = "DIR")]
    dump_egraph: Option<PathBuf>,
}

impl Told {
    /// Whether anything is asked for.
    pub fn wanted(&self) -> bool {
        self.remarks.is_some() || self.stats || self.dump_egraph.is_some()
    }

    /// Tells what the pass does with these settings to a module.
    pub fn tell(
        &self,
        module: &Module,
        machine: &Machine,
        settings: &Settings,
    ) -> Result<(), Failure> {
        let explained = explain(module, machine, settings).map_err(|d| vec![d])?;
        if self.stats {
            eprint!("{}", text(&explained, false));
        }
        if let Some(path) = &self.remarks {
            files::write(path, lines(&explained).as_bytes())?;
        }
        match &self.dump_egraph {
            Some(directory) => dump_to(directory, &explained),
            None => Ok(()),
        }
    }
}

/// Remarks as JSON lines.
pub fn lines(explained: &Explained) -> String {
    let lines = remarks(explained).into_iter();
    lines.map(|line| format!("{line}\n")).collect()
}

/// Writes the e-graphs.
pub fn dump_to(directory: &Path, explained: &Explained) -> Result<(), Failure> {
    files::create_directory(directory)?;
    for (region, distinct) in explained.distinct.iter().enumerate() {
        let json = serde_json::to_string_pretty(&dump::json(explained, distinct));
        let json = json.map_err(|e| e.to_string())? + "\n";
        files::write(
            &directory.join(format!("region{region}.json")),
            json.as_bytes(),
        )?;
        let dot = dump::dot(distinct);
        files::write(
            &directory.join(format!("region{region}.dot")),
            dot.as_bytes(),
        )?;
    }
    Ok(())
}

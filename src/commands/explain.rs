//! `tspc explain`: what the e-graph fused, by which rules, and at what cost.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::source::Source;
use super::told;
use crate::cli::Failure;
use crate::files;
use crate::machine::Machine;
use crate::passes::egraph::explain::{explain as explained, text};

/// Arguments of `explain`.
#[derive(Args)]
#[command(group(ArgGroup::new("module").args(["file", "model"]).required(true)))]
pub struct Explain {
    #[command(flatten)]
    source: Source,
    /// Report as JSON, an object a line
    #[arg(long)]
    json: bool,
    /// Write the e-graph of each distinct region into this directory, as egraph-serialize JSON and as dot
    #[arg(long, value_name = "DIR")]
    dump_egraph: Option<PathBuf>,
}

/// `tspc explain`.
pub fn explain(args: &Explain, machine: &Machine) -> Result<(), Failure> {
    let module = args.source.module(machine)?;
    let settings = args.source.settings(machine)?;
    let explained = explained(&module, machine, &settings).map_err(|d| vec![d])?;
    if let Some(directory) = &args.dump_egraph {
        told::dump_to(directory, &explained)?;
    }
    Ok(files::print(match args.json {
        true => told::lines(&explained),
        false => text(&explained, true),
    })?)
}

//! `tspc explain`: what the e-graph fused, by which rules, and at what cost.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::source::Source;
use super::told;
use crate::cli::Failure;
use crate::files;
use crate::machine::Machine;
use crate::passes::egraph::explain::{explain as explained, text};
use crate::passes::egraph::proof::produce::prove;

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
    /// Write why what was extracted equals the model into this directory, as `egraph.proof` for `tspc check-proof`
    #[arg(long, value_name = "DIR")]
    proof: Option<PathBuf>,
}

/// `tspc explain`.
pub fn explain(args: &Explain, machine: &Machine) -> Result<(), Failure> {
    let module = args.source.module(machine)?;
    let settings = args.source.settings(machine)?;
    let explained = explained(&module, machine, &settings).map_err(|d| vec![d])?;
    if let Some(directory) = &args.dump_egraph {
        told::dump_to(directory, &explained)?;
    }
    if let Some(directory) = &args.proof {
        let proof = prove(&module, machine, &settings).map_err(|d| vec![d])?;
        files::create_directory(directory)?;
        files::write(&directory.join("egraph.proof"), proof.to_json()?.as_bytes())?;
    }
    Ok(files::print(match args.json {
        true => told::lines(&explained),
        false => text(&explained, true),
    })?)
}

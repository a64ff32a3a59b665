//! `tspc prove`: why the terms that the e-graph extracts equal those of the model, as a file for `tspc check-proof`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::source::Source;
use crate::cli::Failure;
use crate::files;
use crate::machine::Machine;
use crate::passes::egraph::proof::produce;

/// Arguments of `prove`.
#[derive(Args)]
#[command(group(ArgGroup::new("module").args(["file", "model"]).required(true)))]
pub struct Prove {
    #[command(flatten)]
    source: Source,
    /// Where the proof goes
    #[arg(short, long, value_name = "PROOF", default_value = files::STANDARD)]
    output: PathBuf,
}

/// `tspc prove`: a proof is checked before it is given out.
pub fn prove(args: &Prove, machine: &Machine) -> Result<(), Failure> {
    let module = args.source.module(machine)?;
    let settings = args.source.settings(machine)?;
    let proof = produce::prove(&module, machine, &settings).map_err(|d| vec![d])?;
    Ok(files::write(&args.output, proof.to_json()?.as_bytes())?)
}

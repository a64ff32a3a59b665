//! `tspc bench`: what programs cost by size, machine and layers; what the e-graph's rules earn and what it takes.
//!
//! Every figure that is not called this host's is exact: the same on any host.

mod ablation;
mod egraph;
mod growth;
mod measure;
mod on;
mod scaling;
mod sensitivity;
mod table;

use clap::{Args, Subcommand};

use crate::cli::Failure;
use crate::files;
use crate::machine::Machine;

/// Arguments of `bench`.
#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Cycles, bounds and gaps of models at several lengths and precisions
    Scaling(scaling::Scaling),
    /// Cycles on other machines: the embedded files, and one number at a time
    Sensitivity(sensitivity::Sensitivity),
    /// Cycles, text, time and memory of 1 to 24 layers
    Growth(growth::Growth),
    /// Cost, cycles and spellings lost with all rules, and with each group of rules left out
    Ablation(on::On),
    /// Seconds, memory and size of saturation and extraction; how often 1, 12 and 24 layers are saturated
    Egraph(on::On),
}

/// `tspc bench`.
pub fn bench(args: &Bench, machine: &Machine) -> Result<(), Failure> {
    let report = match &args.what {
        What::Scaling(args) => scaling::scaling(args, machine),
        What::Sensitivity(args) => sensitivity::sensitivity(args, machine),
        What::Growth(args) => growth::growth(args, machine),
        What::Ablation(on) => ablation::ablation(on, machine),
        What::Egraph(on) => egraph::egraph(on, machine),
    };
    Ok(files::print(report?)?)
}

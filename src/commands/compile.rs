//! `tspc compile`: a model to a program, or to the text of a level on the way.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::model::ModelArgs;
use super::told::Told;
use crate::cli::Failure;
use crate::compiler::Compiled;
use crate::files;
use crate::ir::{Module, text};
use crate::machine::Machine;
use crate::passes::Pipeline;
use crate::passes::egraph::PASS;
use crate::program::listing;

/// Arguments of `compile`.
#[derive(Args)]
pub struct Compile {
    /// Hugging Face folder, preset (bert-base, bert-tiny, …) or geometry (L=2,H=128,heads=2,ffn=512)
    #[arg(long, value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    how: ModelArgs,
    /// Tokens that the program takes; 128, or all that the model has positions for if fewer
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    /// What to give out
    #[arg(long, value_enum, default_value_t = Emit::Program)]
    emit: Emit,
    /// Where the side file goes with the constants that printed IR only names
    #[arg(long, value_name = "FILE")]
    write_constants: Option<PathBuf>,
    #[command(flatten)]
    told: Told,
    /// Print the location of every op
    #[arg(long)]
    print_locations: bool,
    /// Where the result goes
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// The levels.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// IR text of what the model computes, before quantisation
    Tensor,
    /// IR text after quantisation
    Quantised,
    /// IR text of the tiled streams
    Stream,
    /// IR text of the instructions, with place, time and address
    Tsp,
    /// Container
    Program,
    /// Listing
    Listing,
}

/// `tspc compile`.
pub fn compile(args: &Compile, machine: &Machine) -> Result<(), Failure> {
    let model = args.how.open(&args.model)?;
    let seq_len = ModelArgs::seq_len(&model, args.seq_len)?;
    let (compiled, _) = args.how.compile(&model, seq_len, machine)?;
    if args.told.wanted() {
        let pipeline = Pipeline::parse(&args.how.pass_pipeline).map_err(|d| vec![d])?;
        if let Some((_, options)) = pipeline.before(PASS.name) {
            args.told.tell(&compiled.quantised, machine, options)?;
        }
    }
    let Compiled {
        tensor,
        quantised,
        stream,
        tsp,
        program,
        ..
    } = compiled;
    let module = match args.emit {
        Emit::Tensor => tensor,
        Emit::Quantised => quantised,
        Emit::Stream => stream,
        Emit::Tsp => tsp.into_module(),
        Emit::Program => return Ok(files::write(&args.output, &program.to_bytes())?),
        Emit::Listing => return Ok(files::write(&args.output, listing(&program).as_bytes())?),
    };
    if let Some(path) = &args.write_constants {
        files::write(path, &module.consts().write_side_file())?;
    }
    Ok(files::write(&args.output, print(args, &module).as_bytes())?)
}

fn print(args: &Compile, module: &Module) -> String {
    match args.print_locations {
        true => text::print(module),
        false => text::print_without_locations(module),
    }
}

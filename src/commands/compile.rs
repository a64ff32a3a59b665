//! `tspc compile`: a model to a program, or to the text of a level on the way.

use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};

use super::model::ModelArgs;
use super::told::Told;
use crate::candidates::improved;
use crate::cli::Failure;
use crate::compiler::Compiled;
use crate::files;
use crate::ir::{Module, text};
use crate::machine::Machine;
use crate::passes::Pipeline;
use crate::passes::egraph::decode::pipelines::Room;
use crate::passes::egraph::saturate::Settings;
use crate::passes::egraph::{CANDIDATES, PASS, configure};
use crate::program::listing;
use crate::progress::Progress;

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
    /// Schedule up to this many terms of each distinct region of the e-graph, the cheapest first, and keep the program
    /// with the fewest cycles
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = value_parser!(u8).range(1..=CANDIDATES as i64))]
    candidates: u8,
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
    let (mut compiled, _) = args.how.compile(&model, seq_len, machine)?;
    let pipeline = Pipeline::parse(&args.how.pass_pipeline).map_err(|d| vec![d])?;
    if let Some((_, options)) = pipeline.before(PASS.name) {
        let (mut settings, room) = configure(machine, options).map_err(|d| vec![d])?;
        if args.candidates > 1 {
            (compiled, settings.choose) = chosen(args, compiled, machine, &settings, room)?;
        }
        if args.told.wanted() {
            args.told.tell(&compiled.quantised, machine, &settings)?;
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

/// The best of the candidates, and how the pass is told to choose it; what was tried goes to standard error.
fn chosen(
    args: &Compile,
    compiled: Compiled,
    machine: &Machine,
    settings: &Settings,
    room: Room,
) -> Result<(Compiled, Vec<usize>), Failure> {
    if !settings.choose.is_empty() {
        let why = "the passes choose terms already; --candidates leaves nothing to choose";
        return Err(why.to_string().into());
    }
    let mut progress = Progress::new("candidates");
    let count = usize::from(args.candidates);
    let (compiled, trials) = improved(compiled, machine, settings, room, count, &mut progress)?;
    drop(progress);
    for trial in &trials {
        match &trial.cycles {
            Ok(cycles) => eprintln!("egraph{{{}}}: {cycles} cycles", trial.option()),
            Err(why) => eprintln!("egraph{{{}}}: no program: {why}", trial.option()),
        }
    }
    let best = trials.into_iter().filter(|t| t.cycles.is_ok());
    let best = best.min_by_key(|t| t.cycles.clone().unwrap_or(u64::MAX));
    Ok((compiled, best.map_or(Vec::new(), |t| t.choose)))
}

fn print(args: &Compile, module: &Module) -> String {
    match args.print_locations {
        true => text::print(module),
        false => text::print_without_locations(module),
    }
}

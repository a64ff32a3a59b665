//! `tspc opt`: IR text in, verified, through passes, and out again as text or program.
//!
//! May not know what a pass does; ranges of a calibration, which int8 needs, do not come with a text.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::told::Told;
use crate::cli::Failure;
use crate::codegen::{self, Refusal};
use crate::files;
use crate::ir::stage::{Stream, Tsp};
use crate::ir::{ConstPool, Diagnostic, Module, Place, text, verify};
use crate::machine::Machine;
use crate::passes::egraph::{PASS, configure};
use crate::passes::{Context, Pipeline, Precision};
use crate::program::listing;

/// Between the modules of a text that `--split-input-file` cuts.
const SEPARATOR: &str = "// -----";

/// Arguments of `opt`.
#[derive(Args)]
pub struct Opt {
    /// IR text (.tspc); `-` is standard input
    file: PathBuf,
    /// Side file with the constants that the text only names
    #[arg(long, value_name = "FILE")]
    constants: Option<PathBuf>,
    /// Where the side file goes with the constants that the printed IR only names
    #[arg(long, value_name = "FILE")]
    write_constants: Option<PathBuf>,
    /// Passes to run, in order, as in `canonicalise,quantise{precision=fp16}`; see `tspc passes`
    #[arg(long, value_name = "PASSES", default_value = "")]
    pass_pipeline: String,
    /// Print the module after this pass to standard error; may be given several times, `all` is every pass
    #[arg(long, value_name = "PASS")]
    print_ir_after: Vec<String>,
    #[command(flatten)]
    told: Told,
    /// Print the time that each pass took to standard error
    #[arg(long)]
    timing: bool,
    /// What to give out; all but IR text of the last pass need a tiled `stream` module
    #[arg(long, value_enum, default_value_t = Emit::Ir)]
    emit: Emit,
    /// Print the location of every op
    #[arg(long)]
    print_locations: bool,
    /// Read, verify and run the passes, but give nothing out
    #[arg(long)]
    verify_only: bool,
    /// The text holds several modules, with lines `// -----` between them; each is treated by itself
    #[arg(long, conflicts_with_all = ["write_constants"])]
    split_input_file: bool,
    /// Where the result goes
    #[arg(short, long, value_name = "FILE", default_value = files::STANDARD)]
    output: PathBuf,
}

/// What `opt` gives out.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// IR text after the last pass
    Ir,
    /// IR text of the `tsp` dialect
    Tsp,
    /// Container
    Program,
    /// Listing
    Listing,
}

/// `tspc opt`.
pub fn opt(args: &Opt, machine: &Machine) -> Result<(), Failure> {
    let source = files::read_text(&args.file)?;
    let side = match &args.constants {
        Some(path) => ConstPool::read_side_file(&files::read(path)?)
            .map_err(|e| format!("{}: {e}", path.display()))?,
        None => ConstPool::default(),
    };
    let pieces = match args.split_input_file {
        true => split(&source),
        false => vec![source],
    };
    let name = args.file.display().to_string();
    let pipeline = Pipeline::parse(&args.pass_pipeline).map_err(|d| vec![d])?;
    let context = Context {
        machine: machine.clone(),
        ranges: None,
        precision: Precision::parse("int8").map_err(|d| vec![d])?,
    };
    let mut modules = Vec::new();
    let mut errors = Vec::new();
    for piece in &pieces {
        let module = match module(&name, piece, &side) {
            Ok(module) => module,
            Err(found) => {
                errors.extend(found);
                continue;
            }
        };
        // First, so that it also tells of a module that the pass refuses.
        if args.told.wanted()
            && let Some((before, options)) = pipeline.before(PASS.name)
        {
            let taken = before.run(module.clone(), &context, &mut |_, _| {})?;
            let (settings, _) = configure(machine, options).map_err(|d| vec![d])?;
            args.told.tell(&taken.module, machine, &settings)?;
        }
        match run(args, &pipeline, module, &context) {
            Ok(module) => modules.push(module),
            Err(found) => errors.extend(found),
        }
    }
    if !errors.is_empty() {
        return Err(Failure::from(errors));
    }
    if args.verify_only {
        return Ok(());
    }
    let emitted: Result<Vec<_>, Failure> = modules
        .iter()
        .map(|module| emit(args, module, machine))
        .collect();
    let separator = format!("{SEPARATOR}\n");
    let bytes = emitted?.join(separator.as_bytes());
    Ok(files::write(&args.output, &bytes)?)
}

/// The pieces between separators, each with the lines before it left empty, so that places stay true.
fn split(source: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut lines = 0;
    for line in source.lines() {
        lines += 1;
        if line.trim_end() == SEPARATOR {
            pieces.push("\n".repeat(lines));
        } else if let Some(piece) = pieces.last_mut() {
            *piece += line;
            piece.push('\n');
        }
    }
    pieces
}

fn module(name: &str, source: &str, side: &ConstPool) -> Result<Module, Vec<Diagnostic>> {
    let module = text::parse(name, source, side).map_err(|d| vec![d])?;
    verify(&module)?;
    Ok(module)
}

fn run(
    args: &Opt,
    pipeline: &Pipeline,
    module: Module,
    context: &Context,
) -> Result<Module, Vec<Diagnostic>> {
    let wanted = |pass: &str| args.print_ir_after.iter().any(|w| w == pass || w == "all");
    let mut after = |pass: &str, module: &Module| {
        if wanted(pass) {
            eprint!("// after {pass}\n{}", print(args, module));
        }
    };
    let outcome = pipeline.run(module, context, &mut after)?;
    for (pass, time) in outcome.timings.iter().filter(|_| args.timing) {
        eprintln!("{pass:<16} {:>9.3} ms", time.as_secs_f64() * 1e3);
    }
    Ok(outcome.module)
}

fn print(args: &Opt, module: &Module) -> String {
    match args.print_locations {
        true => text::print(module),
        false => text::print_without_locations(module),
    }
}

/// What `--emit` asks for; the side file is that of the last IR on the way there.
fn emit(args: &Opt, module: &Module, machine: &Machine) -> Result<Vec<u8>, Failure> {
    let refused = |refusal: Refusal| {
        vec![Diagnostic::new(
            refusal.message,
            Place::named(refusal.location),
        )]
    };
    let lowered = match args.emit {
        Emit::Ir => None,
        _ => {
            let stream = Stream::new(module.clone())?;
            Some(codegen::lower(stream.module(), machine).map_err(refused)?)
        }
    };
    let last = lowered.as_ref().map_or(module, Tsp::module);
    let bytes = match (&lowered, args.emit) {
        (None, _) | (_, Emit::Ir | Emit::Tsp) => print(args, last).into_bytes(),
        (Some(tsp), Emit::Program) => codegen::emit(tsp, machine).map_err(refused)?.to_bytes(),
        (Some(tsp), Emit::Listing) => {
            listing(&codegen::emit(tsp, machine).map_err(refused)?).into_bytes()
        }
    };
    if let Some(path) = &args.write_constants {
        files::write(path, &last.consts().write_side_file())?;
    }
    Ok(bytes)
}

//! `tspc asm` and `tspc disasm`: between listing and container.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Failure;
use crate::files;
use crate::program::listing;

/// Arguments of `asm`.
#[derive(Args)]
pub struct Asm {
    /// Listing (.tspasm); `-` is standard input
    #[arg(value_name = "FILE.tspasm")]
    file: PathBuf,
    /// Where the program goes; `-` is standard output
    #[arg(short, long, value_name = "FILE.tsp")]
    output: PathBuf,
}

/// `tspc asm`.
pub fn assemble(args: &Asm) -> Result<(), Failure> {
    let text = files::read_text(&args.file)?;
    let program = files::assemble(&text, &args.file.display().to_string())?;
    Ok(files::write(&args.output, &program.to_bytes())?)
}

/// Arguments of `disasm`.
#[derive(Args)]
pub struct Disasm {
    /// Program (.tsp) or listing; `-` is standard input
    program: PathBuf,
    /// Where the listing goes
    #[arg(short, long, value_name = "FILE.tspasm", default_value = files::STANDARD)]
    output: PathBuf,
}

/// `tspc disasm`.
pub fn disassemble(args: &Disasm) -> Result<(), Failure> {
    let program = files::read_program(&args.program)?;
    Ok(files::write(&args.output, listing(&program).as_bytes())?)
}

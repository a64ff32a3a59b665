//! The command line: options, exit codes, dispatch to one file per subcommand.

use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::files::{self, NoProgram};
use crate::ir::Diagnostic;
use crate::machine::Machine;

/// Why a command ends with exit code 1, ready to print.
#[derive(Debug)]
pub struct Failure(String);

impl From<String> for Failure {
    /// A message of one or more lines.
    fn from(message: String) -> Failure {
        Failure(format!("error: {message}\n"))
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Failure {
        let all: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
        Failure(all.join("\n"))
    }
}

impl From<NoProgram> for Failure {
    fn from(error: NoProgram) -> Failure {
        match error {
            NoProgram::File(message) => Failure::from(message),
            NoProgram::Listing(diagnostics) => Failure::from(diagnostics),
        }
    }
}

#[derive(Parser)]
#[command(
    name = "tspc",
    about = "A compiler for the Tensor Streaming Processor",
    after_help = "Exit codes: 0 ok; 1 bad input, violation or fault; 2 usage.\n\
                  Results go to standard output or to the file of `-o`, which is written whole or not at all."
)]
struct Cli {
    #[command(flatten)]
    machine: MachineArgs,
    #[command(subcommand)]
    command: Command,
}

/// Which machine file.
#[derive(Args)]
pub struct MachineArgs {
    /// Machine file: tsp-v1, tsp-v1-optimistic, tsp-v1-pessimistic, or a path
    #[arg(
        long,
        global = true,
        default_value = "tsp-v1",
        value_name = "NAME|FILE"
    )]
    machine: String,
    /// Override a number of the machine file; may be given several times
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl MachineArgs {
    /// The machine that the options name.
    pub fn load(&self) -> Result<Machine, Failure> {
        let machine = match Machine::named(&self.machine) {
            Some(machine) => machine,
            None => {
                let text = files::read_text(self.machine.as_ref())?;
                Machine::from_json(&text, &self.machine)
            }
        };
        let set: Vec<&str> = self.set.iter().map(String::as_str).collect();
        machine
            .and_then(|m| m.with(&set))
            .map_err(|e| Failure::from(e.to_string()))
    }
}

#[derive(Subcommand)]
enum Command {
    /// Compile, check and simulate BERT-base with seeded weights, and print a latency sheet
    Demo(commands::demo::Demo),
    /// Compile a model to a program, or to the text of a level on the way
    Compile(commands::compile::Compile),
    /// Run texts through a model on the simulator: embeddings, similarities, comparison of levels
    Run(commands::run::Run),
    /// Print the latency sheet of a program
    Report(commands::report::Report),
    /// Say what fixed a cycle: the chain of runs, each with what it waited for
    Blame(commands::blame::Blame),
    /// Assemble a listing into a program
    Asm(commands::asm::Asm),
    /// Print the listing of a program, with cycles; it assembles back to the same bytes
    Disasm(commands::asm::Disasm),
    /// Check a program: every operand, every resource, every cycle
    Check(commands::check::Check),
    /// Check a program, then run it cycle by cycle on real data
    Sim(commands::sim::Sim),
    /// Read, verify and print IR text, run passes over it, or compile it to a program
    Opt(commands::opt::Opt),
    /// Prove that what the e-graph extracts equals what the model computes
    Prove(commands::prove::Prove),
    /// Check a proof, step by step, without the e-graph
    CheckProof(commands::check_proof::CheckProof),
    /// List the fusions that the e-graph makes, with the rules that led there and the costs before and after
    Explain(commands::explain::Explain),
    /// Say why two operations are not in one pipeline
    WhyNot(commands::why_not::WhyNot),
    /// Find the first rewrite of the e-graph that breaks something
    Bisect(commands::bisect::Bisect),
    /// Measure: cycles by model, length, machine and layers; what the rules of the e-graph earn and take
    Bench(commands::bench::Bench),
    /// List the passes with their options
    Passes(commands::passes::Passes),
    /// Print the numbers of the machine file with status and source
    Machine(commands::machine::Numbers),
}

/// Parses the arguments, runs the command, gives the exit code.
pub fn main() -> ExitCode {
    let matches = Cli::command()
        .version(commands::machine::version())
        .get_matches();
    let done = Cli::from_arg_matches(&matches)
        .map_err(|e| e.exit())
        .and_then(run);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(text)) => {
            eprint!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let machine = cli.machine.load()?;
    match &cli.command {
        Command::Demo(args) => commands::demo::demo(args, &machine),
        Command::Compile(args) => commands::compile::compile(args, &machine),
        Command::Run(args) => commands::run::run(args, &machine),
        Command::Report(args) => commands::report::report(args, &machine),
        Command::Blame(args) => commands::blame::blame(args, &machine),
        Command::Asm(args) => commands::asm::assemble(args),
        Command::Disasm(args) => commands::asm::disassemble(args),
        Command::Check(args) => commands::check::check(args, &machine),
        Command::Sim(args) => commands::sim::sim(args, &machine),
        Command::Opt(args) => commands::opt::opt(args, &machine),
        Command::Prove(args) => commands::prove::prove(args, &machine),
        Command::CheckProof(args) => commands::check_proof::check_proof(args, &machine),
        Command::Explain(args) => commands::explain::explain(args, &machine),
        Command::WhyNot(args) => commands::why_not::why_not(args, &machine),
        Command::Bisect(args) => commands::bisect::bisect(args, &machine),
        Command::Bench(args) => commands::bench::bench(args, &machine),
        Command::Passes(args) => commands::passes::passes(args),
        Command::Machine(args) => commands::machine::machine(args, &machine),
    }
}

//! The command line: options, exit codes, dispatch to one file per subcommand.

use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::machine::Machine;

/// Why a command ends with exit code 1: the message is printed after `error: `.
#[derive(Debug)]
pub struct Failure(pub String);

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure(message)
    }
}

#[derive(Parser)]
#[command(
    name = "tspc",
    about = "A compiler for the Tensor Streaming Processor",
    after_help = "Exit codes: 0 ok; 1 bad input; 2 usage."
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
                let text = crate::files::read_text(self.machine.as_ref())?;
                Machine::from_json(&text, &self.machine)
            }
        };
        let set: Vec<&str> = self.set.iter().map(String::as_str).collect();
        machine
            .and_then(|m| m.with(&set))
            .map_err(|e| Failure(e.to_string()))
    }
}

#[derive(Subcommand)]
enum Command {
    /// Print the numbers of the machine file with status and source
    Machine {
        /// Report as JSON
        #[arg(long)]
        json: bool,
    },
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
        Err(Failure(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let machine = cli.machine.load()?;
    match &cli.command {
        Command::Machine { json } => commands::machine::machine(&machine, *json),
    }
}

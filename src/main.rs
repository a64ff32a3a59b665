//! The `tspc` command: everything is in the library, see [`tspc::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tspc::cli::main()
}

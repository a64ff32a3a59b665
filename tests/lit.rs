//! Runs the programs below `lit-tests/` with the `tspc` of this build; see `docs/testing.md`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    tspc_lit_tests::run(
        Path::new(env!("CARGO_BIN_EXE_tspc")),
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/lit-tests")),
        &Path::new(env!("CARGO_TARGET_TMPDIR")).join("lit"),
    )
}

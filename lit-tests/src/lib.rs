//! Programs as tests: a small lit with FileCheck and verify-diagnostics, without LLVM, Python or a shell.
//!
//! - *What it does*: every `*.tspc`, `*.tspasm` and `*.test` below a directory is one test case, named by
//!   its path. Its RUN lines are run with the compiler that the caller built; see `docs/testing.md`.
//! - *After*: cases ran in parallel and were reported in the order of their names. There is no way to skip
//!   a case or to expect a failure, and a directory without cases is a failure.
//! - *What it may not know*: the compiler. It is a command that reads files, writes text and ends with an
//!   exit code: 0 for success, 1 for refused input; any other code fails the case.

mod case;
mod diagnostics;
mod filecheck;
mod run_line;
mod text;

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use libtest_mimic::{Arguments, Failed, Trial};

use case::Setting;

/// Runs the test files below `root` with the compiler `tspc`, as the command line of the test program says.
/// Temporary files go below `temp`.
pub fn run(tspc: &Path, root: &Path, temp: &Path) -> ExitCode {
    let arguments = Arguments::from_args();
    let cases = match case::discover(root) {
        Ok(cases) if !cases.is_empty() => cases,
        Ok(_) => {
            eprintln!("error: no test files below {}", root.display());
            return ExitCode::FAILURE;
        }
        Err(e) => {
            eprintln!("error: {}: {e}", root.display());
            return ExitCode::FAILURE;
        }
    };
    let setting = Setting {
        tspc: tspc.into(),
        root: root.into(),
        temp: temp.into(),
    };
    report(arguments, cases, move |case| setting.run(case)).exit_code()
}

/// Runs the cases in parallel and reports them in order, each as soon as those before it are done.
fn report(
    mut arguments: Arguments,
    cases: Vec<String>,
    run: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
) -> libtest_mimic::Conclusion {
    let mut trials = Vec::new();
    let mut work = Vec::new();
    for case in cases {
        let (done, result) = mpsc::channel::<Result<(), String>>();
        let trial = Trial::test(case.clone(), move || match result.recv() {
            Ok(result) => result.map_err(Failed::from),
            Err(_) => Err("the runner died".into()),
        });
        if !arguments.is_filtered_out(&trial) && !arguments.list {
            work.push((case, done));
        }
        trials.push(trial);
    }
    let threads = arguments
        .test_threads
        .or(thread::available_parallelism().ok().map(Into::into));
    // The trials themselves only wait, one after the other.
    arguments.test_threads = Some(1);
    let work = Arc::new(Mutex::new(work.into_iter()));
    let run = Arc::new(run);
    for _ in 0..threads.unwrap_or(1) {
        let (work, run) = (Arc::clone(&work), Arc::clone(&run));
        let next = move || work.lock().ok()?.next();
        thread::spawn(move || {
            while let Some((case, done)) = next() {
                // Nobody waits any more if the report was cut short.
                let _ = done.send(run(&case));
            }
        });
    }
    libtest_mimic::run(&arguments, trials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_run_in_parallel_and_are_reported_in_order() {
        let log = std::env::temp_dir().join(format!("tspc-lit-{}.log", std::process::id()));
        let arguments = Arguments {
            test_threads: Some(2),
            logfile: Some(log.display().to_string()),
            ..Arguments::default()
        };
        let cases = ["a", "b", "c"].map(String::from).to_vec();
        // The first two wait for each other: one after the other they would never end.
        let barrier = std::sync::Barrier::new(2);
        let conclusion = report(arguments, cases, move |case| {
            if case != "c" {
                barrier.wait();
            }
            if case == "b" {
                Err("wrong".into())
            } else {
                Ok(())
            }
        });
        assert_eq!((conclusion.num_passed, conclusion.num_failed), (2, 1));
        let (file, log) = (log.clone(), std::fs::read_to_string(log).unwrap());
        std::fs::remove_file(file).unwrap();
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.starts_with("test "))
            .collect();
        assert!(
            lines[0].starts_with("test a") && lines[0].ends_with("ok"),
            "{log}"
        );
        assert!(
            lines[1].starts_with("test b") && lines[1].ends_with("FAILED"),
            "{log}"
        );
        assert!(
            lines[2].starts_with("test c") && log.contains("wrong"),
            "{log}"
        );
    }
}

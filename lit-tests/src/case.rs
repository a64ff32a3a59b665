//! One test file: runs its RUN lines and reports every command that did not end as announced.
//!
//! *Before*: the file is UTF-8. *After*: the case passed only if all its commands ran, ended with exactly
//! the announced exit code, and all its checks and annotations were looked at by some command.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::diagnostics;
use crate::filecheck;
use crate::run_line::{self, Pipeline, Program, Stage, Substitutions};
use crate::text::Text;

/// Where tests run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The compiler.
    pub tspc: PathBuf,
    /// The test files, and the directory in which commands run: `%s` is relative to it.
    pub root: PathBuf,
    /// Each test has a directory of its own below it.
    pub temp: PathBuf,
}

/// What a command left behind.
struct Ended {
    /// `None`: killed by a signal.
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Setting {
    /// Runs the test file `path`, relative to the root.
    ///
    /// # Errors
    /// The report.
    pub fn run(&self, path: &str) -> Result<(), String> {
        let text = fs::read_to_string(self.root.join(path)).map_err(|e| format!("{path}: {e}"))?;
        let file = Text::new(path, &text);
        let temp = self.fresh_directory(path)?.join("t");
        let temp = temp
            .to_str()
            .ok_or("the temporary directory's name is not UTF-8")?;
        let pipelines = run_line::parse(&file, Substitutions { source: path, temp })?;
        nothing_is_idle(&file, &pipelines)?;
        let reports: Vec<_> = pipelines
            .iter()
            .filter_map(|p| self.pipeline(path, p).err())
            .collect();
        if reports.is_empty() {
            Ok(())
        } else {
            Err(reports.join("\n"))
        }
    }

    /// An empty directory, so that no file of an earlier run is taken for one of this run.
    fn fresh_directory(&self, path: &str) -> Result<PathBuf, String> {
        let directory = self.temp.join(path);
        let gone = match fs::remove_dir_all(&directory) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => fs::create_dir_all(&directory),
        };
        gone.map_err(|e| format!("{}: {e}", directory.display()))?;
        Ok(directory)
    }

    /// Runs the stages one after another, all of them even if one fails, as a shell would.
    fn pipeline(&self, path: &str, pipeline: &Pipeline) -> Result<(), String> {
        let mut report = String::new();
        let mut errors = String::new();
        let mut input = Vec::new();
        for stage in &pipeline.stages {
            let ended = self.stage(stage, &input).map_err(|e| {
                format!(
                    "{path}:{}: error: `{}`: {e}\n",
                    pipeline.line + 1,
                    stage.source
                )
            })?;
            let stderr = String::from_utf8_lossy(&ended.stderr);
            let expected = i32::from(stage.not);
            if ended.code != Some(expected) {
                let code = ended
                    .code
                    .map_or("a signal".into(), |code| format!("exit code {code}"));
                let line = pipeline.line + 1;
                report += &format!(
                    "{path}:{line}: error: `{}` ended with {code}, expected {expected}\n{stderr}",
                    stage.source
                );
            } else if !stderr.is_empty() {
                errors += &format!("note: standard error of `{}`:\n{stderr}", stage.source);
            }
            input = ended.stdout;
        }
        if report.is_empty() {
            return Ok(());
        }
        if pipeline.stages.len() == 1 && !input.is_empty() {
            errors += &format!(
                "note: standard output:\n{}",
                String::from_utf8_lossy(&input)
            );
        }
        Err(report + &errors)
    }

    fn stage(&self, stage: &Stage, input: &[u8]) -> Result<Ended, String> {
        let ended = match stage.program {
            Program::Tspc => self.tspc(stage, input).map_err(|e| e.to_string()),
            Program::FileCheck => self.filecheck(&stage.arguments, input).map(Ended::from),
            Program::VerifyDiagnostics => self.verify(&stage.arguments, input).map(Ended::from),
            Program::Cmp => self.cmp(&stage.arguments).map(Ended::from),
        };
        let mut ended = ended?;
        if let Some(file) = &stage.output {
            let written = std::mem::take(&mut ended.stdout);
            fs::write(self.root.join(file), written).map_err(|e| format!("{file}: {e}"))?;
        }
        Ok(ended)
    }

    fn tspc(&self, stage: &Stage, input: &[u8]) -> io::Result<Ended> {
        let (mut stdout, stdout_end) = io::pipe()?;
        let (mut stderr, stderr_end) = io::pipe()?;
        let mut command = Command::new(&self.tspc);
        command.args(&stage.arguments).current_dir(&self.root);
        command.stdin(Stdio::piped()).stderr(match stage.merge {
            true => stdout_end.try_clone()?,
            false => stderr_end.try_clone()?,
        });
        let mut child = command.stdout(stdout_end).spawn()?;
        // Only the child may hold the writing ends, or the readers below would wait for ever.
        drop((command, stderr_end));
        let stdin = child.stdin.take();
        let mut ended = Ended {
            code: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        std::thread::scope(|scope| {
            // A command may end without reading its input; its exit code says whether that was right.
            scope.spawn(|| stdin.map(|mut pipe| pipe.write_all(input)));
            let errors = scope.spawn(|| stderr.read_to_end(&mut ended.stderr));
            let output = stdout.read_to_end(&mut ended.stdout);
            errors
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("reader died")))
                .and(output)
        })?;
        ended.code = child.wait()?.code();
        Ok(ended)
    }

    /// `filecheck FILE [--check-prefix=P] [--input-file=F]`.
    fn filecheck(&self, arguments: &[String], input: &[u8]) -> Result<Result<(), String>, String> {
        let (mut prefix, mut file) = (DEFAULT_PREFIX, None);
        let mut from = None;
        for argument in arguments {
            if let Some(value) = argument.strip_prefix(PREFIX_OPTION) {
                prefix = value;
            } else if let Some(value) = argument.strip_prefix("--input-file=") {
                from = Some(value);
            } else if argument.starts_with("--") || file.is_some() {
                return Err(format!(
                    "`{argument}`: the arguments are FILE, {PREFIX_OPTION}P, --input-file=F"
                ));
            } else {
                file = Some(argument);
            }
        }
        let file = file.ok_or("the check file is missing")?;
        let checks = self.text(file)?;
        let input = match from {
            Some(from) => self.text(from)?,
            None => String::from_utf8_lossy(input).into_owned(),
        };
        Ok(filecheck::filecheck(file, &checks, prefix, &input))
    }

    /// `verify-diagnostics FILE`.
    fn verify(&self, arguments: &[String], input: &[u8]) -> Result<Result<(), String>, String> {
        let [file] = arguments else {
            return Err("the argument is FILE".into());
        };
        Ok(diagnostics::verify(
            file,
            &self.text(file)?,
            &String::from_utf8_lossy(input),
        ))
    }

    /// `cmp A B`.
    fn cmp(&self, arguments: &[String]) -> Result<Result<(), String>, String> {
        let [a, b] = arguments else {
            return Err("the arguments are A B".into());
        };
        let read =
            |file: &String| fs::read(self.root.join(file)).map_err(|e| format!("{file}: {e}"));
        let (x, y) = (read(a)?, read(b)?);
        if x == y {
            return Ok(Ok(()));
        }
        let same = x.iter().zip(&y).take_while(|(x, y)| x == y).count();
        let (x, y) = (x.len(), y.len());
        Ok(Err(format!(
            "{a} ({x} bytes) and {b} ({y} bytes) differ at byte {same}\n"
        )))
    }

    fn text(&self, file: &str) -> Result<String, String> {
        fs::read_to_string(self.root.join(file)).map_err(|e| format!("{file}: {e}"))
    }
}

impl From<Result<(), String>> for Ended {
    /// A built-in command reports on standard error and ends with 0 or 1.
    fn from(result: Result<(), String>) -> Ended {
        let report = result.err();
        Ended {
            code: Some(i32::from(report.is_some())),
            stdout: Vec::new(),
            stderr: report.unwrap_or_default().into_bytes(),
        }
    }
}

const DEFAULT_PREFIX: &str = "CHECK";
const PREFIX_OPTION: &str = "--check-prefix=";

/// Checks and annotations that no command looks at would be tests that cannot fail.
fn nothing_is_idle(file: &Text, pipelines: &[Pipeline]) -> Result<(), String> {
    let stages = || pipelines.iter().flat_map(|p| &p.stages);
    let plain = |s: &Stage| !s.arguments.iter().any(|a| a.starts_with(PREFIX_OPTION));
    let checked = stages().any(|s| s.program == Program::FileCheck && plain(s));
    if filecheck::any(file, DEFAULT_PREFIX) && !checked {
        return Err(format!(
            "{}: error: no RUN line runs filecheck on the checks\n",
            file.name
        ));
    }
    let verified = stages().any(|s| s.program == Program::VerifyDiagnostics);
    if diagnostics::any(file) && !verified {
        return Err(format!(
            "{}: error: no RUN line runs verify-diagnostics\n",
            file.name
        ));
    }
    Ok(())
}

/// The test files below a directory, relative to it, in order.
pub fn discover(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root.join(&directory))? {
            let entry = entry?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| io::Error::other(format!("{name:?} is not UTF-8")))?;
            let path = if directory.is_empty() {
                name
            } else {
                format!("{directory}/{name}")
            };
            if entry.file_type()?.is_dir() {
                directories.push(path);
            } else if [".tspc", ".tspasm", ".test"]
                .iter()
                .any(|suffix| path.ends_with(suffix))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;

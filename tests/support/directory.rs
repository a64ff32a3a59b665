//! A directory of one test in which the driver runs as a command.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of one test, empty at first; commands run in it.
pub struct Directory(pub PathBuf);

impl Directory {
    /// An empty one.
    pub fn new(test: &str) -> Directory {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("cli")
            .join(test);
        if path.exists() {
            std::fs::remove_dir_all(&path).unwrap();
        }
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn with(self, name: &str, content: impl AsRef<[u8]>) -> Directory {
        std::fs::write(self.0.join(name), content).unwrap();
        self
    }

    pub fn tspc(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tspc"));
        // Help does not depend on the terminal.
        command.env("COLUMNS", "100").current_dir(&self.0);
        command.args(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and gives its output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.tspc(arguments);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            errors(&output)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must refuse its input and write nothing, and gives what it says.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let before = self.files();
        let output = self.tspc(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
        assert_eq!(self.files(), before, "{arguments:?}");
        errors(&output)
    }

    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[allow(dead_code, reason = "not every test reads files back")]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }
}

/// What a command said.
pub fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

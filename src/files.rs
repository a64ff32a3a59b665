//! Files in and out: errors name the file, and nothing is ever half-written.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::ir::{Diagnostic, Place};
use crate::program::{self, AsmError, MAGIC, Program};

/// What went wrong, ready to print after `error: `.
pub type Message = String;

/// Stands for standard input or output.
pub const STANDARD: &str = "-";

/// The bytes of a file, or of standard input for `-`.
pub fn read(path: &Path) -> Result<Vec<u8>, Message> {
    if path == Path::new(STANDARD) {
        let mut bytes = Vec::new();
        io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|e| format!("standard input: {e}"))?;
        return Ok(bytes);
    }
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The text of a file; invalid UTF-8 is an error with its byte offset.
pub fn read_text(path: &Path) -> Result<String, Message> {
    text(path, read(path)?)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Message> {
    String::from_utf8(bytes).map_err(|e| {
        format!(
            "{}: byte {}: not UTF-8 text",
            path.display(),
            e.utf8_error().valid_up_to()
        )
    })
}

/// Writes a file, or to standard output for `-`. A file is written beside its place and then moved there: after an
/// error it is what it was before. Links are followed; what is no file, such as a pipe, is written as it is.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Message> {
    if path == Path::new(STANDARD) {
        return print(bytes);
    }
    let fails = |e: io::Error| format!("{}: {e}", path.display());
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if fs::metadata(&target).is_ok_and(|m| !m.is_file()) {
        return fs::write(&target, bytes).map_err(fails);
    }
    let name = target
        .file_name()
        .ok_or_else(|| format!("{}: not the name of a file", path.display()))?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = target.with_file_name(temporary);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, &target));
    written.map_err(|e| {
        // Nothing to remove if it could not be created.
        let _ = fs::remove_file(&temporary);
        fails(e)
    })
}

/// Makes a directory, with those above it, if it is not there.
pub fn create_directory(path: &Path) -> Result<(), Message> {
    fs::create_dir_all(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub fn print(bytes: impl AsRef<[u8]>) -> Result<(), Message> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {e}")),
        _ => Ok(()),
    }
}

/// Why a file is not a program.
pub enum NoProgram {
    /// It cannot be read, or is no container.
    File(Message),
    /// It is a listing with mistakes.
    Listing(Vec<Diagnostic>),
}

/// A program, from a container (`.tsp`) or a listing (`.tspasm`): its first bytes and its name tell which.
pub fn read_program(path: &Path) -> Result<Program, NoProgram> {
    let bytes = read(path).map_err(NoProgram::File)?;
    let named = path.extension().is_some_and(|extension| extension == "tsp");
    if named || bytes.starts_with(MAGIC) {
        return Program::from_bytes(&bytes)
            .map_err(|e| NoProgram::File(format!("{}: {e}", path.display())));
    }
    let text = text(path, bytes).map_err(NoProgram::File)?;
    assemble(&text, &path.display().to_string()).map_err(NoProgram::Listing)
}

/// Assembles a listing; the diagnostics show the refused lines.
pub fn assemble(text: &str, name: &str) -> Result<Program, Vec<Diagnostic>> {
    program::assemble(text, name).map_err(|error| carets(text, &error))
}

fn carets(text: &str, error: &AsmError) -> Vec<Diagnostic> {
    let lines: Vec<&str> = text.lines().collect();
    let show = |d: &program::Diagnostic| {
        let line = lines.get(d.line - 1).copied().unwrap_or_default();
        let from = |column| line.chars().skip(column);
        // What is wrong with a line as a whole is at column 1.
        let blanks = from(d.column - 1).take_while(|c| c.is_whitespace());
        let column = d.column - 1 + blanks.count();
        let place = Place {
            at: format!("{}:{}:{}", error.file, d.line, d.column),
            line_number: u32::try_from(d.line).unwrap_or(u32::MAX),
            line: line.to_string(),
            column,
            width: from(column).take_while(|c| !c.is_whitespace()).count(),
            label: String::new(),
        };
        Diagnostic::new(format!("expected {}, found {}", d.expected, d.found), place)
    };
    error.diagnostics.iter().map(show).collect()
}

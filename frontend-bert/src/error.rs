//! What is wrong with a model, a text or an option.

use std::fmt;
use std::path::Path;

/// An error about something that came from outside: one line, fit to print after `error: `.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The file or option, with the key or tensor in it where there is one.
    pub origin: String,
    /// What was expected and what was found.
    pub message: String,
}

impl Error {
    /// An error about `origin`.
    pub fn new(origin: impl Into<String>, message: impl Into<String>) -> Error {
        Error {
            origin: origin.into(),
            message: message.into(),
        }
    }

    /// An error about a file.
    pub(crate) fn file(path: &Path, message: impl fmt::Display) -> Error {
        Error::new(path.display().to_string(), message.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

impl std::error::Error for Error {}

//! Diagnostics: what is wrong, where, what it has to do with another place, and by how much it misses.
//!
//! A diagnostic owns the lines it shows, so it can be rendered without the text or module it speaks of.

use std::fmt;

/// A place with the line to show.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Place {
    /// `file:3:8` or a path in the model.
    pub at: String,
    /// Number in the margin; 0: none.
    pub line_number: u32,
    /// The line of text; empty: none is shown.
    pub line: String,
    /// Characters before the caret.
    pub column: usize,
    /// Carets.
    pub width: usize,
    /// What to say beside the carets.
    pub label: String,
}

impl Place {
    /// A place of which only the name is known.
    pub fn named(at: impl Into<String>) -> Place {
        Place {
            at: at.into(),
            ..Place::default()
        }
    }

    /// The same place with this label.
    pub fn label(mut self, label: impl Into<String>) -> Place {
        self.label = label.into();
        self
    }

    fn render(&self, f: &mut fmt::Formatter<'_>, margin: usize) -> fmt::Result {
        writeln!(f, "{:margin$}--> {}", "", self.at)?;
        if self.line.is_empty() {
            return match self.label.is_empty() {
                true => Ok(()),
                false => writeln!(f, "{:margin$} = {}", "", self.label),
            };
        }
        let number = if self.line_number > 0 {
            self.line_number.to_string()
        } else {
            String::new()
        };
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{number:>margin$} | {}", self.line)?;
        let carets = "^".repeat(self.width.max(1));
        let text = format!(
            "{:margin$} | {:column$}{carets} {}",
            "",
            "",
            self.label,
            column = self.column
        );
        writeln!(f, "{}", text.trim_end())
    }
}

/// An error.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Diagnostic {
    /// What is wrong, in one line.
    pub message: String,
    /// Where; boxed, because results carry diagnostics everywhere.
    pub primary: Box<Place>,
    /// Other places that matter, labelled (`previous definition`).
    pub secondary: Vec<Place>,
    /// By how much: `needs 3 free eastward streams at cycle 1187, 1 is free`.
    pub shortfall: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn new(message: impl Into<String>, primary: Place) -> Diagnostic {
        Diagnostic {
            message: message.into(),
            primary: Box::new(primary),
            secondary: Vec::new(),
            shortfall: None,
        }
    }

    /// Adds a labelled place.
    pub fn with(mut self, place: Place) -> Diagnostic {
        self.secondary.push(place);
        self
    }

    /// Says by how much it misses.
    pub fn short(mut self, shortfall: impl Into<String>) -> Diagnostic {
        self.shortfall = Some(shortfall.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = || std::iter::once(&*self.primary).chain(&self.secondary);
        let margin = places()
            .map(|p| p.line_number.to_string().len())
            .max()
            .unwrap_or(1);
        writeln!(f, "error: {}", self.message)?;
        for (i, place) in places().enumerate() {
            if i > 0 {
                writeln!(f, "note:")?;
            }
            place.render(f, margin)?;
        }
        match &self.shortfall {
            Some(text) => writeln!(f, "{:margin$} = {text}", ""),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_two_places_and_a_shortfall() {
        let line = |n, label: &str| Place {
            at: format!("a.tspc:{n}:3"),
            line_number: n,
            line: "  %1 = tensor.exp(%0)".into(),
            column: 2,
            width: 2,
            label: label.into(),
        };
        let d = Diagnostic::new("%1 is defined twice", line(12, "here"))
            .with(line(7, "previous definition"))
            .short("needs 2, has 1");
        insta::assert_snapshot!(d.to_string(), @r"
        error: %1 is defined twice
          --> a.tspc:12:3
           |
        12 |   %1 = tensor.exp(%0)
           |   ^^ here
        note:
          --> a.tspc:7:3
           |
         7 |   %1 = tensor.exp(%0)
           |   ^^ previous definition
           = needs 2, has 1
        ");
    }
}

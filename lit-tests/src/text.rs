//! Text with a name, and places in it: what every message of this crate points at.
//!
//! *After*: lines have no line break in them; a [`Pos`] is ordered as in reading.

use std::ops::Range;

/// A place: line and byte in it, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pos {
    pub line: usize,
    pub column: usize,
}

impl Pos {
    pub const START: Pos = Pos { line: 0, column: 0 };
}

/// A file or a program's output.
#[derive(Debug)]
pub struct Text {
    /// How messages call it.
    pub name: String,
    pub lines: Vec<String>,
}

impl Text {
    pub fn new(name: &str, text: &str) -> Text {
        Text {
            name: name.into(),
            lines: text.lines().map(str::to_string).collect(),
        }
    }

    /// As FileCheck reads check file and input: runs of blanks and tabs become one blank.
    pub fn canonical(name: &str, text: &str) -> Text {
        let squeeze = |line: &str| {
            let mut squeezed = String::with_capacity(line.len());
            for c in line.chars().map(|c| if c == '\t' { ' ' } else { c }) {
                if c != ' ' || !squeezed.ends_with(' ') {
                    squeezed.push(c);
                }
            }
            squeezed
        };
        Text {
            name: name.into(),
            lines: text.lines().map(squeeze).collect(),
        }
    }

    /// The place behind the last line.
    pub fn end(&self) -> Pos {
        Pos {
            line: self.lines.len(),
            column: 0,
        }
    }

    /// The pieces of lines in a region, each with its line's number and its bytes there.
    pub fn pieces(&self, region: Range<Pos>) -> impl Iterator<Item = (usize, &str, Range<usize>)> {
        let lines = self.lines.iter().enumerate().skip(region.start.line);
        lines.map_while(move |(number, line)| {
            let from = if number == region.start.line {
                region.start.column
            } else {
                0
            };
            let to = if number == region.end.line {
                region.end.column
            } else {
                line.len()
            };
            let inside = number < region.end.line || number == region.end.line && to > 0;
            inside.then_some((number, line.as_str(), from..to))
        })
    }

    /// `name:line:column: level: message`, the line and a caret under the place.
    pub fn point(&self, pos: Pos, level: &str, message: &str) -> String {
        let Some(line) = self.lines.get(pos.line) else {
            return format!("{}: {level}: {message} (end of text)\n", self.name);
        };
        let before = line.get(..pos.column).unwrap_or(line).chars().count();
        format!(
            "{}:{}:{}: {level}: {message}\n{line}\n{:before$}^\n",
            self.name,
            pos.line + 1,
            before + 1,
            ""
        )
    }
}

/// The directives of a line: what follows a comment marker `//`, `;` or `#` and blanks, with its byte offset.
pub fn comments(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.char_indices().filter_map(move |(at, _)| {
        let rest = &line[at..];
        let body = ["//", ";", "#"]
            .iter()
            .find_map(|marker| rest.strip_prefix(marker))?;
        let body = body.trim_start();
        Some((line.len() - body.len(), body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_squeezed_within_lines_only() {
        let text = Text::canonical("t", "a \t b\n\n  c\t\r\n");
        assert_eq!(text.lines, ["a b", "", " c "]);
    }

    #[test]
    fn a_region_cuts_its_first_and_last_line() {
        let text = Text::new("t", "abc\ndef\nghi\n");
        let pieces = |start: (usize, usize), end: (usize, usize)| {
            let pos = |(line, column)| Pos { line, column };
            let region = pos(start)..pos(end);
            text.pieces(region)
                .map(|(_, line, bytes)| &line[bytes])
                .collect::<Vec<_>>()
        };
        assert_eq!(pieces((0, 1), (2, 1)), ["bc", "def", "g"]);
        assert_eq!(pieces((1, 1), (1, 2)), ["e"]);
        assert_eq!(pieces((1, 3), (2, 0)), [""]);
        assert_eq!(pieces((2, 0), (3, 0)), ["ghi"]);
    }

    #[test]
    fn a_directive_follows_any_comment_marker() {
        let bodies = |line| comments(line).map(|(_, body)| body).collect::<Vec<_>>();
        assert_eq!(bodies("x // RUN: a"), ["RUN: a"]);
        assert_eq!(bodies(";; CHECK: b"), ["; CHECK: b", "CHECK: b"]);
        assert_eq!(bodies("#X"), ["X"]);
        assert_eq!(bodies("RUN: no comment"), [""; 0]);
    }

    #[test]
    fn the_caret_stands_under_the_character() {
        let text = Text::new("t", "aµb\n");
        let caret = text.point(Pos { line: 0, column: 3 }, "note", "here");
        assert_eq!(caret, "t:1:3: note: here\naµb\n  ^\n");
    }
}

//! verify-diagnostics: are the errors that a tool reported exactly those that the test file announces?
//!
//! An annotation `expected-error@+1 {{text}}` in a comment stands for one error whose message holds the
//! text, at a line: `@+N` or `@-N` relative to its own, `@N` absolute, `@unknown` none, nothing its own.
//! Each error needs an annotation and each annotation an error.

use crate::text::{Pos, Text, comments};

const ANNOTATION: &str = "expected-error";

#[derive(Debug, PartialEq, Eq)]
struct Expected {
    at: Pos,
    /// From 1; `None`: an error without a line.
    line: Option<usize>,
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Reported {
    /// Line of the test file, from 1.
    line: Option<usize>,
    message: String,
}

/// Compares the errors rendered in `output` with the annotations of a file.
///
/// # Errors
/// The report: everything unmatched, and the output.
pub fn verify(name: &str, file: &str, output: &str) -> Result<(), String> {
    let file = Text::new(name, file);
    let mut expected = annotations(&file)?;
    let mut report = String::new();
    for error in reported(name, output) {
        let fits = |e: &Expected| e.line == error.line && error.message.contains(&e.text);
        match expected.iter().position(fits) {
            Some(i) => drop(expected.remove(i)),
            None => {
                let message = format!("unexpected error: {}", error.message);
                report += &match error.line {
                    Some(line) => file.point(
                        Pos {
                            line: line - 1,
                            column: 0,
                        },
                        "error",
                        &message,
                    ),
                    None => format!("{name}: error: {message}\n"),
                };
            }
        }
    }
    for missing in &expected {
        let message = format!("expected error was not reported: {}", missing.text);
        report += &file.point(missing.at, "error", &message);
    }
    if report.is_empty() {
        Ok(())
    } else {
        Err(format!("{report}the output:\n{output}"))
    }
}

/// Whether the file announces an error.
pub fn any(file: &Text) -> bool {
    let announces = |line: &String| comments(line).any(|(_, body)| body.starts_with(ANNOTATION));
    file.lines.iter().any(announces)
}

fn annotations(file: &Text) -> Result<Vec<Expected>, String> {
    let mut found = Vec::new();
    for (line, text) in file.lines.iter().enumerate() {
        for (column, body) in comments(text) {
            let Some(rest) = body.strip_prefix(ANNOTATION) else {
                continue;
            };
            let at = Pos { line, column };
            let annotation = annotation(rest, line + 1).ok_or_else(|| {
                let form =
                    "write `expected-error@+1 {{text}}`, with @+N, @-N, @N, @unknown or no @";
                file.point(at, "error", form)
            });
            let (line, text) = annotation?;
            found.push(Expected { at, line, text });
        }
    }
    Ok(found)
}

/// Line and text of what follows the keyword in line `own`.
fn annotation(rest: &str, own: usize) -> Option<(Option<usize>, String)> {
    let (place, text) = rest.split_once("{{")?;
    let text = text.trim_end().strip_suffix("}}")?;
    let line = match place.trim_end().strip_prefix('@') {
        None if place.trim_end().is_empty() => Some(own),
        None => return None,
        Some("unknown") => None,
        Some(place) => Some(match place.split_at_checked(1)? {
            ("+", n) => own.checked_add(n.parse().ok()?)?,
            ("-", n) => own.checked_sub(n.parse().ok()?)?,
            _ => place.parse().ok()?,
        }),
    };
    Some((line, text.to_string()))
}

/// The errors in a tool's output, in any of three renderings: `file:3:8: text`, `error: file:3:8: text` and
/// `error: text` with ` --> file:3:8` below it.
fn reported(name: &str, output: &str) -> Vec<Reported> {
    let mut lines = output.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let plain = line.strip_prefix("error: ");
        let (line, message) = match place_in(name, plain.unwrap_or(line)) {
            Some((_, text)) if text.starts_with("note: ") => continue,
            Some((line, text)) => (Some(line), text.strip_prefix("error: ").unwrap_or(text)),
            None if plain.is_none() && !line.contains(": error: ") => continue,
            None => {
                let below = lines
                    .peek()
                    .and_then(|below| below.trim_start().strip_prefix("--> "));
                let place = below.and_then(|place| place_in(name, place));
                (place.map(|(line, _)| line), plain.unwrap_or(line))
            }
        };
        found.push(Reported {
            line,
            message: message.to_string(),
        });
    }
    found
}

/// The line of `name:3` or `name:3:8`, and what follows the colon behind it.
fn place_in<'a>(name: &str, text: &'a str) -> Option<(usize, &'a str)> {
    let rest = text.strip_prefix(name)?;
    let (line, rest) = number(rest)?;
    let rest = number(rest).map_or(rest, |(_, rest)| rest);
    (line > 0).then(|| (line, rest.strip_prefix(": ").unwrap_or(rest)))
}

/// `:3…`.
fn number(text: &str) -> Option<(usize, &str)> {
    let text = text.strip_prefix(':')?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, output: &str) -> Result<(), String> {
        verify("a.tspc", file, output)
    }

    #[test]
    fn every_rendering_is_understood() {
        let file = "x\n// expected-error@-1 {{bad x}}\n";
        check(file, "a.tspc:1:1: error: bad x here\n").unwrap();
        check(file, "a.tspc:1: error: bad x here\n").unwrap();
        check(file, "error: a.tspc:1:1: bad x here\n").unwrap();
        check(file, "error: a.tspc:1: bad x here\n").unwrap();
        check(
            file,
            "a.tspc:1:1: bad x here\na.tspc:1:1: note: see there\n",
        )
        .unwrap();
        check(
            file,
            "error: bad x\n  --> a.tspc:1:1\n   |\n 1 | x\n   | ^\n",
        )
        .unwrap();
    }

    #[test]
    fn the_place_is_relative_absolute_own_or_unknown() {
        check("; expected-error@+2 {{e}}\n", "error: a.tspc:3: e\n").unwrap();
        check("; expected-error@7 {{e}}\n", "error: a.tspc:7: e\n").unwrap();
        check("\nx ; expected-error {{e}}\n", "error: a.tspc:2: e\n").unwrap();
        check("; expected-error@unknown {{e}}\n", "error: e\n").unwrap();
        check("; expected-error@unknown {{e}}\n", "error: a.tspc:1: e\n").unwrap_err();
        check("; expected-error@+1 {{e}}\n", "error: a.tspc:1: e\n").unwrap_err();
        check("; expected-error {{e}}\n", "error: b.tspc:1: e\n").unwrap_err();
    }

    #[test]
    fn errors_and_annotations_are_one_to_one() {
        let twice = "; expected-error@3 {{e}}\n; expected-error@3 {{e}}\n";
        check(twice, "error: a.tspc:3: e\nerror: a.tspc:3: e\n").unwrap();
        let missing = check(twice, "error: a.tspc:3: e\n").unwrap_err();
        assert!(
            missing.starts_with("a.tspc:2:3: error: expected error was not reported: e"),
            "{missing}"
        );
        let surplus = check("x\n", "error: a.tspc:1: e\nfine\n").unwrap_err();
        assert!(
            surplus.starts_with("a.tspc:1:1: error: unexpected error: e"),
            "{surplus}"
        );
        assert!(
            surplus.ends_with("the output:\nerror: a.tspc:1: e\nfine\n"),
            "{surplus}"
        );
        check("x\n", "fine\n").unwrap();
    }

    #[test]
    fn a_malformed_annotation_is_no_comment() {
        for text in [
            "expected-error",
            "expected-error e",
            "expected-error@x {{e}}",
            "expected-error@-9 {{e}}",
            "expected-error {{e",
        ] {
            let error = check(&format!("// {text}\n"), "").unwrap_err();
            assert!(
                error.starts_with("a.tspc:1:4: error: write `expected-error@+1"),
                "{error}"
            );
        }
    }
}

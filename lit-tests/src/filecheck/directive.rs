//! The checks of a test file: `CHECK:`, `CHECK-NEXT:` … behind a comment marker.
//!
//! *After*: at least one check; the first is not one that speaks of a previous match; labels hold no
//! variables; a word that is no directive is an error, not a comment.

use super::pattern::Pattern;
use crate::text::{Pos, Text, comments};

/// How a check relates to the matches around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Plain,
    Next,
    Same,
    Empty,
    Label,
    Dag,
    Not,
}

const SUFFIXES: [(&str, Kind); 7] = [
    ("", Kind::Plain),
    ("-NEXT", Kind::Next),
    ("-SAME", Kind::Same),
    ("-EMPTY", Kind::Empty),
    ("-LABEL", Kind::Label),
    ("-DAG", Kind::Dag),
    ("-NOT", Kind::Not),
];

/// One check.
#[derive(Debug)]
pub struct Check {
    pub kind: Kind,
    /// `CHECK-NEXT`, as written.
    pub name: String,
    pub pattern: Pattern,
    /// Where the pattern starts in the check file.
    pub at: Pos,
}

/// The checks with this prefix, in order; the error is ready to print.
pub fn parse(file: &Text, prefix: &str) -> Result<Vec<Check>, String> {
    let mut checks: Vec<Check> = Vec::new();
    for (line, text) in file.lines.iter().enumerate() {
        let Some((suffix, column)) = find(text, prefix) else {
            continue;
        };
        let name = format!("{prefix}{suffix}");
        let pattern = text[column..].trim_end();
        let at = Pos { line, column };
        let fail = |at, message: String| file.point(at, "error", &message);
        let Some(&(_, kind)) = SUFFIXES.iter().find(|(known, _)| *known == suffix) else {
            return Err(fail(at, format!("`{name}` is no directive")));
        };
        if pattern.is_empty() != (kind == Kind::Empty) {
            let wants = if kind == Kind::Empty { "no" } else { "a" };
            return Err(fail(at, format!("{name} takes {wants} pattern")));
        }
        let needs_previous = matches!(kind, Kind::Next | Kind::Same | Kind::Empty);
        if needs_previous
            && checks
                .iter()
                .all(|c| matches!(c.kind, Kind::Dag | Kind::Not))
        {
            return Err(fail(at, format!("{name} without a previous {prefix}")));
        }
        let pattern = Pattern::parse(pattern).map_err(|e| {
            fail(
                Pos {
                    line,
                    column: column + e.at,
                },
                e.message,
            )
        })?;
        if kind == Kind::Label && pattern.variables().next().is_some() {
            return Err(fail(at, format!("{name} with a variable")));
        }
        checks.push(Check {
            kind,
            name,
            pattern,
            at,
        });
    }
    if checks.is_empty() {
        return Err(format!(
            "{}: error: no check with prefix `{prefix}`\n",
            file.name
        ));
    }
    Ok(checks)
}

/// The suffix (with its hyphen) of the line's directive and where its pattern starts.
fn find<'a>(line: &'a str, prefix: &str) -> Option<(&'a str, usize)> {
    comments(line).find_map(|(_, body)| {
        let rest = body.strip_prefix(prefix)?;
        let (suffix, pattern) = rest.split_once(':')?;
        let word = suffix.is_empty()
            || suffix.starts_with(['-', '_'])
                && suffix[1..]
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b"-_".contains(&b));
        word.then(|| (suffix, line.len() - pattern.trim_start().len()))
    })
}

/// Whether the text holds a check with this prefix.
pub fn any(file: &Text, prefix: &str) -> bool {
    file.lines.iter().any(|line| find(line, prefix).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Result<Vec<Kind>, String> {
        let checks = parse(&Text::canonical("t", text), "CHECK")?;
        Ok(checks.iter().map(|check| check.kind).collect())
    }

    #[test]
    fn every_directive_is_known_by_its_suffix() {
        let text = "// CHECK: a\n; CHECK-NEXT: b\n# CHECK-SAME: c\n//CHECK-EMPTY:\n\
                    x // CHECK-LABEL: d\n// CHECK-DAG: e\n// CHECK-NOT: f\n";
        use Kind::*;
        assert_eq!(
            kinds(text).unwrap(),
            [Plain, Next, Same, Empty, Label, Dag, Not]
        );
    }

    #[test]
    fn prose_and_other_prefixes_are_not_checks() {
        let text = "// CHECKS: a\nCHECK: b\n// a CHECK: c\n// OTHER: d\n// CHECK: e\n";
        assert_eq!(kinds(text).unwrap(), [Kind::Plain]);
        assert!(!any(&Text::new("t", "// CHECKS: a\n"), "CHECK"));
    }

    #[test]
    fn misuse_is_refused() {
        for (text, message) in [
            (
                "// CHECK-NXT: a\n",
                "t:1:15: error: `CHECK-NXT` is no directive",
            ),
            ("// CHECK_NEXT: a\n", "`CHECK_NEXT` is no directive"),
            ("// CHECK:\n", "CHECK takes a pattern"),
            (
                "// CHECK: a\n// CHECK-EMPTY: b\n",
                "CHECK-EMPTY takes no pattern",
            ),
            ("// CHECK-NEXT: a\n", "CHECK-NEXT without a previous CHECK"),
            (
                "// CHECK-NOT: x\n// CHECK-SAME: a\n",
                "CHECK-SAME without a previous CHECK",
            ),
            ("// CHECK-LABEL: [[X:a]]\n", "CHECK-LABEL with a variable"),
            ("// CHECK: a {{(}}\n", "t:1:15: error: "),
            ("nothing\n", "no check with prefix `CHECK`"),
        ] {
            let error = kinds(text).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}

//! FileCheck: does an output hold what the checks of a test file describe, in their order?
//!
//! The algorithm is LLVM's. Labels cut the input into sections that fail independently. In a section each
//! check takes the first match behind the previous one; `-NEXT`, `-SAME` and `-EMPTY` then say where that
//! match must lie. A group of `-DAG`s matches in any order without overlap, and `-NOT`s hold between the
//! matches around them. Differences: patterns are Rust regular expressions and never cross a line, numeric
//! variables and `-COUNT` do not exist, and a misspelt directive is an error.

mod directive;
mod pattern;

use std::ops::Range;

use crate::text::{Pos, Text};
use directive::{Check, Kind};
use pattern::Variables;

pub use directive::any;

/// Lines of input shown before and behind the place where a scan started.
const CONTEXT: Range<usize> = 10..40;

/// Checks `input` against the checks with `prefix` in `file`, both as they are on disk.
///
/// # Errors
/// The report: check line, where the scan started, the input.
pub fn filecheck(name: &str, file: &str, prefix: &str, input: &str) -> Result<(), String> {
    let file = Text::canonical(name, file);
    let checks = directive::parse(&file, prefix)?;
    let input = Text::canonical("<input>", input);
    if input.lines.is_empty() {
        return Err(format!("{name}: error: the input is empty\n"));
    }
    let mut matcher = Matcher {
        file: &file,
        input: &input,
        variables: Variables::new(),
    };
    matcher.sections(&checks)
}

struct Matcher<'a> {
    file: &'a Text,
    input: &'a Text,
    variables: Variables,
}

/// The `-DAG`s and `-NOT`s before a check, and the check; `None`: the end of the section.
struct Step<'a> {
    before: &'a [Check],
    check: Option<&'a Check>,
}

fn steps(checks: &[Check]) -> impl Iterator<Item = Step<'_>> {
    let grouped = |c: &Check| matches!(c.kind, Kind::Dag | Kind::Not);
    checks
        .split_inclusive(move |c| !grouped(c))
        .map(move |step| match step {
            [before @ .., check] if !grouped(check) => Step {
                before,
                check: Some(check),
            },
            before => Step {
                before,
                check: None,
            },
        })
}

impl Matcher<'_> {
    fn sections(&mut self, checks: &[Check]) -> Result<(), String> {
        let mut reports = Vec::new();
        let mut start = Pos::START;
        for section in checks.split_inclusive(|c| c.kind == Kind::Label) {
            let mut region = start..self.input.end();
            if let Some(label) = section.last().filter(|c| c.kind == Kind::Label) {
                match self.expect(label, region.clone()) {
                    Ok(found) => region.end = found.end,
                    // Without the label the later sections cannot be found.
                    Err(report) => {
                        reports.push(report);
                        break;
                    }
                }
            }
            start = region.end;
            reports.extend(self.section(section, region).err());
        }
        if reports.is_empty() {
            Ok(())
        } else {
            Err(reports.join("\n"))
        }
    }

    fn section(&mut self, checks: &[Check], region: Range<Pos>) -> Result<(), String> {
        let mut from = region.start;
        for step in steps(checks) {
            let (behind, absent) = self.group(step.before, from..region.end)?;
            let Some(check) = step.check else {
                return self.absent(&absent, behind..region.end);
            };
            let found = self.expect(check, behind..region.end)?;
            self.adjacent(check, behind, found.start)?;
            self.absent(&absent, behind..found.start)?;
            from = found.end;
        }
        Ok(())
    }

    /// Matches the `-DAG`s; gives the end of their last match and the `-NOT`s that follow it.
    fn group<'c>(
        &mut self,
        group: &'c [Check],
        region: Range<Pos>,
    ) -> Result<(Pos, Vec<&'c Check>), String> {
        let mut from = region.start;
        let mut absent = Vec::new();
        for run in group.chunk_by(|a, b| a.kind == b.kind) {
            if run[0].kind == Kind::Not {
                absent.extend(run);
                continue;
            }
            let mut taken: Vec<Range<Pos>> = Vec::new();
            for check in run {
                let found = self.expect_free(check, from..region.end, &taken)?;
                let place = taken.partition_point(|t| t.start < found.start);
                taken.insert(place, found);
            }
            if let [first, .., last] | [first @ last] = taken.as_slice() {
                self.absent(&std::mem::take(&mut absent), from..first.start)?;
                from = last.end;
            }
        }
        Ok((from, absent))
    }

    /// The first match that overlaps none of `taken`, which are in order.
    fn expect_free(
        &mut self,
        check: &Check,
        region: Range<Pos>,
        taken: &[Range<Pos>],
    ) -> Result<Range<Pos>, String> {
        let mut from = region.start;
        loop {
            let found = self.expect(check, from..region.end)?;
            match taken
                .iter()
                .find(|t| t.start < found.end && found.start < t.end)
            {
                Some(overlapped) => from = overlapped.end,
                None => return Ok(found),
            }
        }
    }

    /// The first match in the region, or the report that there is none.
    fn expect(&mut self, check: &Check, region: Range<Pos>) -> Result<Range<Pos>, String> {
        let start = region.start;
        self.find(check, region)?
            .ok_or_else(|| self.scan_failed(check, start, "expected string not found in input"))
    }

    /// The first match in the region; sets the variables that the pattern defines.
    fn find(&mut self, check: &Check, region: Range<Pos>) -> Result<Option<Range<Pos>>, String> {
        let input = self.input;
        let at = |line, column| Pos { line, column };
        if check.kind == Kind::Empty {
            let mut later = region.start.line + 1..region.end.line;
            let found = later.find(|&line| input.lines[line].is_empty());
            return Ok(found.map(|line| at(line, 0)..at(line, 0)));
        }
        let start = region.start;
        let regex = check.pattern.compile(&self.variables);
        let regex = regex.map_err(|e| self.scan_failed(check, start, &e))?;
        for (line, text, bytes) in input.pieces(region) {
            // The text before the region stays in sight, so that `^` is the start of the line.
            let found = regex.captures_from_pos(&text[..bytes.end], bytes.start);
            let found = found.map_err(|e| self.scan_failed(check, start, &e.to_string()))?;
            let Some(captures) = found else { continue };
            for name in check.pattern.defined() {
                let value = captures.name(name).map_or("", |m| m.as_str());
                self.variables.insert(name.to_string(), value.to_string());
            }
            let whole = captures.get(0).map_or(bytes, |m| m.range());
            return Ok(Some(at(line, whole.start)..at(line, whole.end)));
        }
        Ok(None)
    }

    /// Holds `-NEXT`, `-EMPTY` and `-SAME` to their line.
    fn adjacent(&self, check: &Check, previous: Pos, found: Pos) -> Result<(), String> {
        let lines = found.line - previous.line;
        let wrong = match check.kind {
            Kind::Next | Kind::Empty if lines == 0 => "is on the same line as the previous match",
            Kind::Next | Kind::Empty if lines > 1 => "is not on the line after the previous match",
            Kind::Same if lines > 0 => "is not on the same line as the previous match",
            _ => return Ok(()),
        };
        let places = [
            (previous, "previous match ended here"),
            (found, "this match was here"),
        ];
        Err(self.report(check, wrong, &places))
    }

    fn absent(&mut self, checks: &[&Check], region: Range<Pos>) -> Result<(), String> {
        for check in checks {
            if let Some(found) = self.find(check, region.clone())? {
                let places = [(found.start, "found here")];
                return Err(self.report(check, "excluded string found in input", &places));
            }
        }
        Ok(())
    }

    fn scan_failed(&self, check: &Check, start: Pos, message: &str) -> String {
        self.report(check, message, &[(start, "scanning from here")])
    }

    fn report(&self, check: &Check, message: &str, places: &[(Pos, &str)]) -> String {
        let mut report = self
            .file
            .point(check.at, "error", &format!("{}: {message}", check.name));
        for &(pos, note) in places {
            report += &self.input.point(pos, "note", note);
        }
        for name in check.pattern.variables() {
            if let Some(value) = self.variables.get(name) {
                report += &format!("note: with `{name}` equal to `{value}`\n");
            }
        }
        report + &self.show_input(places[0].0.line)
    }

    /// The input around a line, which is marked; cut lines are counted.
    fn show_input(&self, marked: usize) -> String {
        let lines = &self.input.lines;
        let from = marked.saturating_sub(CONTEXT.start);
        let to = lines.len().min(marked + CONTEXT.end);
        let mut shown = format!(
            "the input, lines {} to {to} of {}:\n",
            from + 1,
            lines.len()
        );
        for (i, line) in lines[from..to]
            .iter()
            .enumerate()
            .map(|(i, line)| (from + i, line))
        {
            let mark = if i == marked { '>' } else { ' ' };
            shown += &format!("{mark}{:5}: {line}\n", i + 1);
        }
        shown
    }
}

#[cfg(test)]
mod tests;

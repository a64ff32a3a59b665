//! RUN lines: from the text behind `RUN:` to pipelines of commands.
//!
//! There is no shell. Words are separated by blanks, quotes `'…'` and `"…"` keep them together, and
//! unquoted `|`, `>` and `2>&1` mean what they mean in a shell; the other operators are refused.
//! *After*: every pipeline has a command in each stage, and every command is one that the runner knows.

use crate::text::{Pos, Text, comments};

/// `a | b | c`.
#[derive(Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Line of its `RUN:`, from 0.
    pub line: usize,
    pub stages: Vec<Stage>,
}

/// One command of a pipeline.
#[derive(Debug, PartialEq, Eq)]
pub struct Stage {
    /// As written, for reports.
    pub source: String,
    pub program: Program,
    /// With `%s`, `%t` in place.
    pub arguments: Vec<String>,
    /// Expects exit code 1 instead of 0.
    pub not: bool,
    /// `> file`.
    pub output: Option<String>,
    /// `2>&1`.
    pub merge: bool,
}

/// What a RUN line may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// The compiler, a process.
    Tspc,
    /// Matches standard input against the checks of a file.
    FileCheck,
    /// Matches the diagnostics in standard input against the annotations of a file.
    VerifyDiagnostics,
    /// Compares two files byte for byte.
    Cmp,
}

const PROGRAMS: [(&str, Program); 4] = [
    ("tspc", Program::Tspc),
    ("filecheck", Program::FileCheck),
    ("verify-diagnostics", Program::VerifyDiagnostics),
    ("cmp", Program::Cmp),
];

/// What `%s` and `%t` stand for.
#[derive(Clone, Copy, Debug)]
pub struct Substitutions<'a> {
    /// `%s`: the test file.
    pub source: &'a str,
    /// `%t`: stem of this test's temporary files.
    pub temp: &'a str,
}

/// The pipelines of a test file, at least one.
///
/// # Errors
/// A report that is ready to print, also for `XFAIL`, `REQUIRES` and `UNSUPPORTED`: a test runs and passes.
pub fn parse(file: &Text, with: Substitutions) -> Result<Vec<Pipeline>, String> {
    let mut pipelines = Vec::new();
    let mut open: Option<(Pos, String)> = None;
    for (line, text) in file.lines.iter().enumerate() {
        for (column, body) in comments(text) {
            let at = Pos { line, column };
            let word = body.split(':').next().unwrap_or_default();
            if body.contains(':') && ["XFAIL", "REQUIRES", "UNSUPPORTED"].contains(&word) {
                let message = format!("`{word}` is not supported: a test runs and passes");
                return Err(file.point(at, "error", &message));
            }
            let Some(command) = body.strip_prefix("RUN:").map(str::trim) else {
                continue;
            };
            let (at, sofar) = open.take().unwrap_or((at, String::new()));
            match command.strip_suffix('\\') {
                Some(part) => open = Some((at, sofar + part)),
                None => {
                    let stages = pipeline(&(sofar + command), with);
                    let stages = stages.map_err(|e| file.point(at, "error", &e))?;
                    pipelines.push(Pipeline {
                        line: at.line,
                        stages,
                    });
                }
            }
            break;
        }
    }
    match open {
        Some((at, _)) => Err(file.point(at, "error", "`\\` without a following RUN line")),
        None if pipelines.is_empty() => Err(format!("{}: error: no RUN line\n", file.name)),
        None => Ok(pipelines),
    }
}

fn pipeline(text: &str, with: Substitutions) -> Result<Vec<Stage>, String> {
    words(text)?
        .split(|word| word.is("|"))
        .map(|words| stage(words, with))
        .collect()
}

fn stage(words: &[Word], with: Substitutions) -> Result<Stage, String> {
    let source: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
    let (not, words) = match words {
        [first, rest @ ..] if first.is("not") => (true, rest),
        words => (false, words),
    };
    let [program, words @ ..] = words else {
        return Err("a command is missing".into());
    };
    let known = PROGRAMS.iter().find(|(name, _)| program.is(name));
    let Some(&(_, program)) = known else {
        let names = PROGRAMS.map(|(name, _)| name).join(", ");
        return Err(format!(
            "`{}` cannot be run; there are {names}",
            program.text
        ));
    };
    let mut stage = Stage {
        source: source.join(" "),
        program,
        arguments: Vec::new(),
        not,
        output: None,
        merge: false,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word.is(">") {
            let file = words.next().ok_or("`>` without a file")?;
            if stage.merge || stage.output.is_some() {
                return Err("write one `> FILE`, and `2>&1` behind it".into());
            }
            stage.output = Some(substitute(&file.text, with)?);
        } else if word.is("2>&1") {
            stage.merge = true;
        } else if !word.quoted
            && ["&&", "||", "&", ";", "<", ">>", "2>"].contains(&word.text.as_str())
        {
            return Err(format!("`{}` is not supported", word.text));
        } else {
            stage.arguments.push(substitute(&word.text, with)?);
        }
    }
    Ok(stage)
}

#[derive(Debug, Default)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, text: &str) -> bool {
        !self.quoted && self.text == text
    }
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                word.quoted = true;
                loop {
                    match chars.next() {
                        Some(end) if end == c => break,
                        Some(inside) => word.text.push(inside),
                        None => return Err(format!("{c} is not closed")),
                    }
                }
            }
            c => word.get_or_insert_default().text.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn substitute(word: &str, with: Substitutions) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        out += match chars.next() {
            Some('s') => with.source,
            Some('t') => with.temp,
            Some('%') => "%",
            _ => return Err(format!("`{word}`: there are %s, %t and %%")),
        };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: Substitutions = Substitutions {
        source: "sim/a.tspasm",
        temp: "out/t",
    };

    fn runs(text: &str) -> Result<Vec<Pipeline>, String> {
        parse(&Text::new("t", text), WITH)
    }

    fn one(text: &str) -> Vec<Stage> {
        let mut pipelines = runs(&format!("// RUN: {text}\n")).unwrap();
        assert_eq!(pipelines.len(), 1);
        pipelines.remove(0).stages
    }

    #[test]
    fn a_pipeline_has_stages_with_arguments() {
        let stages = one("tspc opt %s --set 'a b=1' | filecheck %s --check-prefix=OPT");
        assert_eq!(stages.len(), 2);
        assert_eq!(stages[0].program, Program::Tspc);
        assert_eq!(
            stages[0].arguments,
            ["opt", "sim/a.tspasm", "--set", "a b=1"]
        );
        assert!(!stages[0].not && !stages[0].merge && stages[0].output.is_none());
        assert_eq!(stages[1].program, Program::FileCheck);
        assert_eq!(stages[1].arguments, ["sim/a.tspasm", "--check-prefix=OPT"]);
        assert_eq!(stages[1].source, "filecheck %s --check-prefix=OPT");
    }

    #[test]
    fn not_and_redirections_belong_to_their_stage() {
        let stages = one("not tspc check %s > %t.out 2>&1 | cmp a b");
        assert!(stages[0].not && stages[0].merge && !stages[1].not && !stages[1].merge);
        assert_eq!(stages[0].output.as_deref(), Some("out/t.out"));
        assert_eq!(stages[0].arguments, ["check", "sim/a.tspasm"]);
    }

    #[test]
    fn quotes_hide_operators_and_percent_escapes_itself() {
        let stages = one(r#"tspc '|' ">" a'b c'd "" 50%%"#);
        assert_eq!(stages[0].arguments, ["|", ">", "ab cd", "", "50%"]);
    }

    #[test]
    fn a_backslash_continues_on_the_next_run_line() {
        let text = "; RUN: tspc asm %s \\\nx // CHECK: y\n; RUN:   -o %t \\\n; RUN: | cmp a b\n# RUN: cmp a a\n";
        let pipelines = runs(text).unwrap();
        assert_eq!((pipelines[0].line, pipelines[1].line), (0, 4));
        assert_eq!(
            pipelines[0].stages[0].arguments,
            ["asm", "sim/a.tspasm", "-o", "out/t"]
        );
        assert_eq!(pipelines[0].stages.len(), 2);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, message) in [
            ("// RUN: rm -rf %t\n", "t:1:4: error: `rm` cannot be run"),
            ("// RUN: tspc a |\n", "a command is missing"),
            ("// RUN: | tspc\n", "a command is missing"),
            ("// RUN: not\n", "a command is missing"),
            ("// RUN: tspc 'a\n", "' is not closed"),
            ("// RUN: tspc a && tspc b\n", "`&&` is not supported"),
            ("// RUN: tspc < %s\n", "`<` is not supported"),
            ("// RUN: tspc >\n", "`>` without a file"),
            ("// RUN: tspc 2>&1 > %t\n", "`2>&1` behind it"),
            ("// RUN: tspc %x\n", "there are %s, %t and %%"),
            ("// RUN: tspc a \\\n", "`\\` without a following RUN line"),
            ("// no command\n", "t: error: no RUN line"),
            ("// XFAIL: *\n// RUN: tspc\n", "`XFAIL` is not supported"),
            (
                "// RUN: tspc\n// REQUIRES: llvm\n",
                "`REQUIRES` is not supported",
            ),
        ] {
            let error = runs(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}

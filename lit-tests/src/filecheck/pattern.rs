//! What stands behind a check's colon: fixed text, `{{regex}}`, `[[X:regex]]` and `[[X]]`.
//!
//! *Before*: one line of canonical text. *After*: a pattern that compiles, whatever its variables hold.
//! It matches within one line; `^` and `$` mean that line's ends.

use std::collections::BTreeMap;

use fancy_regex::Regex;

/// Values of the variables defined so far.
pub type Variables = BTreeMap<String, String>;

#[derive(Debug)]
enum Part {
    Fixed(String),
    Regex(String),
    Define { name: String, regex: String },
    Use(String),
}

/// The pattern of one check.
#[derive(Debug)]
pub struct Pattern {
    parts: Vec<Part>,
}

/// What is wrong with a pattern, at this byte of it.
#[derive(Debug, PartialEq, Eq)]
pub struct PatternError {
    pub at: usize,
    pub message: String,
}

impl Pattern {
    /// Parses a pattern without the blanks around it.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let fail = |message: &str| PatternError {
                at,
                message: message.into(),
            };
            let rest = &text[at..];
            if let Some(inside) = rest.strip_prefix("{{") {
                let length = inside.find("}}").ok_or_else(|| fail("`{{` without `}}`"))?;
                parts.push(Part::Regex(regex(&inside[..length], at + 2)?));
                at += 2 + length + 2;
            } else if let Some(inside) = rest.strip_prefix("[[") {
                let length = variable_end(inside).ok_or_else(|| fail("`[[` without `]]`"))?;
                let part = variable(&inside[..length], at + 2)?;
                if let Part::Define { name, .. } = &part
                    && parts
                        .iter()
                        .any(|p| matches!(p, Part::Define { name: n, .. } if n == name))
                {
                    return Err(fail(&format!("`{name}` is defined twice")));
                }
                parts.push(part);
                at += 2 + length + 2;
            } else {
                let length = ["{{", "[["].iter().filter_map(|open| rest.find(open)).min();
                let length = length.unwrap_or(rest.len());
                parts.push(Part::Fixed(rest[..length].to_string()));
                at += length;
            }
        }
        let pattern = Pattern { parts };
        let any = pattern
            .variables()
            .map(|name| (name.to_string(), String::new()))
            .collect();
        pattern
            .compile(&any)
            .map_err(|message| PatternError { at: 0, message })?;
        Ok(pattern)
    }

    /// Names of the variables that it defines or uses.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Define { name, .. } | Part::Use(name) => Some(name.as_str()),
            Part::Fixed(_) | Part::Regex(_) => None,
        })
    }

    /// Names of the variables that it defines.
    pub fn defined(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Define { name, .. } => Some(name.as_str()),
            _ => None,
        })
    }

    /// The regular expression, with the variables' values in their places; each defined variable is a named
    /// group. A variable used behind its definition in the same pattern is a back reference.
    pub fn compile(&self, values: &Variables) -> Result<Regex, String> {
        let mut source = String::new();
        let mut here = Vec::new();
        for part in &self.parts {
            match part {
                Part::Fixed(text) => source += &fancy_regex::escape(text),
                Part::Regex(regex) => source += &format!("(?:{regex})"),
                Part::Define { name, regex } => {
                    source += &format!("(?<{name}>{regex})");
                    here.push(name);
                }
                Part::Use(name) if here.contains(&name) => source += &format!(r"\k<{name}>"),
                Part::Use(name) => {
                    let value = values
                        .get(name)
                        .ok_or(format!("undefined variable `{name}`"))?;
                    source += &fancy_regex::escape(value);
                }
            }
        }
        Regex::new(&source).map_err(|e| e.to_string())
    }
}

/// Where the `]]` of a variable stands: brackets nest and `\` hides the next character, as in its regex.
fn variable_end(inside: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '[' => depth += 1,
            ']' if depth == 0 => return inside[at..].starts_with("]]").then_some(at),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn variable(inside: &str, at: usize) -> Result<Part, PatternError> {
    let (name, definition) = match inside.split_once(':') {
        Some((name, definition)) => (name, Some(definition)),
        None => (inside, None),
    };
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(letter) || !name.chars().all(|c| letter(c) || c.is_ascii_digit()) {
        let message =
            format!("`{name}` is no variable; a literal bracket is written `{{{{\\[}}}}`");
        return Err(PatternError { at, message });
    }
    let name = name.to_string();
    Ok(match definition {
        Some(text) => Part::Define {
            regex: regex(text, at + name.len() + 1)?,
            name,
        },
        None => Part::Use(name),
    })
}

/// The expression itself, once it is known to compile alone.
fn regex(source: &str, at: usize) -> Result<String, PatternError> {
    match Regex::new(source) {
        Ok(_) => Ok(source.to_string()),
        Err(e) => Err(PatternError {
            at,
            message: e.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captures(pattern: &str, values: &[(&str, &str)], line: &str) -> Option<Vec<String>> {
        let pattern = Pattern::parse(pattern).unwrap();
        let values = values
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let found = pattern.compile(&values).unwrap().captures(line).unwrap()?;
        Some(
            pattern
                .defined()
                .map(|name| found[name].to_string())
                .collect(),
        )
    }

    #[test]
    fn fixed_text_means_itself() {
        assert!(captures("a.b(c)*", &[], "x a.b(c)* y").is_some());
        assert!(captures("a.b", &[], "axb").is_none());
        assert!(captures("x[0] {y}", &[], "x[0] {y}").is_some());
    }

    #[test]
    fn regexes_are_kept_apart_from_what_surrounds_them() {
        assert!(captures("{{a|b}}c", &[], "bc").is_some());
        assert!(captures("{{a|b}}c", &[], "a").is_none());
        assert!(captures("{{^}}a{{$}}", &[], "a").is_some());
        assert!(captures("{{^}}a{{$}}", &[], "ab").is_none());
    }

    #[test]
    fn variables_hold_what_they_matched() {
        assert_eq!(
            captures("[[X:%[0-9]+]] =", &[], "%12 = add").unwrap(),
            ["%12"]
        );
        assert!(captures("add [[X]],", &[("X", "%1")], "add %1, %2").is_some());
        assert!(captures("add [[X]],", &[("X", "%1")], "add %11, %2").is_none());
        assert!(
            captures("[[X]]", &[("X", "a.c")], "abc").is_none(),
            "a value is fixed text"
        );
    }

    #[test]
    fn a_variable_may_be_used_in_the_line_that_defines_it() {
        assert_eq!(
            captures("[[X:[a-z]+]]-[[X]]", &[], "ab-cd-cd").unwrap(),
            ["cd"]
        );
        assert!(captures("[[X:[a-z]+]]-[[X]]{{$}}", &[("X", "cd")], "ab-cd").is_none());
    }

    #[test]
    fn malformed_patterns_are_refused_where_they_are_wrong() {
        let error = |text| Pattern::parse(text).unwrap_err();
        assert_eq!(error("a {{b").at, 2);
        assert_eq!(error("a [[X").at, 2);
        assert_eq!(error("[[1, 2]]").at, 2);
        assert_eq!(error("[[#X]]").at, 2);
        assert_eq!(error("ab {{(}}").at, 5);
        assert_eq!(error("[[X:(]]").at, 4);
        assert_eq!(error("[[X:a]] [[X:b]]").message, "`X` is defined twice");
    }

    #[test]
    fn undefined_variables_are_named() {
        let pattern = Pattern::parse("[[X]]").unwrap();
        assert_eq!(
            pattern.compile(&Variables::new()).unwrap_err(),
            "undefined variable `X`"
        );
    }
}

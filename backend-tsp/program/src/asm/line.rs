//! One line of a listing: words separated by spaces, quoted text, commas, a comment from `;` on.

use std::fmt::Display;
use std::str::FromStr;

/// Where and why a line is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was expected there.
    pub expected: String,
    /// The offending token, or what else is there.
    pub found: String,
}

pub(super) type Parsed<T> = Result<T, Diagnostic>;

/// A word, or quoted text without the quotes.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) column: usize,
    quoted: bool,
}

/// The tokens of a line, taken from left to right.
pub(super) struct Line {
    number: usize,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    /// Column after the last token.
    end: usize,
}

impl Line {
    pub(super) fn new(number: usize, text: &str) -> Parsed<Line> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().zip(1..).peekable();
        let mut end = 1;
        while let Some((c, column)) = chars.next() {
            if c == ';' {
                break;
            }
            if c.is_whitespace() {
                continue;
            }
            let mut token = Token {
                text: String::new(),
                column,
                quoted: c == '"',
            };
            end = column + 1;
            if c == '"' {
                let mut raw = String::new();
                let mut escaped = false;
                loop {
                    let Some((c, column)) = chars.next() else {
                        return Err(diagnostic(
                            number,
                            column,
                            "a closing `\"`",
                            "the end of the line",
                        ));
                    };
                    end = column + 1;
                    if c == '"' && !escaped {
                        break;
                    }
                    escaped = c == '\\' && !escaped;
                    raw.push(c);
                }
                token.text = unescape(&raw).ok_or_else(|| {
                    diagnostic(
                        number,
                        column,
                        "escapes \\\\ \\\" \\' \\n \\r \\t \\0 \\u{…}",
                        format!("\"{raw}\""),
                    )
                })?;
            } else {
                token.text.push(c);
                let word = |c: char| !c.is_whitespace() && !",;\"".contains(c);
                while let Some((c, column)) = chars.next_if(|&(next, _)| c != ',' && word(next)) {
                    token.text.push(c);
                    end = column + 1;
                }
            }
            tokens.push(token);
        }
        Ok(Line {
            number,
            tokens: tokens.into_iter().peekable(),
            end,
        })
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn is_empty(&mut self) -> bool {
        self.tokens.peek().is_none()
    }

    /// The next token, if it is a word that `wanted` accepts.
    pub(super) fn next_if(&mut self, wanted: impl Fn(&str) -> bool) -> Option<Token> {
        self.tokens
            .next_if(|token| !token.quoted && wanted(&token.text))
    }

    /// The next token, quoted or not.
    pub(super) fn text(&mut self, expected: &str) -> Parsed<Token> {
        let missing = diagnostic(self.number, self.end, expected, "the end of the line");
        self.tokens.next().ok_or(missing)
    }

    pub(super) fn word(&mut self, expected: &str) -> Parsed<Token> {
        let token = self.text(expected)?;
        if token.quoted {
            Err(self.refuse(&token, expected))
        } else {
            Ok(token)
        }
    }

    pub(super) fn quoted(&mut self, expected: &str) -> Parsed<Token> {
        let token = self.text(expected)?;
        if token.quoted {
            Ok(token)
        } else {
            Err(self.refuse(&token, expected))
        }
    }

    /// Exactly this word.
    pub(super) fn keyword(&mut self, keyword: &str) -> Parsed<()> {
        let token = self.word(&format!("`{keyword}`"))?;
        if token.text == keyword {
            Ok(())
        } else {
            Err(self.refuse(&token, &format!("`{keyword}`")))
        }
    }

    /// A word that `parse` understands.
    pub(super) fn parse<T>(
        &mut self,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Parsed<T> {
        let token = self.word(expected)?;
        parse(&token.text).ok_or_else(|| self.refuse(&token, expected))
    }

    /// A number from `least` to `most`, decimal or 0x….
    pub(super) fn integer<T: Copy + TryFrom<i64> + Display>(
        &mut self,
        what: &str,
        least: i64,
        most: i64,
    ) -> Parsed<T> {
        self.parse(&format!("{what} {least}…{most}"), |text| {
            integer(text, least, most)
        })
    }

    pub(super) fn finish(&mut self) -> Parsed<()> {
        match self.tokens.next() {
            Some(token) => Err(self.refuse(&token, "the end of the line")),
            None => Ok(()),
        }
    }

    pub(super) fn refuse(&self, token: &Token, expected: &str) -> Diagnostic {
        let quote = if token.quoted { '"' } else { '`' };
        diagnostic(
            self.number,
            token.column,
            expected,
            format!("{quote}{}{quote}", token.text),
        )
    }
}

pub(super) fn diagnostic(
    line: usize,
    column: usize,
    expected: &str,
    found: impl Into<String>,
) -> Diagnostic {
    Diagnostic {
        line,
        column,
        expected: expected.into(),
        found: found.into(),
    }
}

/// A number from `least` to `most`: a sign or none, then digits or 0x and hex digits.
pub(super) fn integer<T: TryFrom<i64>>(text: &str, least: i64, most: i64) -> Option<T> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = match digits.strip_prefix("0x") {
        Some(hex) if hex.starts_with('+') => None,
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => i64::from_str(digits).ok(),
    }?;
    let value = if negative { -value } else { value };
    (least..=most)
        .contains(&value)
        .then(|| T::try_from(value).ok())?
}

/// Undoes Rust's `{:?}`.
fn unescape(raw: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            c @ ('\\' | '"' | '\'') => c,
            'u' => {
                let rest = chars.as_str().strip_prefix('{')?;
                let (hex, rest) = rest.split_once('}')?;
                chars = rest.chars();
                char::from_u32(u32::from_str_radix(hex, 16).ok()?)?
            }
            _ => return None,
        });
    }
    Some(text)
}

//! Tokens, and the lines around them for diagnostics.
//!
//! Words are identifiers and numbers alike (`tensor.add`, `128x768xf32`, `-1e-12`): what a word means depends on
//! where it stands, so the parser decides.

use crate::diag::{Diagnostic, Place};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// An identifier or a number.
    Word,
    /// `%12`, `^bb0`, `#loc3` or `@name`, by its first character.
    Sigil(u8),
    /// A quoted string, quotes included.
    Str,
    /// One of `( ) { } [ ] < > = , :`.
    Punct(u8),
    End,
}

/// A token's bytes in the source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
}

pub(super) struct Lexer<'s> {
    pub file: &'s str,
    pub source: &'s str,
    at: usize,
    line: u32,
    line_start: usize,
}

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'.'
}

impl<'s> Lexer<'s> {
    pub fn new(file: &'s str, source: &'s str) -> Lexer<'s> {
        Lexer {
            file,
            source,
            at: 0,
            line: 1,
            line_start: 0,
        }
    }

    /// The next token. White space and `//` comments separate tokens and mean nothing.
    pub fn next(&mut self) -> Result<(Token, Span), Diagnostic> {
        let bytes = self.source.as_bytes();
        let peek = |i: usize| bytes.get(i).copied().unwrap_or(0);
        loop {
            match peek(self.at) {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'/' if peek(self.at + 1) == b'/' => {
                    self.at += bytes[self.at..]
                        .iter()
                        .position(|&c| c == b'\n')
                        .unwrap_or(bytes.len() - self.at);
                }
                _ => break,
            }
        }
        let start = self.at;
        let words = |from: usize| from + bytes[from..].iter().take_while(|&&c| is_word(c)).count();
        let (token, end) = match peek(start) {
            0 if start >= bytes.len() => (Token::End, start),
            c @ (b'%' | b'^' | b'#') => (Token::Sigil(c), words(start + 1)),
            b'@' if peek(start + 1) == b'"' => (Token::Sigil(b'@'), self.string_end(start + 1)?),
            b'@' => (Token::Sigil(b'@'), words(start + 1)),
            b'"' => (Token::Str, self.string_end(start)?),
            c @ (b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'<' | b'>' | b'=' | b',' | b':') => {
                (Token::Punct(c), start + 1)
            }
            c if is_word(c) || c == b'-' => (Token::Word, self.word_end(start)),
            _ => {
                let width = self.source[start..]
                    .chars()
                    .next()
                    .map_or(1, char::len_utf8);
                let span = Span {
                    start,
                    end: start + width,
                };
                return Err(self.error(
                    span,
                    format!("unexpected character {:?}", &self.source[start..span.end]),
                ));
            }
        };
        self.at = end;
        Ok((token, Span { start, end }))
    }

    /// A word; a sign belongs to it at its beginning and after the `e` of a decimal number.
    fn word_end(&self, start: usize) -> usize {
        let bytes = self.source.as_bytes();
        let decimal = bytes[start].is_ascii_digit() || bytes[start] == b'-';
        let mut end = start + 1;
        while let Some(&c) = bytes.get(end) {
            let exponent = decimal && matches!(c, b'-' | b'+') && bytes[end - 1] == b'e';
            if !is_word(c) && !exponent {
                break;
            }
            end += 1;
        }
        end
    }

    fn string_end(&self, quote: usize) -> Result<usize, Diagnostic> {
        let bytes = self.source.as_bytes();
        let mut at = quote + 1;
        loop {
            match bytes.get(at) {
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') if bytes.get(at + 1).is_some_and(u8::is_ascii) => at += 2,
                None | Some(b'\n' | b'\\') => {
                    return Err(self.error(
                        Span {
                            start: quote,
                            end: at,
                        },
                        "the string does not end on its line",
                    ));
                }
                Some(_) => at += 1,
            }
        }
    }

    /// Line and column, from 1, of the token that was read last or begins on the current line.
    pub fn line_col(&self, span: Span) -> (u32, u32) {
        let (mut line, mut line_start) = (self.line, self.line_start);
        if span.start < line_start {
            let before = &self.source[..span.start];
            line = 1 + before.bytes().filter(|&c| c == b'\n').count() as u32;
            line_start = before.rfind('\n').map_or(0, |i| i + 1);
        }
        (
            line,
            1 + self.source[line_start..span.start].chars().count() as u32,
        )
    }

    /// The place of a token, with its line.
    pub fn place(&self, span: Span) -> Place {
        let (line_number, col) = self.line_col(span);
        let line_start = self.source[..span.start].rfind('\n').map_or(0, |i| i + 1);
        let line = self.source[line_start..].lines().next().unwrap_or_default();
        let shown: String = line
            .chars()
            .map(|c| if c == '\t' { ' ' } else { c })
            .collect();
        Place {
            at: format!("{}:{line_number}:{col}", self.file),
            line_number,
            line: shown,
            column: col as usize - 1,
            width: self.source[span.start..span.end].chars().count(),
            label: String::new(),
        }
    }

    pub fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(message, self.place(span))
    }
}

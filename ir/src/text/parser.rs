//! The parser: hand-written, exact, iterative. Everything it accepts went through the builder, so it is typed.
//!
//! It never guesses: written result types must be the inferred ones, attributes must be declared, values defined
//! once and before their use. The first error ends it.

use super::lexer::{Lexer, Span, Token};
use super::literal::unquote;
use crate::attr::Attr;
use crate::builder::Builder;
use crate::constant::ConstPool;
use crate::diag::Diagnostic;
use crate::entity::{Block, Loc, Op, Value};
use crate::module::Module;
use crate::ops::Opcode;
use crate::table::Form;
use crate::types::Type;
use std::collections::BTreeMap;

/// Longest text that is read.
pub const MAX_BYTES: usize = 1 << 28;
/// Most ops of a module that is read.
pub const MAX_OPS: usize = 1 << 22;

pub(super) type Result<T> = std::result::Result<T, Diagnostic>;

/// Reads a module. `file` names the text in diagnostics and locations; `side` holds the constants that the text
/// only names. Ops without a location get their place in the text.
pub fn parse(file: &str, source: &str, side: &ConstPool) -> Result<Module> {
    let mut lexer = Lexer::new(file, source);
    if source.len() > MAX_BYTES {
        let place = crate::diag::Place::named(file);
        return Err(Diagnostic::new(
            format!("the text is longer than {MAX_BYTES} bytes"),
            place,
        ));
    }
    let (token, span) = lexer.next()?;
    let opcodes = Opcode::ALL.iter().map(|&op| (op.def().name, op)).collect();
    let builder = Builder::new("");
    let (values, locs) = (BTreeMap::new(), BTreeMap::new());
    Parser {
        lexer,
        token,
        span,
        builder,
        opcodes,
        values,
        locs,
        side,
        ops: 0,
        region: None,
    }
    .module()
}

pub(super) struct Parser<'s> {
    pub(super) lexer: Lexer<'s>,
    pub(super) token: Token,
    pub(super) span: Span,
    pub(super) builder: Builder,
    opcodes: BTreeMap<&'static str, Opcode>,
    values: BTreeMap<u32, (Value, Span)>,
    pub(super) locs: BTreeMap<u32, Loc>,
    pub(super) side: &'s ConstPool,
    ops: usize,
    region: Option<Pending>,
}

/// An op, read up to its region.
struct Pending {
    results: Vec<(u32, Span)>,
    name: Span,
    operands: Vec<Value>,
    attrs: Vec<(&'static str, Attr)>,
    block: Block,
}

impl<'s> Parser<'s> {
    fn module(mut self) -> Result<Module> {
        while self.token == Token::Sigil(b'#') {
            self.fused()?;
        }
        self.keyword("module")?;
        let name = self.sigil(b'@')?;
        self.builder.rename(match name.starts_with('"') {
            true => unquote(name).map_err(|why| self.error(why))?,
            false => name.to_string(),
        });
        self.punct(b'(')?;
        while self.token != Token::Punct(b')') {
            self.input()?;
        }
        self.punct(b')')?;
        self.punct(b'{')?;
        loop {
            if self.token == Token::Punct(b'}') {
                self.advance()?;
                let Some(pending) = self.region.take() else {
                    break;
                };
                self.close(pending)?;
            } else {
                self.op()?;
            }
        }
        match self.token {
            Token::End => Ok(self.builder.finish()),
            _ => Err(self.error("expected the end of the text")),
        }
    }

    pub(super) fn advance(&mut self) -> Result<()> {
        (self.token, self.span) = self.lexer.next()?;
        Ok(())
    }

    pub(super) fn error(&self, message: impl Into<String>) -> Diagnostic {
        self.lexer.error(self.span, message)
    }

    pub(super) fn source(&self, span: Span) -> &'s str {
        &self.lexer.source[span.start..span.end]
    }

    /// Takes a token of this kind and returns its text.
    fn take(&mut self, token: Token, what: &str) -> Result<&'s str> {
        if self.token != token {
            return Err(self.error(format!("expected {what}")));
        }
        let text = self.source(self.span);
        self.advance()?;
        Ok(text)
    }

    pub(super) fn punct(&mut self, c: u8) -> Result<()> {
        self.take(Token::Punct(c), &format!("`{}`", c as char))
            .map(|_| ())
    }

    /// Takes a comma unless the list ends here.
    pub(super) fn comma_or(&mut self, end: u8) -> Result<()> {
        if self.token == Token::Punct(end) {
            return Ok(());
        }
        self.punct(b',')?;
        if self.token == Token::Punct(end) {
            Err(self.error("expected an item after the comma"))
        } else {
            Ok(())
        }
    }

    pub(super) fn keyword(&mut self, word: &str) -> Result<()> {
        if self.token == Token::Word && self.source(self.span) == word {
            return self.advance();
        }
        Err(self.error(format!("expected `{word}`")))
    }

    pub(super) fn word(&mut self, what: &str) -> Result<&'s str> {
        self.take(Token::Word, what)
    }

    /// What follows a sigil.
    pub(super) fn sigil(&mut self, c: u8) -> Result<&'s str> {
        let text = self.take(Token::Sigil(c), &format!("`{}…`", c as char))?;
        Ok(&text[1..])
    }

    pub(super) fn number(&self, digits: &str, span: Span) -> Result<u32> {
        let canonical = digits.bytes().all(|c| c.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        let number = digits.parse().ok().filter(|_| canonical);
        number.ok_or_else(|| self.lexer.error(span, "expected a number"))
    }

    pub(super) fn string(&mut self) -> Result<String> {
        let span = self.span;
        let text = self.take(Token::Str, "a string")?;
        unquote(text).map_err(|why| self.lexer.error(span, why))
    }

    pub(super) fn integer<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        let span = self.span;
        let word = self.word(what)?;
        word.parse()
            .map_err(|_| self.lexer.error(span, format!("expected {what}")))
    }

    /// `%0 "name": type`
    fn input(&mut self) -> Result<()> {
        let (number, span) = self.value_name()?;
        let name = self.string()?;
        self.punct(b':')?;
        let ty = self.ty()?;
        if self.builder.module().inputs().any(|(n, _)| n == name) {
            return Err(self
                .lexer
                .error(span, format!("input {name:?} is given twice")));
        }
        let value = self.builder.input(name, ty);
        self.define(number, span, value)?;
        self.comma_or(b')')
    }

    fn value_name(&mut self) -> Result<(u32, Span)> {
        let span = self.span;
        let digits = self.sigil(b'%')?;
        Ok((self.number(digits, span)?, span))
    }

    fn define(&mut self, number: u32, span: Span, value: Value) -> Result<()> {
        match self.values.insert(number, (value, span)) {
            None => Ok(()),
            Some((_, first)) => Err(self
                .lexer
                .error(span, format!("%{number} is defined twice"))
                .with(self.lexer.place(first).label("previous definition"))),
        }
    }

    /// An op, or the beginning of one with a region.
    fn op(&mut self) -> Result<()> {
        self.ops += 1;
        if self.ops > MAX_OPS {
            return Err(self.error(format!("more than {MAX_OPS} ops")));
        }
        let mut results = Vec::new();
        while self.token == Token::Sigil(b'%') {
            results.push(self.value_name()?);
            self.comma_or(b'=')?;
        }
        if !results.is_empty() {
            self.punct(b'=')?;
        }
        let name = self.span;
        let word = self.word("an op")?;
        let opcode = self.opcodes.get(word).copied();
        let opcode = opcode.ok_or_else(|| self.lexer.error(name, "unknown op"))?;
        let operands = self.operands()?;
        let attrs = if opcode.def().form == Form::Region {
            Vec::new()
        } else {
            self.attrs(opcode)?
        };
        if opcode.def().form != Form::Region {
            let types = self.result_types(results.len())?;
            let loc = self.op_loc(name)?;
            let op = self.builder.build(opcode, &operands, &attrs, loc);
            return self.finish(op, results, types, name);
        }
        let here = self.file_loc(name);
        let (block, args) = self
            .builder
            .open_region(opcode, &operands, here)
            .map_err(|d| self.at(name, d))?;
        self.punct(b'{')?;
        self.sigil(b'^')?;
        self.punct(b'(')?;
        for &arg in &args {
            let (number, span) = self.value_name()?;
            self.punct(b':')?;
            self.same_type(arg)?;
            self.define(number, span, arg)?;
            self.comma_or(b')')?;
        }
        self.punct(b')')?;
        self.punct(b':')?;
        self.region = Some(Pending {
            results,
            name,
            operands,
            attrs,
            block,
        });
        Ok(())
    }

    /// What follows the region of an op.
    fn close(&mut self, op: Pending) -> Result<()> {
        let types = self.result_types(op.results.len())?;
        let loc = self.op_loc(op.name)?;
        let made = self
            .builder
            .close_region(op.block, &op.operands, &op.attrs, loc);
        self.finish(made, op.results, types, op.name)
    }

    fn finish(
        &mut self,
        op: Result<Op>,
        results: Vec<(u32, Span)>,
        types: Vec<(Type, Span)>,
        name: Span,
    ) -> Result<()> {
        let op = op.map_err(|d| self.at(name, d))?;
        let made = self.builder.module()[op].results.clone();
        if made.len() != results.len() {
            let message = format!(
                "the op has {} results, {} are named",
                made.len(),
                results.len()
            );
            return Err(self.lexer.error(name, message));
        }
        for ((value, (number, span)), (ty, at)) in made.into_iter().zip(results).zip(types) {
            self.check_type(value, &ty, at)?;
            self.define(number, span, value)?;
        }
        Ok(())
    }

    /// The builder's refusal, at the op in the text.
    fn at(&self, name: Span, diagnostic: Diagnostic) -> Diagnostic {
        Diagnostic {
            primary: Box::new(self.lexer.place(name)),
            ..diagnostic
        }
    }

    fn same_type(&mut self, value: Value) -> Result<()> {
        let span = self.span;
        let ty = self.ty()?;
        self.check_type(value, &ty, span)
    }

    fn check_type(&self, value: Value, written: &Type, span: Span) -> Result<()> {
        match self.builder.ty(value) {
            inferred if inferred == written => Ok(()),
            inferred => Err(self
                .lexer
                .error(span, format!("the type is {inferred}, not {written}"))),
        }
    }

    fn result_types(&mut self, count: usize) -> Result<Vec<(Type, Span)>> {
        let mut types = Vec::new();
        for i in 0..count {
            self.punct(if i == 0 { b':' } else { b',' })?;
            let span = self.span;
            types.push((self.ty()?, span));
        }
        Ok(types)
    }

    fn op_loc(&mut self, name: Span) -> Result<Loc> {
        if self.token != Token::Word || self.source(self.span) != "loc" {
            return Ok(self.file_loc(name));
        }
        self.advance()?;
        self.punct(b'(')?;
        let loc = self.loc()?;
        self.punct(b')')?;
        Ok(loc)
    }

    fn file_loc(&mut self, span: Span) -> Loc {
        let (line, col) = self.lexer.line_col(span);
        self.builder.locs().file(self.lexer.file, line, col)
    }

    fn operands(&mut self) -> Result<Vec<Value>> {
        self.punct(b'(')?;
        let mut operands = Vec::new();
        while self.token != Token::Punct(b')') {
            let (number, span) = self.value_name()?;
            let value = self.values.get(&number).map(|(v, _)| *v);
            operands.push(value.ok_or_else(|| {
                self.lexer
                    .error(span, format!("%{number} is not defined before its use"))
            })?);
            self.comma_or(b')')?;
        }
        self.punct(b')')?;
        Ok(operands)
    }
}

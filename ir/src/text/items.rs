//! The parts of an op in the text: types, locations, attributes, constants.

use super::lexer::Token;
use super::literal::{f32_bits, push_element};
use super::parser::{Parser, Result};
use crate::attr::{Attr, AttrKind};
use crate::constant::ConstData;
use crate::entity::{Const, Loc};
use crate::ops::Opcode;
use crate::types::{Elem, Kind, Type, elem_from_name};

impl Parser<'_> {
    /// `#loc0 = fused<"rule">[…]`
    pub(super) fn fused(&mut self) -> Result<()> {
        let span = self.span;
        let name = self.sigil(b'#')?;
        let number = self.number(name.strip_prefix("loc").unwrap_or_default(), span)?;
        self.punct(b'=')?;
        self.keyword("fused")?;
        self.punct(b'<')?;
        let rule = self.string()?;
        self.punct(b'>')?;
        self.punct(b'[')?;
        let mut parts = Vec::new();
        while self.token != Token::Punct(b']') {
            parts.push(self.loc()?);
            self.comma_or(b']')?;
        }
        self.punct(b']')?;
        let loc = self.builder.locs().fuse(rule, &parts);
        match self.locs.insert(number, loc) {
            Some(_) => Err(self
                .lexer
                .error(span, format!("#loc{number} is defined twice"))),
            None => Ok(()),
        }
    }

    pub(super) fn loc(&mut self) -> Result<Loc> {
        if self.token == Token::Sigil(b'#') {
            let span = self.span;
            let name = self.sigil(b'#')?;
            let number = self.number(name.strip_prefix("loc").unwrap_or_default(), span)?;
            let loc = self.locs.get(&number).copied();
            return loc.ok_or_else(|| {
                self.lexer
                    .error(span, format!("#loc{number} is not defined"))
            });
        }
        let text = self.string()?;
        if self.token != Token::Punct(b':') {
            return Ok(self.builder.locs().path(text));
        }
        self.punct(b':')?;
        let line = self.integer("a line number")?;
        self.punct(b':')?;
        let col = self.integer("a column number")?;
        Ok(self.builder.locs().file(text, line, col))
    }

    pub(super) fn ty(&mut self) -> Result<Type> {
        let span = self.span;
        let kind = Kind::from_name(self.word("a type")?)
            .ok_or_else(|| self.lexer.error(span, "unknown type"))?;
        self.punct(b'<')?;
        let (shape, elem) = self.shape()?;
        self.punct(b'>')?;
        Type::new(kind, shape, elem).map_err(|why| self.lexer.error(span, why))
    }

    /// `2x3xf32`
    fn shape(&mut self) -> Result<(Vec<usize>, Elem)> {
        let span = self.span;
        let word = self.word("dimensions and an element type")?;
        let (dims, elem) = word.rsplit_once('x').unwrap_or(("", word));
        let elem =
            elem_from_name(elem).ok_or_else(|| self.lexer.error(span, "unknown element type"))?;
        let dims = if dims.is_empty() {
            Vec::new()
        } else {
            dims.split('x').collect()
        };
        let dims = dims
            .into_iter()
            .map(|d| self.number(d, span).map(|d| d as usize));
        Ok((dims.collect::<Result<_>>()?, elem))
    }

    pub(super) fn attrs(&mut self, opcode: Opcode) -> Result<Vec<(&'static str, Attr)>> {
        let mut attrs = Vec::new();
        if self.token != Token::Punct(b'{') {
            return Ok(attrs);
        }
        self.advance()?;
        while self.token != Token::Punct(b'}') {
            let span = self.span;
            let name = self.word("an attribute")?;
            let def = opcode.def().attr(name);
            let (_, def) = def.ok_or_else(|| {
                self.lexer.error(
                    span,
                    format!("{} has no attribute {name}", opcode.def().name),
                )
            })?;
            self.punct(b'=')?;
            attrs.push((def.name, self.attr(def.kind)?));
            self.comma_or(b'}')?;
        }
        self.punct(b'}')?;
        Ok(attrs)
    }

    fn attr(&mut self, kind: AttrKind) -> Result<Attr> {
        let span = self.span;
        let wrong = |p: &Self| p.lexer.error(span, format!("expected {}", kind.describe()));
        Ok(match kind {
            AttrKind::Int => Attr::Int(self.integer("an integer")?),
            AttrKind::F32 => {
                Attr::F32(f32_bits(self.word("an fp32 number")?).ok_or_else(|| wrong(self))?)
            }
            AttrKind::Bool => Attr::Bool(self.integer("true or false")?),
            AttrKind::Str => Attr::Str(self.string()?),
            AttrKind::Strs => Attr::Strs(self.list(Self::string)?),
            AttrKind::Ints => Attr::Ints(self.list(|p| p.integer("an integer"))?),
            AttrKind::Elem => Attr::Elem(
                elem_from_name(self.word("an element type")?).ok_or_else(|| wrong(self))?,
            ),
            AttrKind::Const => Attr::Const(self.constant()?),
            AttrKind::Sym(words) => {
                let word = self.word("a keyword")?;
                Attr::Sym(
                    words
                        .iter()
                        .find(|w| **w == word)
                        .ok_or_else(|| wrong(self))?,
                )
            }
        })
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.punct(b'[')?;
        let mut items = Vec::new();
        while self.token != Token::Punct(b']') {
            items.push(item(self)?);
            self.comma_or(b']')?;
        }
        self.punct(b']')?;
        Ok(items)
    }

    /// `dense<2xf32>[…]` or `ref<2xf32, "0123456789abcdef">`
    fn constant(&mut self) -> Result<Const> {
        let span = self.span;
        let word = self.word("a constant")?;
        self.punct(b'<')?;
        let (shape, elem) = self.shape()?;
        let data = match word {
            "dense" => {
                self.punct(b'>')?;
                self.punct(b'[')?;
                let mut bytes = Vec::new();
                while self.token != Token::Punct(b']') {
                    let at = self.span;
                    let word = self.word("a number")?;
                    let pushed = push_element(word, elem, &mut bytes);
                    pushed
                        .ok_or_else(|| self.lexer.error(at, format!("expected {}", elem.name())))?;
                    self.comma_or(b']')?;
                }
                self.punct(b']')?;
                ConstData::new(&shape, elem, bytes).map_err(|why| self.lexer.error(span, why))?
            }
            "ref" => {
                self.punct(b',')?;
                let hash = self.string()?;
                self.punct(b'>')?;
                let found = self
                    .side
                    .find(&hash)
                    .filter(|c| c.shape == shape && c.elem == elem);
                found
                    .cloned()
                    .ok_or_else(|| self.lexer.error(span, "no such constant in the side file"))?
            }
            _ => return Err(self.lexer.error(span, "expected `dense` or `ref`")),
        };
        Ok(self.builder.constant(data))
    }
}

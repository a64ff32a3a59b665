//! The printer: total, also for invalid IR; one op is one line, which breaks only inside lists.

use super::literal::{element_texts, f32_text, quote};
use crate::attr::Attr;
use crate::constant::INLINE_ELEMENTS;
use crate::entity::{Block, Const, Loc, Op, Value};
use crate::loc::LocData;
use crate::module::Module;
use crate::types::shape_text;
use pretty::RcDoc;
use std::collections::{BTreeMap, BTreeSet};

/// Lists break beyond this column.
pub const WIDTH: usize = 120;

type Doc = RcDoc<'static>;

/// The module's text.
pub fn print(module: &Module) -> String {
    Printer::new(module, true).module()
}

/// The module's text without locations, for reading and for tests.
pub fn print_without_locations(module: &Module) -> String {
    Printer::new(module, false).module()
}

/// One op on one line, without location and region.
pub fn op_line(module: &Module, op: Op) -> String {
    let doc = Printer::new(module, false).op(op, "");
    doc.pretty(usize::MAX / 4).to_string()
}

struct Printer<'m> {
    m: &'m Module,
    /// The number of every fused location in the text; `None`: locations are not printed.
    fused: Option<BTreeMap<Loc, usize>>,
}

fn text(s: impl Into<String>) -> Doc {
    RcDoc::text(s.into())
}

/// `open a, b, … close`, filled.
fn list(open: &'static str, items: impl Iterator<Item = String>, close: &'static str) -> Doc {
    let comma = || text(",").append(RcDoc::line().group());
    text(open)
        .append(RcDoc::intersperse(items.map(text), comma()).nest(4))
        .append(close)
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|x| x.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

impl<'m> Printer<'m> {
    fn new(m: &'m Module, locations: bool) -> Printer<'m> {
        Printer {
            m,
            fused: locations.then(|| number_fused(m)),
        }
    }

    fn module(&self) -> String {
        let mut out = String::new();
        for (loc, number) in self.fused.iter().flatten() {
            if let Some(LocData::Fused { rule, parts }) = self.m.locs.get(*loc) {
                let parts = parts.iter().map(|&p| self.loc(p));
                out += &format!("#loc{number} = fused<{}>[{}]\n", quote(rule), joined(parts));
            }
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let name = &self.m.name;
        let name = if !name.is_empty() && name.chars().all(plain) {
            name.clone()
        } else {
            quote(name)
        };
        let args = self
            .m
            .inputs()
            .map(|(name, v)| format!("{v} {}: {}", quote(name), self.ty(v)));
        out += &format!("module @{name}({}) {{\n", joined(args));
        self.block(self.m.body(), "  ", &mut out);
        out + "}\n"
    }

    fn block(&self, block: Block, indent: &str, out: &mut String) {
        let Some(data) = self.m.blocks.get(block) else {
            return;
        };
        for &op in &data.ops {
            out.push_str(indent);
            let region = self.m.ops.get(op).and_then(|d| d.region);
            let doc = self.op(op, indent);
            out.push_str(&doc.pretty(WIDTH.saturating_sub(indent.len())).to_string());
            if let Some(region) = region {
                let args = self
                    .m
                    .blocks
                    .get(region)
                    .map(|b| b.args.clone())
                    .unwrap_or_default();
                let args = args.iter().map(|&v| format!("{v}: {}", self.ty(v)));
                out.push_str(&format!(" {{\n{indent}{region}({}):\n", joined(args)));
                if region > block {
                    self.block(region, &format!("{indent}  "), out);
                }
                out.push_str(&format!("{indent}}}{}", self.tail(op)));
            }
            out.push('\n');
        }
    }

    /// The op up to its region, or whole if it has none.
    fn op(&self, op: Op, indent: &str) -> Doc {
        let Some(data) = self.m.ops.get(op) else {
            return text(format!("{op} is missing"));
        };
        let mut doc = RcDoc::nil();
        if !data.results.is_empty() {
            doc = doc.append(text(joined(&data.results))).append(" = ");
        }
        doc = doc
            .append(data.opcode.def().name)
            .append(text(format!("({})", joined(&data.operands))));
        if data.attrs.iter().next().is_some() {
            let attrs = data
                .attrs
                .iter()
                .map(|(name, a)| text(format!("{name} = ")).append(self.attr(a)));
            doc = doc
                .append(" {")
                .append(RcDoc::intersperse(attrs, text(", ")))
                .append("}");
        }
        if data.region.is_none() || self.fused.is_none() && indent.is_empty() {
            doc = doc.append(text(self.tail(op)));
        }
        doc.nest(indent.len() as isize)
    }

    /// Result types and location.
    fn tail(&self, op: Op) -> String {
        let Some(data) = self.m.ops.get(op) else {
            return String::new();
        };
        let mut out = String::new();
        if !data.results.is_empty() {
            out += &format!(" : {}", joined(data.results.iter().map(|&v| self.ty(v))));
        }
        if self.fused.is_some() {
            out += &format!(" loc({})", self.loc(data.loc));
        }
        out
    }

    fn ty(&self, value: Value) -> String {
        self.m
            .values
            .get(value)
            .map_or_else(|| "unknown".into(), |v| v.ty.to_string())
    }

    fn loc(&self, loc: Loc) -> String {
        match self.m.locs.get(loc) {
            Some(LocData::FileSpan { file, line, col }) => format!("{}:{line}:{col}", quote(file)),
            Some(LocData::Path(path)) => quote(path),
            Some(LocData::Fused { .. }) => {
                let number = self.fused.as_ref().and_then(|f| f.get(&loc));
                number.map_or_else(|| loc.to_string(), |n| format!("#loc{n}"))
            }
            None => "unknown".into(),
        }
    }

    fn attr(&self, attr: &Attr) -> Doc {
        match attr {
            Attr::Int(n) => text(n.to_string()),
            Attr::F32(bits) => text(f32_text(*bits)),
            Attr::Bool(b) => text(b.to_string()),
            Attr::Str(s) => text(quote(s)),
            Attr::Strs(all) => list("[", all.iter().map(|s| quote(s)), "]"),
            Attr::Sym(word) => text(*word),
            Attr::Ints(all) => list("[", all.iter().map(i64::to_string), "]"),
            Attr::Elem(elem) => text(elem.name()),
            Attr::Const(c) => self.constant(*c),
        }
    }

    fn constant(&self, c: Const) -> Doc {
        let (Some(data), Some(hash)) = (self.m.consts.get(c), self.m.consts.hash(c)) else {
            return text(c.to_string());
        };
        let ty = shape_text(&data.shape, data.elem);
        if data.elements() > INLINE_ELEMENTS {
            return text(format!("ref<{ty}, \"{}\">", hash.short()));
        }
        text(format!("dense<{ty}>")).append(list("[", element_texts(data), "]"))
    }
}

/// Numbers the fused locations that ops use. Parts are older than what is fused from them, so the order of the
/// table is an order in which each can be read after its parts.
fn number_fused(m: &Module) -> BTreeMap<Loc, usize> {
    let mut reached = BTreeSet::new();
    let mut todo: Vec<Loc> = m.ops.iter().map(|(_, data)| data.loc).collect();
    while let Some(loc) = todo.pop() {
        if let Some(LocData::Fused { parts, .. }) = m.locs.get(loc)
            && reached.insert(loc)
        {
            todo.extend(parts);
        }
    }
    reached
        .into_iter()
        .enumerate()
        .map(|(number, loc)| (loc, number))
        .collect()
}

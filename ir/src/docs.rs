//! The dialect pages, generated from the op table. A test keeps `docs/dialects/` fresh.

use crate::ops::{Opcode, prelude};
use crate::table::{Arity, AttrDef, Dialect, Form, OpDef, Results};

/// The page of a dialect, in Markdown.
pub fn dialect_page(dialect: Dialect) -> String {
    let mut out = format!("# Dialect `{}`\n\n{}\n\n", dialect.name(), dialect.doc());
    out += "Generated from the op table (`ir/src/ops.rs`); `TSPC_BLESS=1 cargo test -p tspc-ir` rewrites it.\n";
    if let Some((_, lines)) = prelude(dialect).split_once('\n') {
        out += &format!("\nThe examples start from:\n\n```text\n{lines}```\n");
    }
    for op in Opcode::ALL.iter().filter(|op| op.def().dialect == dialect) {
        out += &section(op.def());
    }
    out
}

fn section(def: &OpDef) -> String {
    let mut out = format!("\n## `{}`\n\n{}\n\n", def.name, def.doc);
    let operands = def.operands.iter().map(|o| match o.arity {
        Arity::One => format!("`{}`", o.name),
        Arity::Opt => format!("`{}` (optional)", o.name),
        Arity::Many => format!("`{}` (any number)", o.name),
    });
    let operands: Vec<String> = operands.collect();
    if !operands.is_empty() {
        out += &format!("- Operands: {}\n", operands.join(", "));
    }
    for (title, attrs) in [
        ("Attributes", def.attrs),
        ("Facts of later stages", def.facts),
    ] {
        if !attrs.is_empty() {
            out += &format!(
                "- {title}: {}\n",
                attrs
                    .iter()
                    .map(|a| attribute(a, title))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
        }
    }
    out += match def.results {
        Results::Zero => "- Results: none\n",
        Results::One => "- Results: one\n",
        Results::Many => "- Results: several\n",
    };
    out += match def.form {
        Form::Plain => "",
        Form::Region => "- Has a region\n",
        Form::Inner => "- Stands in a region\n",
        Form::Return => "- Ends the module\n",
        Form::Yield => "- Ends a region\n",
    };
    let lines = match prelude(def.dialect) {
        "" => def.example,
        _ => &format!("…\n{}", def.example),
    };
    out + &format!("\n```text\n{lines}\n```\n")
}

fn attribute(attr: &AttrDef, title: &str) -> String {
    let optional = if attr.required || title != "Attributes" {
        ""
    } else {
        ", optional"
    };
    format!("`{}` ({}{optional})", attr.name, attr.kind.describe())
}

//! Layout: which operand is installed and which streams, and transpositions that move to where they cost nothing.
//!
//! A transposition is pulled out of per-element operations only; it meets its inverse or a constant.

use super::Class::Exact;
use super::Right::Pattern;
use super::{Condition, Rule, computed, matrix, narrow, single};

const fn rule(
    name: &'static str,
    reason: &'static str,
    left: &'static str,
    right: &'static str,
    when: &'static [Condition],
) -> Rule {
    Rule {
        name,
        group: "layout",
        reason,
        class: Exact,
        left,
        right: Pattern(right),
        when,
    }
}

const OUT: &str = "elements do not care where they stand";

pub const RULES: &[Rule] = &[
    rule(
        "transpose-twice",
        "its own inverse",
        "(t (t ?x))",
        "?x",
        &[],
    ),
    rule(
        "stream-left",
        "a row that streams meets the other operand's columns, installed as rows",
        "(matmul ?a ?b)",
        "(pass ?a (t ?b))",
        &[narrow(&["?a", "?b"])],
    ),
    rule(
        "stream-right",
        "(ab)ᵀ = bᵀaᵀ: the left operand can be installed as it is",
        "(matmul ?a ?b)",
        "(t (pass (t ?b) ?a))",
        &[narrow(&["?a", "?b"]), computed(&["?a", "?b"])],
    ),
    rule(
        "max-of-transposed",
        "a maximum over lanes is one over rows of the transposed",
        "(max-last (t ?x))",
        "(t (max-rows ?x))",
        &[],
    ),
    rule("pull-exp", OUT, "(exp (t ?x))", "(t (exp ?x))", &[]),
    rule(
        "pull-cast-f16",
        OUT,
        "(cast-f16 (t ?x))",
        "(t (cast-f16 ?x))",
        &[],
    ),
    rule(
        "pull-cast-f32",
        OUT,
        "(cast-f32 (t ?x))",
        "(t (cast-f32 ?x))",
        &[],
    ),
    rule(
        "pull-quantize",
        OUT,
        "(quantize (t ?x) ?r ?o)",
        "(t (quantize ?x ?r ?o))",
        &[single(&["?r", "?o"])],
    ),
    rule(
        "pull-dequantize-one",
        OUT,
        "(dequantize (t ?q) ?s)",
        "(t (dequantize ?q ?s))",
        &[single(&["?s"])],
    ),
    rule(
        "pull-dequantize",
        OUT,
        "(dequantize (t ?q) ?s)",
        "(t (dequantize ?q (t ?s)))",
        &[matrix(&["?s"])],
    ),
    rule(
        "pull-add",
        OUT,
        "(add (t ?x) ?y)",
        "(t (add ?x (t ?y)))",
        &[matrix(&["?y"])],
    ),
    rule(
        "pull-sub",
        OUT,
        "(sub (t ?x) ?y)",
        "(t (sub ?x (t ?y)))",
        &[matrix(&["?y"])],
    ),
    rule(
        "pull-mul-one",
        OUT,
        "(mul (t ?x) ?y)",
        "(t (mul ?x ?y))",
        &[single(&["?y"])],
    ),
];

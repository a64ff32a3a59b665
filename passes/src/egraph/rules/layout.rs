//! Layout: which operand is installed and which streams, and transpositions that move to where they cost nothing.
//!
//! A transposition is pulled out of per-element operations only; it meets its inverse or a constant.

use super::Class::Exact;
use super::Effect::{Offers, Replaces};
use super::Right::{Heads, Pattern};
use super::{
    Condition, Rule, as_wide, computed, constant, head_row, input, matrix, narrow, one_lane, parts,
    scalar, single, unscaled, whole_row, wide,
};

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
        effect: Offers,
        left,
        right: Pattern(right),
        when,
    }
}

/// A rule whose left side needs no form, since the right one is as good.
const fn normal(
    name: &'static str,
    reason: &'static str,
    left: &'static str,
    right: &'static str,
    when: &'static [Condition],
) -> Rule {
    Rule {
        effect: Replaces,
        ..rule(name, reason, left, right, when)
    }
}

/// Heads are put together after a quantiser: what computed the heads goes on with it.
const fn quantized_heads(
    name: &'static str,
    pattern: &'static str,
    when: &'static [Condition],
) -> Rule {
    Rule {
        right: Heads { pattern, of: "?x" },
        ..normal(name, TOGETHER, "(quantize (merge ?x) ?r ?o)", pattern, when)
    }
}

const OUT: &str = "elements do not care where they stand";

const BEFORE: &str =
    "elements do not care whether heads are apart; before they are, rows are whole";
const TOGETHER: &str =
    "elements do not care whether heads are together; what computes heads goes on with them";
const TURNED: &str = "a mask is turned where it enters, which moves no byte of a vector";
const PARTS: &str = "columns are of their weights";

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
    rule(
        "push-mul",
        TURNED,
        "(t (mul ?m ?c))",
        "(mul (t ?m) ?c)",
        &[input(&["?m"]), scalar(&["?c"])],
    ),
    rule(
        "push-add",
        TURNED,
        "(t (add ?m ?c))",
        "(add (t ?m) ?c)",
        &[input(&["?m"]), scalar(&["?c"])],
    ),
    rule(
        "push-add-mul",
        TURNED,
        "(t (mul (add ?m ?a) ?c))",
        "(mul (add (t ?m) ?a) ?c)",
        &[input(&["?m"]), scalar(&["?a", "?c"])],
    ),
    normal(
        "turned-product",
        "(a·bᵀ)ᵀ = b·aᵀ",
        "(t (matmul ?a (t ?b)))",
        "(matmul ?b (t ?a))",
        &[],
    ),
    normal(
        "heads",
        "lanes apart, heads in front",
        "(swap (split ?x ?n))",
        "(heads ?x ?n)",
        &[],
    ),
    normal(
        "merge",
        "heads behind, lanes together",
        "(join (swap ?x))",
        "(merge ?x)",
        &[],
    ),
    normal(
        "split-after-add",
        BEFORE,
        "(add (split ?x ?n) ?b)",
        "(split (add ?x (join ?b)) ?n)",
        &[constant(&["?b"]), parts(&["?b", "?n"])],
    ),
    normal(
        "heads-after-add",
        BEFORE,
        "(add (heads ?x ?n) ?b)",
        "(heads (add ?x (merge ?b)) ?n)",
        &[constant(&["?b"]), head_row(&["?b", "?n"])],
    ),
    normal(
        "heads-after-scale",
        BEFORE,
        "(mul (heads ?x ?n) ?c)",
        "(heads (mul ?x ?c) ?n)",
        &[scalar(&["?c"])],
    ),
    normal(
        "heads-after-cast",
        BEFORE,
        "(cast-f16 (heads ?x ?n))",
        "(heads (cast-f16 ?x) ?n)",
        &[],
    ),
    normal(
        "split-after-cast",
        BEFORE,
        "(cast-f16 (split ?x ?n))",
        "(split (cast-f16 ?x) ?n)",
        &[],
    ),
    quantized_heads(
        "merge-after-quantize",
        "(merge (quantize ?x (heads ?r ?n) ?o))",
        &[constant(&["?r"]), whole_row(&["?x", "?r"]), single(&["?o"])],
    ),
    quantized_heads(
        "merge-after-quantize-rows",
        "(merge (quantize ?x (heads ?r ?n) (heads ?o ?n)))",
        &[
            constant(&["?r", "?o"]),
            whole_row(&["?x", "?r"]),
            whole_row(&["?x", "?o"]),
        ],
    ),
    normal(
        "merge-after-quantize-one",
        TOGETHER,
        "(quantize (merge ?x) ?r ?o)",
        "(merge (quantize ?x ?r ?o))",
        &[single(&["?r", "?o"])],
    ),
    normal(
        "merge-after-cast",
        TOGETHER,
        "(cast-f16 (merge ?x))",
        "(merge (cast-f16 ?x))",
        &[],
    ),
    normal(
        "lanes-of-sum",
        PARTS,
        "(lanes (add ?x ?b) ?s ?n)",
        "(add (lanes ?x ?s ?n) (lanes ?b ?s ?n))",
        &[constant(&["?b"]), as_wide(&["?x", "?b"]), unscaled(&["?x"])],
    ),
    normal(
        "lanes-of-centred",
        "a row's mean is the same for all lanes",
        "(lanes (sub ?x ?m) ?s ?n)",
        "(sub (lanes ?x ?s ?n) ?m)",
        &[one_lane(&["?m"]), wide(&["?x"])],
    ),
    normal(
        "lanes-of-scaled",
        PARTS,
        "(lanes (dequantize ?q ?r) ?s ?n)",
        "(dequantize (lanes ?q ?s ?n) (lanes ?r ?s ?n))",
        &[as_wide(&["?q", "?r"])],
    ),
    normal(
        "lanes-of-product",
        PARTS,
        "(lanes (matmul ?x ?w) ?s ?n)",
        "(matmul ?x (lanes ?w ?s ?n))",
        &[constant(&["?w"])],
    ),
];

//! Attention: softmax recognised, its division behind the product that takes it, its row sums from the MXM, and the
//! scale of the scores where it costs least.

use super::Class::{Halves, Rounding, RowMax};
use super::Effect::{Forms, Offers, Replaces};
use super::Right::Pattern;
use super::{Effect, Rule, narrow, scalar, single};

const GROUP: &str = "attention";

const SCALE: &str = "the scale of scores may stand at either operand, or behind";

const NUMBER: &[super::Condition] = &[scalar(&["?c"])];

const fn scale(name: &'static str, left: &'static str, right: &'static str) -> Rule {
    Rule {
        name,
        group: GROUP,
        reason: SCALE,
        class: Halves,
        effect: Offers,
        left,
        right: Pattern(right),
        when: NUMBER,
    }
}

const fn softmax(
    name: &'static str,
    reason: &'static str,
    class: super::Class,
    effect: Effect,
    left: &'static str,
    right: &'static str,
) -> Rule {
    Rule {
        name,
        group: GROUP,
        reason,
        class,
        effect,
        left,
        right: Pattern(right),
        when: &[],
    }
}

pub const RULES: &[Rule] = &[
    softmax(
        "softmax",
        "what numerics and fusion know is the whole",
        Rounding,
        Replaces,
        "(div (exp (sub ?x (max-last ?x))) (sum-last (exp (sub ?x (max-last ?x)))))",
        "(softmax ?x)",
    ),
    softmax(
        "softmax-without-max",
        "a softmax may gain the maximum that keeps exp from overflowing; none ever loses it",
        RowMax,
        Replaces,
        "(div (exp ?x) (sum-last (exp ?x)))",
        "(softmax ?x)",
    ),
    softmax(
        "softmax-of-product",
        "a division of the product divided the rows before",
        Halves,
        Replaces,
        "(div (matmul (cast-f16 ?e) ?v) (sum-last ?e))",
        "(matmul (cast-f16 (div ?e (sum-last ?e))) ?v)",
    ),
    softmax(
        "divide-last",
        "rows are shorter behind the product, and sums of rounded numbers make their weights sum to 1",
        Halves,
        Forms,
        "(matmul (cast-f16 (softmax ?x)) ?v)",
        "(div (matmul (cast-f16 (exp (sub ?x (max-last ?x)))) ?v) \
         (sum-last (cast-f32 (cast-f16 (exp (sub ?x (max-last ?x)))))))",
    ),
    Rule {
        name: "sum-of-quantized",
        group: GROUP,
        reason: "a pass through ones adds the lanes exactly, and gives the sum to every lane",
        class: Rounding,
        effect: Offers,
        left: "(sum-last (dequantize ?q ?s))",
        right: Pattern("(dequantize (lane-sum ?q) ?s)"),
        when: &[single(&["?s"]), narrow(&["?q"])],
    },
    Rule {
        name: "sum-of-halves",
        group: GROUP,
        reason: "a pass through ones adds fp16 lanes in f64, rounded once",
        class: Rounding,
        effect: Offers,
        left: "(sum-last (cast-f32 ?h))",
        right: Pattern("(lane-sum ?h)"),
        when: &[narrow(&["?h"])],
    },
    scale(
        "scale-from-left",
        "(matmul (heads (cast-f16 (mul ?x ?c)) ?n) ?y)",
        "(mul (matmul (heads (cast-f16 ?x) ?n) ?y) ?c)",
    ),
    scale(
        "scale-from-right",
        "(matmul ?x (t (heads (cast-f16 (mul ?y ?c)) ?n)))",
        "(mul (matmul ?x (t (heads (cast-f16 ?y) ?n))) ?c)",
    ),
    scale(
        "scale-to-left",
        "(mul (matmul (heads (cast-f16 ?x) ?n) ?y) ?c)",
        "(matmul (heads (cast-f16 (mul ?x ?c)) ?n) ?y)",
    ),
    Rule {
        effect: Replaces,
        ..scale(
            "scale-of-streaming",
            "(pass (heads (cast-f16 (mul ?x ?c)) ?n) (heads (cast-f16 ?y) ?n))",
            "(pass (heads (cast-f16 ?x) ?n) (heads (cast-f16 (mul ?y ?c)) ?n))",
        )
    },
    scale(
        "scale-to-right",
        "(mul (matmul ?x (t (heads (cast-f16 ?y) ?n))) ?c)",
        "(matmul ?x (t (heads (cast-f16 (mul ?y ?c)) ?n)))",
    ),
];

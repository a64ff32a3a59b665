//! Quantisation: factors move into the scales of quantisers and dequantisers, which multiply anyway.

use super::Class::Rounding;
use super::Effect::Offers;
use super::Right::Pattern;
use super::{Rule, scalar};

const GROUP: &str = "quantisation";

pub const RULES: &[Rule] = &[
    Rule {
        name: "scale-into-dequantize",
        group: GROUP,
        reason: "1/√d and its like cost nothing in a scale",
        class: Rounding,
        effect: Offers,
        left: "(mul (dequantize ?q ?s) ?c)",
        right: Pattern("(dequantize ?q (mul ?s ?c))"),
        when: &[scalar(&["?c"])],
    },
    Rule {
        name: "scale-into-quantize",
        group: GROUP,
        reason: "the ½ of GELU costs nothing in a scale",
        class: Rounding,
        effect: Offers,
        left: "(quantize (mul ?x ?c) ?r ?o)",
        right: Pattern("(quantize ?x (mul ?r ?c) ?o)"),
        when: &[scalar(&["?c"])],
    },
];

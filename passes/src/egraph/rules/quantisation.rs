//! Quantisation: factors move into the scales of quantisers and dequantisers, which multiply anyway.

use super::Class::Rounding;
use super::Effect::Offers;
use super::Right::Pattern;
use super::{Condition, Rule, constant, non_negative, not_one, scalar, single, within};

const GROUP: &str = "quantisation";

/// The factor of a quantiser moves to where constants are multiplied already: what it takes is then only rounded, and
/// one constant less is read for each row.
const fn through(
    name: &'static str,
    reason: &'static str,
    left: &'static str,
    right: &'static str,
    when: &'static [Condition],
) -> Rule {
    Rule {
        name,
        group: GROUP,
        reason,
        class: Rounding,
        effect: Offers,
        left,
        right: Pattern(right),
        when,
    }
}

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
        reason: "the ½ of GELU and its like cost nothing in a scale",
        class: Rounding,
        effect: Offers,
        left: "(quantize (mul ?x ?c) ?r ?o)",
        right: Pattern("(quantize ?x (mul ?r ?c) ?o)"),
        when: &[constant(&["?c"]), within(&["?x", "?c", "?r"])],
    },
    through(
        "requantize",
        "sr is one factor of qsr",
        "(quantize (dequantize ?q ?s) ?r ?o)",
        "(quantize (dequantize ?q (mul ?s ?r)) 1.0 ?o)",
        &[
            constant(&["?s", "?r"]),
            within(&["?q", "?s", "?r"]),
            not_one(&["?r"]),
        ],
    ),
    through(
        "requantize-with-bias",
        "(qs + b)r + o is q(sr) + (br + o), which is one factor and one summand",
        "(quantize (add (dequantize ?q ?s) ?b) ?r ?o)",
        "(quantize (dequantize ?q (mul ?s ?r)) 1.0 (add (mul ?b ?r) ?o))",
        &[
            constant(&["?s", "?b", "?r", "?o"]),
            within(&["?q", "?s", "?b", "?r", "?o"]),
            not_one(&["?r"]),
        ],
    ),
    through(
        "requantize-scaled",
        "sr is one factor of qsyr",
        "(quantize (mul (dequantize ?q ?s) ?y) ?r ?o)",
        "(quantize (mul (dequantize ?q (mul ?s ?r)) ?y) 1.0 ?o)",
        &[
            constant(&["?s", "?r"]),
            within(&["?q", "?s", "?r"]),
            not_one(&["?r"]),
        ],
    ),
    through(
        "scale-of-divisor",
        "x/(qc) is (x/q)/c, whose factor goes on outwards",
        "(mul ?x (recip (dequantize ?q ?c)))",
        "(mul (mul ?x (recip (dequantize ?q 1.0))) (div 1.0 ?c))",
        &[
            constant(&["?c"]),
            single(&["?c"]),
            non_negative(&["?c"]),
            within(&["?x", "?c"]),
            not_one(&["?c"]),
        ],
    ),
];

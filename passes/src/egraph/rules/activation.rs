//! Activations: GELU, recognised in the form of its export, in the form that the chip computes.

use super::Class::{GeluTanh, Rounding};
use super::Right::Pattern;
use super::Rule;

const GROUP: &str = "activation";

pub const RULES: &[Rule] = &[
    Rule {
        name: "gelu-erf",
        group: GROUP,
        reason: "x·(erf(x/√2) + 1)·½ is GELU",
        class: Rounding,
        left: "(mul (mul ?x (add (erf (div ?x 1.4142135)) 1.0)) 0.5)",
        right: Pattern("(gelu-erf ?x)"),
        when: &[],
    },
    Rule {
        name: "gelu-tanh",
        group: GROUP,
        reason: "½x·(1 + tanh(√(2/π)·(x + 0.044715x³))) is GELU's tanh form",
        class: Rounding,
        left: "(mul (mul ?x 0.5) (add (tanh (mul (add ?x (mul (mul (mul ?x ?x) ?x) 0.044715)) 0.7978846)) 1.0))",
        right: Pattern("(gelu-tanh ?x)"),
        when: &[],
    },
    Rule {
        name: "gelu-erf-by-tanh",
        group: GROUP,
        reason: "the chip has tanh, and no erf",
        class: GeluTanh,
        left: "(gelu-erf ?x)",
        right: Pattern("(gelu-tanh ?x)"),
        when: &[],
    },
    Rule {
        name: "gelu-by-operations",
        group: GROUP,
        reason: "seven operations; the ½ stays outside, where a scale takes it (numerics.md 3.3)",
        class: Rounding,
        left: "(gelu-tanh ?x)",
        right: Pattern(
            "(mul (mul ?x (add (tanh (mul ?x (add (mul (mul ?x ?x) 0.035677408) 0.7978846))) 1.0)) 0.5)",
        ),
        when: &[],
    },
];

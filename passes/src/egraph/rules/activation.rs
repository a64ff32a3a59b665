//! Activations: GELU, recognised in the form that algebra leaves of every spelling, in the form that the chip
//! computes. There x comes first, so that it rides along in the mesh.

use super::Class::{GeluSigmoid, GeluTanh, Rounding};
use super::Effect::{Forms, Offers, Replaces};
use super::Right::Pattern;
use super::{Rule, near};

const GROUP: &str = "activation";

const SQRT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
/// √(2/π)·0.044715.
const CUBE: u32 = 0.035_677_408_f32.to_bits();
/// 1/0.044715.
const SHIFT: u32 = 22.363_861_f32.to_bits();
const SIGMOID: u32 = (-1.702_f32).to_bits();
const HALF_SIGMOID: u32 = 0.851_f32.to_bits();

pub const RULES: &[Rule] = &[
    Rule {
        name: "gelu-erf",
        group: GROUP,
        reason: "x·(erf(x/√2) + 1)·½ is GELU",
        class: Rounding,
        effect: Replaces,
        left: "(mul (mul (add (erf (mul ?x ?c)) 1.0) ?x) 0.5)",
        right: Pattern("(gelu-erf ?x)"),
        when: &[near::<SQRT_HALF>("near √½", &["?c"])],
    },
    Rule {
        name: "gelu-tanh",
        group: GROUP,
        reason: "½x·(1 + tanh(√(2/π)·(x + 0.044715x³))) is GELU's tanh form",
        class: Rounding,
        effect: Replaces,
        left: "(mul (mul (add (tanh (mul (mul (add (mul ?x ?x) ?b) ?x) ?a)) 1.0) ?x) 0.5)",
        right: Pattern("(gelu-tanh ?x)"),
        when: &[
            near::<SHIFT>("near 1/0.044715", &["?b"]),
            near::<CUBE>("near 0.044715·√(2/π)", &["?a"]),
        ],
    },
    Rule {
        name: "gelu-sigmoid",
        group: GROUP,
        reason: "x / (1 + exp(−1.702x)) is GELU's sigmoid form",
        class: Rounding,
        effect: Replaces,
        left: "(div ?x (add (exp (mul ?x ?c)) 1.0))",
        right: Pattern("(gelu-sigmoid ?x)"),
        when: &[near::<SIGMOID>("near −1.702", &["?c"])],
    },
    Rule {
        name: "gelu-sigmoid-by-tanh",
        group: GROUP,
        reason: "σ(z) = ½(1 + tanh(z/2))",
        class: Rounding,
        effect: Replaces,
        left: "(mul (mul (add (tanh (mul ?x ?c)) 1.0) ?x) 0.5)",
        right: Pattern("(gelu-sigmoid ?x)"),
        when: &[near::<HALF_SIGMOID>("near 0.851", &["?c"])],
    },
    Rule {
        name: "gelu-erf-by-tanh",
        group: GROUP,
        reason: "the chip has tanh, and no erf",
        class: GeluTanh,
        effect: Offers,
        left: "(gelu-erf ?x)",
        right: Pattern("(gelu-tanh ?x)"),
        when: &[],
    },
    Rule {
        name: "gelu-tanh-by-sigmoid",
        group: GROUP,
        reason: "three operations less, where a user allows the error",
        class: GeluSigmoid,
        effect: Offers,
        left: "(gelu-tanh ?x)",
        right: Pattern("(gelu-sigmoid ?x)"),
        when: &[],
    },
    Rule {
        name: "gelu-by-operations",
        group: GROUP,
        reason: "seven operations; the ½ stays outside, where a scale takes it (numerics.md 3.3)",
        class: Rounding,
        effect: Forms,
        left: "(gelu-tanh ?x)",
        right: Pattern(
            "(mul (mul ?x (add (tanh (mul (mul ?x (add (mul ?x ?x) 22.363861)) 0.035677408)) 1.0)) 0.5)",
        ),
        when: &[],
    },
    Rule {
        name: "gelu-sigmoid-by-operations",
        group: GROUP,
        reason: "four operations; the ½ stays outside, where a scale takes it",
        class: Rounding,
        effect: Forms,
        left: "(gelu-sigmoid ?x)",
        right: Pattern("(mul (mul ?x (add (tanh (mul ?x 0.851)) 1.0)) 0.5)"),
        when: &[],
    },
];

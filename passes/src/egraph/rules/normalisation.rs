//! LayerNorm: recognised from its parts, and made of passes through ones and one chain.

use super::Class::{Rounding, Statistics};
use super::Right::{Pattern, Width};
use super::{Rule, scalar, width};

/// The mean of the squared distance from the mean, as exporters write it.
const LAYER_NORM: &str = "(add (mul (div (sub ?x (div (sum-last ?x) ?n)) (sqrt (add (div (sum-last \
    (mul (sub ?x (div (sum-last ?x) ?n)) (sub ?x (div (sum-last ?x) ?n)))) ?n) ?eps))) ?g) ?b)";

/// Moments of y and (y/8)² in fp16 (numerics.md 3.3): E[y²] − E[y]², squared at an eighth so that fp16 holds it.
const BY_PASSES: &str = "(add (mul (mul (sub ?x (mul (lane-sum (cast-f16 ?x)) ?k)) (rsqrt (add (max (sub \
    (mul (mul (lane-sum (cast-f16 (mul (mul ?x 0.125) (mul ?x 0.125)))) 64.0) ?k) \
    (mul (mul (lane-sum (cast-f16 ?x)) ?k) (mul (lane-sum (cast-f16 ?x)) ?k))) 0.0) ?eps))) ?g) ?b)";

const GROUP: &str = "normalisation";

pub const RULES: &[Rule] = &[
    Rule {
        name: "layer-norm",
        group: GROUP,
        reason: "its parts have no form on the chip, the whole has",
        class: Rounding,
        left: LAYER_NORM,
        right: Pattern("(layer-norm ?x ?g ?b ?eps)"),
        when: &[scalar(&["?n", "?eps"]), width(&["?x", "?n"])],
    },
    Rule {
        name: "layer-norm-by-passes",
        group: GROUP,
        reason: "a pass through ones sums the lanes and gives the sum to all of them",
        class: Statistics,
        left: "(layer-norm ?x ?g ?b ?eps)",
        right: Width {
            pattern: BY_PASSES,
            of: "?x",
            number: |n| 1.0 / n,
        },
        when: &[],
    },
];

//! LayerNorm: recognised from its parts, and made of passes through ones and one chain.

use super::Class::{Rounding, Statistics};
use super::Effect::{Forms, Replaces};
use super::Right::{Pattern, Width};
use super::{Rule, inverse_width, scalar};

/// Moments of y and y²/64 in fp16 (numerics.md 3.3): E[y²] − E[y]², squares at a 64th so that fp16 holds them.
const BY_PASSES: &str = "(add (mul (mul (sub ?x (mul (lane-sum (cast-f16 ?x)) ?k)) (rsqrt (add (max (sub \
    (mul (mul (lane-sum (cast-f16 (mul (mul ?x ?x) 0.015625))) 64.0) ?k) \
    (mul (mul (lane-sum (cast-f16 ?x)) ?k) (mul (lane-sum (cast-f16 ?x)) ?k))) 0.0) ?eps))) ?g) ?b)";

/// The same, of the first lanes: the others repeat some of them.
const OF_LANES: &str = "(add (mul (mul (sub ?x (mul (lane-sum (lanes (cast-f16 ?x) 0 ?n)) ?k)) (rsqrt (add (max (sub \
    (mul (mul (lane-sum (lanes (cast-f16 (mul (mul ?x ?x) 0.015625)) 0 ?n)) 64.0) ?k) \
    (mul (mul (lane-sum (lanes (cast-f16 ?x) 0 ?n)) ?k) (mul (lane-sum (lanes (cast-f16 ?x) 0 ?n)) ?k))) 0.0) ?eps))) \
    ?g) ?b)";

const GROUP: &str = "normalisation";

pub const RULES: &[Rule] = &[
    Rule {
        name: "mean",
        group: GROUP,
        reason: "the sum by the width is the mean",
        class: Rounding,
        effect: Replaces,
        left: "(mul (sum-last ?x) ?k)",
        right: Pattern("(mean ?x)"),
        when: &[inverse_width(&["?x", "?k"])],
    },
    Rule {
        name: "mean-of-parts",
        group: GROUP,
        reason: "the sum of what each lane has part in is the mean",
        class: Rounding,
        effect: Replaces,
        left: "(sum-last (mul ?x ?k))",
        right: Pattern("(mean ?x)"),
        when: &[inverse_width(&["?x", "?k"])],
    },
    Rule {
        name: "variance",
        group: GROUP,
        reason: "the mean of the squared distance from the mean",
        class: Rounding,
        effect: Replaces,
        left: "(mean (mul (sub ?x (mean ?x)) (sub ?x (mean ?x))))",
        right: Pattern("(variance ?x)"),
        when: &[],
    },
    Rule {
        name: "variance-by-squares",
        group: GROUP,
        reason: "E[x²] − E[x]²",
        class: Statistics,
        effect: Replaces,
        left: "(sub (mean (mul ?x ?x)) (mul (mean ?x) (mean ?x)))",
        right: Pattern("(variance ?x)"),
        when: &[],
    },
    Rule {
        name: "variance-is-positive",
        group: GROUP,
        reason: "only rounding makes it negative",
        class: Rounding,
        effect: Replaces,
        left: "(max (variance ?x) 0.0)",
        right: Pattern("(variance ?x)"),
        when: &[],
    },
    Rule {
        name: "layer-norm",
        group: GROUP,
        reason: "its parts have no form on the chip, the whole has",
        class: Rounding,
        effect: Replaces,
        left: "(add (mul (mul (sub ?x (mean ?x)) (rsqrt (add (variance ?x) ?eps))) ?g) ?b)",
        right: Pattern("(layer-norm ?x ?g ?b ?eps)"),
        when: &[scalar(&["?eps"])],
    },
    Rule {
        name: "layer-norm-by-passes",
        group: GROUP,
        reason: "a pass through ones sums the lanes and gives the sum to all of them",
        class: Statistics,
        effect: Forms,
        left: "(layer-norm ?x ?g ?b ?eps)",
        right: Width {
            pattern: BY_PASSES,
            of: "?x",
            number: |n| 1.0 / n,
        },
        when: &[],
    },
    Rule {
        name: "layer-norm-of-lanes",
        group: GROUP,
        reason: "outliers in several lanes count once: a pass takes the first lanes of a vector for nothing",
        class: Statistics,
        effect: Forms,
        left: "(add (mul (mul (sub ?x (mean (lanes ?x 0 ?n))) (rsqrt (add (variance (lanes ?x 0 ?n)) ?eps))) ?g) ?b)",
        right: Width {
            pattern: OF_LANES,
            of: "?n",
            number: |n| 1.0 / n,
        },
        when: &[scalar(&["?eps"])],
    },
];

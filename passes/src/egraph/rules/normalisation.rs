//! LayerNorm: recognised from its parts, and made of passes through ones and one chain.

use super::Class::{Exact, Rounding, Statistics};
use super::Effect::{Forms, Replaces};
use super::Right::{Pattern, Width};
use super::{Rule, inverse_width, scalar, unbounded};

/// Moments of y and y²/64 in fp16 (numerics.md 3.3): E[y²] − E[y]², squares at a 64th so that fp16 holds them.
const BY_PASSES: &str = "(add (mul (mul (sub ?x (mul (lane-sum (cast-f16 ?x)) ?k)) (rsqrt (add (max (sub \
    (mul (mul (lane-sum (cast-f16 (mul (mul ?x ?x) 0.015625))) 64.0) ?k) \
    (mul (mul (lane-sum (cast-f16 ?x)) ?k) (mul (lane-sum (cast-f16 ?x)) ?k))) 0.0) ?eps))) ?g) ?b)";

/// The same moments in fixed point, exact but for its unit (decision 0015).
const BY_BYTES: &str = "(add (mul (mul (sub ?x (moment ?x ?e 1)) (rsqrt (add (max (sub (moment ?x ?e 2) \
    (mul (moment ?x ?e 1) (moment ?x ?e 1))) 0.0) ?eps))) ?g) ?b)";

/// The same of the first lanes: the others repeat some of them.
const OF_LANES: &str = "(add (mul (mul (sub ?x (moment (lanes ?x 0 ?n) ?e 1)) (rsqrt (add (max (sub \
    (moment (lanes ?x 0 ?n) ?e 2) (mul (moment (lanes ?x 0 ?n) ?e 1) (moment (lanes ?x 0 ?n) ?e 1))) 0.0) ?eps))) \
    ?g) ?b)";

const GROUP: &str = "normalisation";

pub const RULES: &[Rule] = &[
    Rule {
        name: "bounded-is-itself",
        group: GROUP,
        reason: "what calibration saw of a value does not change it",
        class: Exact,
        effect: Replaces,
        left: "(bounded ?x ?e)",
        right: Pattern("?x"),
        when: &[],
    },
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
        when: &[unbounded(&["?x"])],
    },
    Rule {
        name: "layer-norm-by-bytes",
        group: GROUP,
        reason: "bytes of fixed point numbers pass all planes at the full rate, where fp16 keeps a plane still for good",
        class: Statistics,
        effect: Forms,
        left: "(layer-norm (bounded ?x ?e) ?g ?b ?eps)",
        right: Pattern(BY_BYTES),
        when: &[],
    },
    Rule {
        name: "layer-norm-of-lanes",
        group: GROUP,
        reason: "an outlier in several lanes counts once: moments are of the first lanes",
        class: Statistics,
        effect: Forms,
        left: "(add (mul (mul (sub ?x (mean (bounded (lanes ?x 0 ?n) ?e))) (rsqrt (add (variance (lanes ?x 0 ?n)) ?eps))) ?g) ?b)",
        right: Pattern(OF_LANES),
        when: &[scalar(&["?eps"])],
    },
];

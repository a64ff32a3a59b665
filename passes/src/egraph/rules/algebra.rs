//! Algebra: divisions become what the chip has.

use super::Class::Rounding;
use super::Right::{Computed, Pattern};
use super::{Rule, non_negative, scalar};

const GROUP: &str = "algebra";

pub const RULES: &[Rule] = &[
    Rule {
        name: "div-by-number",
        group: GROUP,
        reason: "the VXM has no division; a constant's reciprocal is known",
        class: Rounding,
        left: "(div ?x ?c)",
        right: Computed {
            pattern: "(mul ?x ?k)",
            of: &["?c"],
            number: |c| Some(1.0 / c[0]).filter(|r| r.is_normal()),
        },
        when: &[scalar(&["?c"])],
    },
    Rule {
        name: "div-by-root",
        group: GROUP,
        reason: "x / sqrt(v) is one multiplication by what rsqrt gives",
        class: Rounding,
        left: "(div ?x (sqrt ?v))",
        right: Pattern("(mul ?x (rsqrt ?v))"),
        when: &[],
    },
    Rule {
        name: "div-by-positive",
        group: GROUP,
        reason: "1/x = rsqrt(x)² for x that is not negative (machine.md, VXM: no divide)",
        class: Rounding,
        left: "(div ?x ?y)",
        right: Pattern("(mul ?x (recip ?y))"),
        when: &[non_negative(&["?y"])],
    },
    Rule {
        name: "mul-numbers",
        group: GROUP,
        reason: "two constant factors are one",
        class: Rounding,
        left: "(mul (mul ?x ?a) ?b)",
        right: Computed {
            pattern: "(mul ?x ?k)",
            of: &["?a", "?b"],
            number: |c| Some(c[0] * c[1]).filter(|p| p.is_normal()),
        },
        when: &[scalar(&["?a", "?b"])],
    },
];

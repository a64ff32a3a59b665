//! Attention: the row sums of softmax come from the MXM.

use super::Class::Rounding;
use super::Right::Pattern;
use super::{Rule, narrow, single};

const GROUP: &str = "attention";

pub const RULES: &[Rule] = &[
    Rule {
        name: "sum-of-quantized",
        group: GROUP,
        reason: "a pass through ones adds the lanes exactly, and gives the sum to every lane",
        class: Rounding,
        left: "(sum-last (dequantize ?q ?s))",
        right: Pattern("(dequantize (lane-sum ?q) ?s)"),
        when: &[single(&["?s"]), narrow(&["?q"])],
    },
    Rule {
        name: "sum-of-halves",
        group: GROUP,
        reason: "a pass through ones adds fp16 lanes in f64, rounded once",
        class: Rounding,
        left: "(sum-last (cast-f32 ?h))",
        right: Pattern("(lane-sum ?h)"),
        when: &[narrow(&["?h"])],
    },
];

//! For every rule terms on which it fires, with what it must make of them; and, for every condition, a term that has
//! the rule's form but breaks just this one condition.

/// A rule applied.
pub struct Case {
    /// The rule.
    pub rule: &'static str,
    /// What the leaves are, in the notation of `terms::leaves`.
    pub leaves: &'static str,
    /// The term.
    pub left: &'static str,
    /// What stands in its class after the rule.
    pub right: &'static str,
}

const fn case(
    rule: &'static str,
    leaves: &'static str,
    left: &'static str,
    right: &'static str,
) -> Case {
    Case {
        rule,
        leaves,
        left,
        right,
    }
}

/// A rule that does not apply.
pub struct Refusal {
    /// The rule.
    pub rule: &'static str,
    /// The only condition that is broken; `number` if the rule finds no number.
    pub condition: &'static str,
    /// What the leaves are.
    pub leaves: &'static str,
    /// The term.
    pub term: &'static str,
}

const fn refusal(
    rule: &'static str,
    condition: &'static str,
    leaves: &'static str,
    term: &'static str,
) -> Refusal {
    Refusal {
        rule,
        condition,
        leaves,
        term,
    }
}

/// What texts abbreviate, in this order.
pub const ABBREVIATIONS: &[(&str, &str)] = &[
    // LayerNorm from its parts over 48 lanes, and with the moments of passes over 48 and 64.
    (
        "$parts",
        "(add (mul (div $d (sqrt (add $var 1e-12))) v1) v2)",
    ),
    ("$var", "(div (sum-last (mul $d $d)) 48.0)"),
    ("$d", "(sub v0 (div (sum-last v0) 48.0))"),
    (
        "$passes48",
        "(add (mul (mul (sub v0 $m48) (rsqrt (add (max (sub $s48 (mul $m48 $m48)) 0.0) 1e-12))) v1) v2)",
    ),
    (
        "$passes64",
        "(add (mul (mul (sub v0 $m64) (rsqrt (add (max (sub $s64 (mul $m64 $m64)) 0.0) 1e-12))) v1) v2)",
    ),
    ("$m48", "(mul $sum 0.020833334)"),
    ("$m64", "(mul $sum 0.015625)"),
    ("$s48", "(mul (mul $squares 64.0) 0.020833334)"),
    ("$s64", "(mul (mul $squares 64.0) 0.015625)"),
    ("$sum", "(lane-sum (cast-f16 v0))"),
    ("$squares", "(lane-sum (cast-f16 (mul $eighth $eighth)))"),
    ("$eighth", "(mul v0 0.125)"),
];

pub const CASES: &[Case] = &[
    case("div-by-number", "f32 3x5", "(div v0 8.0)", "(mul v0 0.125)"),
    case(
        "div-by-number",
        "f32 2x3x5",
        "(div v0 -3.0)",
        "(mul v0 -0.33333334)",
    ),
    case(
        "div-by-root",
        "f32 3x5, f32 3x1",
        "(div v0 (sqrt (exp v1)))",
        "(mul v0 (rsqrt (exp v1)))",
    ),
    case(
        "div-by-positive",
        "f32 3x5, f32 3x5 within 9",
        "(div v0 (exp v1))",
        "(mul v0 (recip (exp v1)))",
    ),
    case(
        "div-by-positive",
        "f32 2x3x5",
        "(div (exp v0) (sum-last (exp v0)))",
        "(mul (exp v0) (recip (sum-last (exp v0))))",
    ),
    case(
        "mul-numbers",
        "f32 3x5",
        "(mul (mul v0 0.3) -0.7)",
        "(mul v0 -0.21000001)",
    ),
    case("transpose-twice", "i8 3x5", "(t (t v0))", "v0"),
    case("transpose-twice", "f32 2x3x5", "(t (t v0))", "v0"),
    case(
        "stream-left",
        "i8 16x16, i8 16x5",
        "(matmul v0 v1)",
        "(pass v0 (t v1))",
    ),
    case(
        "stream-left",
        "f16 2x3x7, constant f16 2x7x5",
        "(matmul v0 v1)",
        "(pass v0 (t v1))",
    ),
    case(
        "stream-right",
        "i8 16x16, i8 16x5",
        "(matmul v0 v1)",
        "(t (pass (t v1) v0))",
    ),
    case(
        "stream-right",
        "f16 2x3x7, f16 2x7x5",
        "(matmul v0 v1)",
        "(t (pass (t v1) v0))",
    ),
    case(
        "max-of-transposed",
        "f32 2x3x5",
        "(max-last (t v0))",
        "(t (max-rows v0))",
    ),
    case("pull-exp", "f32 3x5", "(exp (t v0))", "(t (exp v0))"),
    case(
        "pull-cast-f16",
        "f32 3x5",
        "(cast-f16 (t v0))",
        "(t (cast-f16 v0))",
    ),
    case(
        "pull-cast-f32",
        "f16 3x5",
        "(cast-f32 (t v0))",
        "(t (cast-f32 v0))",
    ),
    case(
        "pull-cast-f32",
        "i8 16x16",
        "(cast-f32 (t v0))",
        "(t (cast-f32 v0))",
    ),
    case(
        "pull-quantize",
        "f32 2x3x5 within 8",
        "(quantize (t v0) 20.0 3.0)",
        "(t (quantize v0 20.0 3.0))",
    ),
    case(
        "pull-dequantize-one",
        "i8 16x16",
        "(dequantize (t v0) 0.02)",
        "(t (dequantize v0 0.02))",
    ),
    case(
        "pull-dequantize",
        "i8 16x16, f32 1x16",
        "(dequantize (t v0) v1)",
        "(t (dequantize v0 (t v1)))",
    ),
    case(
        "pull-dequantize",
        "i8 2x3x5, f32 2x5x1",
        "(dequantize (t v0) v1)",
        "(t (dequantize v0 (t v1)))",
    ),
    case(
        "pull-add",
        "f32 3x5, f32 5x3",
        "(add (t v0) v1)",
        "(t (add v0 (t v1)))",
    ),
    case(
        "pull-add",
        "f32 2x3x5, f32 1x3",
        "(add (t v0) v1)",
        "(t (add v0 (t v1)))",
    ),
    case(
        "pull-sub",
        "f32 2x3x5, f32 2x5x1",
        "(sub (t v0) v1)",
        "(t (sub v0 (t v1)))",
    ),
    case(
        "pull-mul-one",
        "f32 3x5, f32 1x1",
        "(mul (t v0) v1)",
        "(t (mul v0 v1))",
    ),
    case(
        "scale-into-dequantize",
        "i8 16x16, constant f32 16",
        "(mul (dequantize v0 v1) 0.17677669)",
        "(dequantize v0 (mul v1 0.17677669))",
    ),
    case(
        "scale-into-quantize",
        "f32 16x33 within 8, constant f32 33 within 30",
        "(quantize (mul v0 0.3) v1 7.0)",
        "(quantize v0 (mul v1 0.3) 7.0)",
    ),
    case(
        "sum-of-quantized",
        "i8 256x1",
        "(sum-last (dequantize v0 0.03))",
        "(dequantize (lane-sum v0) 0.03)",
    ),
    case(
        "sum-of-quantized",
        "i8 2x3x40, f32 1",
        "(sum-last (dequantize v0 v1))",
        "(dequantize (lane-sum v0) v1)",
    ),
    case(
        "sum-of-halves",
        "f16 2x3x400",
        "(sum-last (cast-f32 v0))",
        "(lane-sum v0)",
    ),
    case(
        "layer-norm",
        "f32 5x48, constant f32 48, constant f32 48",
        "$parts",
        "(layer-norm v0 v1 v2 1e-12)",
    ),
    case(
        "layer-norm-by-passes",
        "f32 20x48, constant f32 48, constant f32 48",
        "(layer-norm v0 v1 v2 1e-12)",
        "$passes48",
    ),
    case(
        "layer-norm-by-passes",
        "f32 20x64 within 225, constant f32 64, constant f32 64",
        "(layer-norm v0 v1 v2 1e-12)",
        "$passes64",
    ),
    case(
        "gelu-erf",
        "f32 16x64 within 8",
        "(mul (mul v0 (add (erf (div v0 1.4142135)) 1.0)) 0.5)",
        "(gelu-erf v0)",
    ),
    case(
        "gelu-tanh",
        "f32 16x64 within 8",
        "(mul (mul v0 0.5) (add (tanh (mul (add v0 (mul (mul (mul v0 v0) v0) 0.044715)) 0.7978846)) 1.0))",
        "(gelu-tanh v0)",
    ),
    case(
        "gelu-erf-by-tanh",
        "f32 16x640 within 8",
        "(gelu-erf v0)",
        "(gelu-tanh v0)",
    ),
    case(
        "gelu-by-operations",
        "f32 16x64 within 8",
        "(gelu-tanh v0)",
        "(mul (mul v0 (add (tanh (mul v0 (add (mul (mul v0 v0) 0.035677408) 0.7978846))) 1.0)) 0.5)",
    ),
];

pub const REFUSALS: &[Refusal] = &[
    refusal(
        "div-by-number",
        "scalar",
        "f32 3x5, constant f32 5",
        "(div v0 v1)",
    ),
    refusal("div-by-number", "number", "f32 3x5", "(div v0 0.0)"),
    refusal(
        "div-by-positive",
        "non-negative",
        "f32 3x5, f32 3x1",
        "(div v0 v1)",
    ),
    refusal(
        "mul-numbers",
        "scalar",
        "f32 3x5, constant f32 5",
        "(mul (mul v0 v1) 2.0)",
    ),
    refusal(
        "mul-numbers",
        "number",
        "f32 3x5",
        "(mul (mul v0 1e-30) 1e-30)",
    ),
    refusal(
        "stream-left",
        "narrow",
        "f32 3x5, f32 5x4",
        "(matmul v0 v1)",
    ),
    refusal(
        "stream-right",
        "narrow",
        "f32 3x5, f32 5x4",
        "(matmul v0 v1)",
    ),
    refusal(
        "stream-right",
        "computed",
        "i8 3x5, constant i8 5x4",
        "(matmul v0 v1)",
    ),
    refusal(
        "pull-quantize",
        "single",
        "f32 3x5, f32 1x3",
        "(quantize (t v0) v1 0.0)",
    ),
    refusal(
        "pull-dequantize-one",
        "single",
        "i8 3x5, f32 1x3",
        "(dequantize (t v0) v1)",
    ),
    refusal(
        "pull-dequantize",
        "matrix",
        "i8 3x5, f32 3",
        "(dequantize (t v0) v1)",
    ),
    refusal("pull-add", "matrix", "f32 3x5, f32 3", "(add (t v0) v1)"),
    refusal("pull-sub", "matrix", "f32 3x5, f32 3", "(sub (t v0) v1)"),
    refusal(
        "pull-mul-one",
        "single",
        "f32 3x5, f32 1x3",
        "(mul (t v0) v1)",
    ),
    refusal(
        "scale-into-dequantize",
        "scalar",
        "i8 3x5, f32 5",
        "(mul (dequantize v0 0.5) v1)",
    ),
    refusal(
        "scale-into-quantize",
        "scalar",
        "f32 3x5, f32 5",
        "(quantize (mul v0 v1) 20.0 0.0)",
    ),
    refusal(
        "sum-of-quantized",
        "single",
        "i8 3x5, f32 5",
        "(sum-last (dequantize v0 v1))",
    ),
    refusal(
        "sum-of-quantized",
        "narrow",
        "i8 3x5, i8 5x4",
        "(sum-last (dequantize (matmul v0 v1) 0.5))",
    ),
    refusal(
        "sum-of-halves",
        "narrow",
        "i8 3x5, i8 5x4",
        "(sum-last (cast-f32 (matmul v0 v1)))",
    ),
    refusal(
        "layer-norm",
        "scalar",
        "f32 5x48, constant f32 48, constant f32 48, constant f32 1",
        "(add (mul (div $d (sqrt (add $var v3))) v1) v2)",
    ),
    refusal(
        "layer-norm",
        "width",
        "f32 5x47, constant f32 47, constant f32 47",
        "$parts",
    ),
];

//! Functions in the ways in which exporters write them: each spelling of one reaches one program.
//!
//! A test holds the rules to that, and `tspc bench ablation` counts the spellings that need a group of rules.

mod graph;

use tspc_ir::text::print_without_locations;
use tspc_ir::{Diagnostic, Module};
use tspc_machine::Machine;

use super::decode::pipelines::Room;
use super::fuse;
use super::saturate::Settings;
use crate::{Context, Pipeline, Precision};

pub use graph::{graph, inputs};

/// A text as [`graph`] reads it, with what its names stand for besides.
pub type Spelling = (&'static str, &'static [(&'static str, &'static str)]);

/// A function in several spellings.
pub struct Function {
    /// What it is.
    pub name: &'static str,
    /// The spellings; the first one's program is that of the function.
    pub spellings: &'static [Spelling],
}

/// GELU. `$y` is what a product gives, so all of it is computed.
pub const GELU_ERF: Function = Function {
    name: "GELU by erf",
    spellings: &[
        (
            "(matmul (mul (mul $y (add (erf (div $y 1.4142135)) 1)) 0.5) wk)",
            &[],
        ),
        (
            "(matmul (mul (mul $y (add (erf (mul $y 0.70710677)) 1)) 0.5) wk)",
            &[],
        ),
        (
            "(matmul (mul (mul (add 1 (erf (mul 0.70710677 $y))) $y) 0.5) wk)",
            &[],
        ),
        (
            "(matmul (mul (mul $y 0.5) (add 1 (erf (div $y 1.4142135)))) wk)",
            &[],
        ),
        (
            "(matmul (mul (add 1 (erf (div $y 1.4142135))) (mul $y 0.5)) wk)",
            &[],
        ),
        (
            "(matmul (mul (div $y 2) (add (erf (div $y 1.4142135)) 1)) wk)",
            &[],
        ),
        (
            "(matmul (mul $y (mul 0.5 (add 1 (erf (div $y 1.4142135))))) wk)",
            &[],
        ),
        (
            "(matmul (mul $y (add 0.5 (mul 0.5 (erf (mul $y 0.70710677))))) wk)",
            &[],
        ),
        (
            "(matmul (mul 0.5 (mul $y (add (erf (div $y (sqrt 2))) 1))) wk)",
            &[],
        ),
        (
            "(matmul (div (mul $y (add (erf (div $y 1.4142135)) 1)) 2) wk)",
            &[],
        ),
        (
            "(matmul (mul $y (div (add (erf (div $y 1.4142135)) 1) 2)) wk)",
            &[],
        ),
    ],
};

/// GELU's tanh form.
pub const GELU_TANH: Function = Function {
    name: "GELU by tanh",
    spellings: &[
        (
            "(matmul (mul (mul $y 0.5) (add (tanh $u) 1)) wk)",
            &[(
                "$u",
                "(mul (add $y (mul (mul (mul $y $y) $y) 0.044715)) 0.7978846)",
            )],
        ),
        (
            "(matmul (mul (mul $y (add 1 (tanh $u))) 0.5) wk)",
            &[(
                "$u",
                "(mul 0.7978846 (add $y (mul 0.044715 (mul $y (mul $y $y)))))",
            )],
        ),
        (
            "(matmul (mul $y (mul 0.5 (add 1 (tanh $u)))) wk)",
            &[(
                "$u",
                "(mul (mul 0.7978846 $y) (add 1 (mul 0.044715 (mul $y $y))))",
            )],
        ),
        (
            "(matmul (mul $y (add 0.5 (mul 0.5 (tanh $u)))) wk)",
            &[(
                "$u",
                "(mul (mul $y (add 1 (mul (mul 0.044715 $y) $y))) 0.7978846)",
            )],
        ),
        (
            "(matmul (mul (mul 0.5 $y) (add (tanh $u) 1)) wk)",
            &[(
                "$u",
                "(mul $y (add 0.7978846 (mul 0.035677408 (mul $y $y))))",
            )],
        ),
        (
            "(matmul (mul (div $y 2) (add (tanh $u) 1)) wk)",
            &[(
                "$u",
                "(add (mul $y 0.7978846) (mul (mul (mul $y $y) $y) 0.035677408))",
            )],
        ),
    ],
};

/// GELU's sigmoid form.
pub const GELU_SIGMOID: Function = Function {
    name: "GELU by a sigmoid",
    spellings: &[
        (
            "(matmul (mul $y (div 1 (add 1 (exp (neg (mul $y 1.702)))))) wk)",
            &[],
        ),
        (
            "(matmul (mul (div 1 (add (exp (mul $y -1.702)) 1)) $y) wk)",
            &[],
        ),
        ("(matmul (div $y (add 1 (exp (mul -1.702 $y)))) wk)", &[]),
        (
            "(matmul (div $y (add 1 (exp (mul (neg $y) 1.702)))) wk)",
            &[],
        ),
        (
            "(matmul (mul $y (mul 0.5 (add 1 (tanh (mul 0.851 $y))))) wk)",
            &[],
        ),
        (
            "(matmul (mul (mul $y 0.5) (add (tanh (div (mul 1.702 $y) 2)) 1)) wk)",
            &[],
        ),
        (
            "(matmul (mul $y (add (mul 0.5 (tanh (mul 0.851 $y))) 0.5)) wk)",
            &[],
        ),
    ],
};

/// Scores, softmax, context; linear layers in several ways.
pub const ATTENTION: Function = Function {
    name: "attention",
    spellings: &[
        ("$context", &[]),
        // The scale: as a factor, and at q, at k or at both.
        ("$context", &[("$a", "(add (mul $s 0.25) mask)")]),
        ("$context", &[("$a", "(add mask (mul 0.25 $s))")]),
        (
            "$context",
            &[
                ("$a", "(add $s mask)"),
                ("$q", "(transpose (reshape (mul $lq 0.25) S N D) 1 0 2)"),
            ],
        ),
        (
            "$context",
            &[
                ("$a", "(add $s mask)"),
                ("$q", "(div (transpose (reshape $lq S N D) 1 0 2) 4)"),
            ],
        ),
        (
            "$context",
            &[
                ("$a", "(add $s mask)"),
                ("$k", "(transpose (reshape (div $lk 4) S N D) 1 2 0)"),
            ],
        ),
        (
            "$context",
            &[
                ("$a", "(add $s mask)"),
                ("$k", "(mul 0.25 (transpose (reshape $lk S N D) 1 2 0))"),
            ],
        ),
        (
            "$context",
            &[
                ("$a", "(add $s mask)"),
                ("$q", "(mul (transpose (reshape $lq S N D) 1 0 2) 0.5)"),
                ("$k", "(mul (transpose (reshape $lk S N D) 1 2 0) 0.5)"),
            ],
        ),
        // Softmax: without the maximum, as one operation, by reciprocals, divided behind the product.
        ("$context", &[("$e", "(exp $a)")]),
        ("$context", &[("$softmax", "(softmax $a)")]),
        ("$context", &[("$softmax", "(mul $e (div 1 (sum $e)))")]),
        ("$context", &[("$softmax", "(mul (div 1 (sum $e)) $e)")]),
        (
            "$context",
            &[("$weighted", "(div (matmul $e $v) (sum $e))")],
        ),
        (
            "$context",
            &[("$weighted", "(mul (matmul $e $v) (div 1 (sum $e)))")],
        ),
        (
            "$context",
            &[
                ("$weighted", "(div (matmul $e $v) (sum $e))"),
                ("$e", "(exp $a)"),
            ],
        ),
        // Linear layers: weights the other way round, biases behind views, one product for three.
        (
            "$context",
            &[("$lq", "(add (matmul x (transpose wq-turned 1 0)) bq)")],
        ),
        (
            "$context",
            &[(
                "$lq",
                "(add (transpose (matmul wq-turned (transpose x 1 0)) 1 0) bq)",
            )],
        ),
        ("$context", &[("$lq", "(add bq (matmul x wq))")]),
        (
            "$context",
            &[(
                "$q",
                "(transpose (add (reshape (matmul x wq) S N D) bq-parts) 1 0 2)",
            )],
        ),
        (
            "$context",
            &[(
                "$q",
                "(add (transpose (reshape (matmul x wq) S N D) 1 0 2) bq-heads)",
            )],
        ),
        (
            "$context",
            &[
                ("$all", "(add (matmul x wqkv) bqkv)"),
                ("$lq", "(slice $all 0 H)"),
                ("$lk", "(slice $all 48 H)"),
                ("$lv", "(slice $all 96 H)"),
            ],
        ),
        (
            "$context",
            &[
                ("$all", "(matmul x wqkv)"),
                ("$lq", "(add (slice $all 0 H) bq)"),
                ("$lk", "(add (slice $all 48 H) bk)"),
                ("$lv", "(add (slice $all 96 H) bv)"),
            ],
        ),
    ],
};

/// The mask is 1 where there is a token.
pub const MASK_OF_TOKENS: Function = Function {
    name: "attention with a mask of ones",
    spellings: &[
        (
            "$context",
            &[("$a", "(add (div $s 4) (mul (sub 1 mask) -10000))")],
        ),
        (
            "$context",
            &[("$a", "(add (div $s 4) (mul (sub mask 1) 10000))")],
        ),
        (
            "$context",
            &[("$a", "(sub (div $s 4) (mul (sub 1 mask) 10000))")],
        ),
        (
            "$context",
            &[("$a", "(sub (div $s 4) (mul 10000 (sub 1 mask)))")],
        ),
        (
            "$context",
            &[("$a", "(add (add (mul 10000 mask) -10000) (div $s 4))")],
        ),
    ],
};

/// The mask is added before the scale.
pub const MASK_BEFORE_SCALE: Function = Function {
    name: "attention with the mask before the scale",
    spellings: &[
        ("$context", &[("$a", "(div (add $s mask) 4)")]),
        ("$context", &[("$a", "(mul 0.25 (add mask $s))")]),
        ("$context", &[("$a", "(add (div $s 4) (div mask 4))")]),
    ],
};

/// LayerNorm.
pub const LAYER_NORM: Function = Function {
    name: "LayerNorm",
    spellings: &[
        ("$layernorm", &[]),
        ("$layernorm", &[("$m", "(mul (sum x) 0.020833334)")]),
        ("$layernorm", &[("$m", "(sum (div x 48))")]),
        (
            "(add (mul (mul $c (rsqrt (add $var 1e-12))) gamma) beta)",
            &[],
        ),
        (
            "(add beta (mul gamma (div $c (sqrt (add 1e-12 $var)))))",
            &[],
        ),
        (
            "(add (mul gamma (mul (div 1 (sqrt (add $var 1e-12))) $c)) beta)",
            &[],
        ),
        (
            "(add (mul $c (mul (rsqrt (add $var 1e-12)) gamma)) beta)",
            &[],
        ),
        (
            "(add (div (mul $c gamma) (sqrt (add $var 1e-12))) beta)",
            &[],
        ),
        (
            "$layernorm",
            &[("$var", "(sub (div (sum (mul x x)) 48) (mul $m $m))")],
        ),
        (
            "$layernorm",
            &[("$var", "(max (sub (div (sum (mul x x)) 48) (mul $m $m)) 0)")],
        ),
        (
            "(add (mul x $r) (sub beta (mul $m $r)))",
            &[("$r", "(mul (rsqrt (add $var 1e-12)) gamma)")],
        ),
    ],
};

/// All of them.
pub const FUNCTIONS: [Function; 7] = [
    GELU_ERF,
    GELU_TANH,
    GELU_SIGMOID,
    ATTENTION,
    MASK_OF_TOKENS,
    MASK_BEFORE_SCALE,
    LAYER_NORM,
];

/// A spelling as the e-graph takes it, in fp16.
pub fn quantised(source: Module, machine: &Machine) -> Result<Module, Vec<Diagnostic>> {
    let context = Context {
        machine: machine.clone(),
        ranges: None,
        precision: Precision::parse("fp16").map_err(|d| vec![d])?,
    };
    let pipeline = Pipeline::parse("canonicalise,quantise").map_err(|d| vec![d])?;
    let outcome = pipeline.run(source, &context, &mut |_, _| {})?;
    Ok(outcome.module)
}

/// The text of a program, constants by their shapes: folding rounds them otherwise for every spelling.
pub fn skeleton(program: &Module) -> String {
    let line = |line: &str| match line.split_once("dense<") {
        Some((before, data)) => {
            format!(
                "{before}dense<{}",
                data.split('>').next().unwrap_or_default()
            )
        }
        None => line.to_string(),
    };
    let text = print_without_locations(program);
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// How many spellings there are, and how many do not reach with `some` rules what their function reaches with `all`.
pub fn lost(
    machine: &Machine,
    all: &Settings,
    some: &Settings,
) -> Result<(usize, usize), Vec<Diagnostic>> {
    let (mut count, mut lost) = (0, 0);
    for function in &FUNCTIONS {
        let mut wanted = None;
        for (text, names) in function.spellings {
            let module = quantised(graph(text, names), machine)?;
            let program = |settings: &Settings| {
                let fused = fuse(&module, machine, settings, Room::of(machine));
                fused.map(|(program, _)| skeleton(&program))
            };
            let wanted = wanted.get_or_insert_with(|| program(all).ok());
            let made = program(some).ok();
            count += 1;
            lost += usize::from(made.is_none() || made != *wanted);
        }
    }
    Ok((count, lost))
}

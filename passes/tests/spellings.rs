//! Spellings: however an exporter writes a function, one program comes out; and what is another function stays one.

#[path = "spellings/graphs.rs"]
mod graphs;

use graphs::{graph, inputs};
use tspc_ir::eval::evaluate;
use tspc_ir::text::print_without_locations;
use tspc_ir::{Diagnostic, Module};
use tspc_machine::Machine;
use tspc_passes::egraph::proof::produce::prove;
use tspc_passes::egraph::saturate::Settings;
use tspc_passes::{Context, Pipeline, Precision};

/// Texts as [`graph`] reads them, each with what its names stand for besides.
type Spelling = (&'static str, &'static [(&'static str, &'static str)]);

/// A function in several spellings.
struct Function {
    name: &'static str,
    spellings: &'static [Spelling],
}

/// `$y` is what a product gives, so all of it is computed.
const GELU_ERF: Function = Function {
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

const GELU_TANH: Function = Function {
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

const GELU_SIGMOID: Function = Function {
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

const ATTENTION: Function = Function {
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

const MASK_OF_TOKENS: Function = Function {
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

const MASK_BEFORE_SCALE: Function = Function {
    name: "attention with the mask before the scale",
    spellings: &[
        ("$context", &[("$a", "(div (add $s mask) 4)")]),
        ("$context", &[("$a", "(mul 0.25 (add mask $s))")]),
        ("$context", &[("$a", "(add (div $s 4) (div mask 4))")]),
    ],
};

const LAYER_NORM: Function = Function {
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

const FUNCTIONS: [Function; 7] = [
    GELU_ERF,
    GELU_TANH,
    GELU_SIGMOID,
    ATTENTION,
    MASK_OF_TOKENS,
    MASK_BEFORE_SCALE,
    LAYER_NORM,
];

fn compiled(spelling: &Spelling, options: &str) -> Result<Module, Diagnostic> {
    run(graph(spelling.0, spelling.1), options)
}

fn run(source: Module, options: &str) -> Result<Module, Diagnostic> {
    let context = Context {
        machine: Machine::tsp_v1(),
        ranges: None,
        precision: Precision::parse("fp16").unwrap(),
    };
    let pipeline = format!("canonicalise,quantise,egraph{options}");
    let pipeline = Pipeline::parse(&pipeline).unwrap_or_else(|d| panic!("{d}"));
    let outcome = pipeline.run(source, &context, &mut |_, _| {});
    outcome.map(|o| o.module).map_err(|mut d| d.remove(0))
}

/// The text of the program, constants by their shapes: folding rounds them otherwise for every spelling.
fn program(spelling: &Spelling, options: &str) -> String {
    let module = compiled(spelling, options).unwrap_or_else(|d| panic!("{spelling:?}: {d}"));
    let line = |line: &str| match line.split_once("dense<") {
        Some((before, data)) => format!("{before}dense<{}", data.split('>').next().unwrap()),
        None => line.to_string(),
    };
    let text = print_without_locations(&module);
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn spellings_of_one_function_reach_one_program() {
    let mut count = 0;
    let mut failed = Vec::new();
    for function in &FUNCTIONS {
        let first = program(&function.spellings[0], "");
        for spelling in function.spellings {
            count += 1;
            match compiled(spelling, "") {
                Err(why) => failed.push(format!("{}: {spelling:?}: {why}", function.name)),
                Ok(_) if program(spelling, "") != first => {
                    failed.push(format!(
                        "{}: {spelling:?} is another program",
                        function.name
                    ));
                }
                Ok(_) => {}
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count >= 40, "{count} spellings");
}

/// The program of every spelling computes what the spelling says.
#[test]
fn programs_compute_what_was_spelled() {
    for function in &FUNCTIONS {
        for spelling in function.spellings {
            let (source, made) = (
                graph(spelling.0, spelling.1),
                compiled(spelling, "").unwrap(),
            );
            let of = |module: &Module| {
                let made = evaluate(module, &inputs(module)).unwrap_or_else(|d| panic!("{d}"));
                made["y"].data.f32s().unwrap().to_vec()
            };
            let (want, got) = (of(&source), of(&made));
            let largest = want.iter().fold(0f32, |m, x| m.max(x.abs()));
            let apart = want.iter().zip(&got).map(|(x, y)| (x - y).abs());
            let apart = apart.fold(0f32, |m, d| if d.is_nan() { d } else { m.max(d) });
            assert!(
                apart <= 3e-3 * largest,
                "{}: {spelling:?}: {apart} of {largest}",
                function.name
            );
        }
    }
}

#[test]
fn other_functions_are_other_programs_unless_a_class_joins_them() {
    let of = |function: &Function, options| program(&function.spellings[0], options);
    // The chip has no erf: by default the tanh form stands for it; the sigmoid form is too far off.
    assert_eq!(of(&GELU_ERF, ""), of(&GELU_TANH, ""));
    assert_ne!(of(&GELU_TANH, ""), of(&GELU_SIGMOID, ""));
    let refusal = compiled(&GELU_ERF.spellings[0], "{fast-math=statistics}").unwrap_err();
    assert!(
        refusal.message.contains("the first without one is `erf"),
        "{refusal}"
    );
    let joined = "{fast-math=gelu-tanh+gelu-sigmoid}";
    for function in [&GELU_ERF, &GELU_TANH] {
        assert_eq!(of(function, joined), of(&GELU_SIGMOID, joined));
    }
    assert_ne!(of(&ATTENTION, ""), of(&MASK_BEFORE_SCALE, ""));
    assert_ne!(of(&ATTENTION, ""), of(&MASK_OF_TOKENS, ""));
}

/// What is added to a function does not hide it, though it could be factored out.
#[test]
fn functions_are_recognised_beside_their_argument() {
    for function in [&GELU_ERF, &GELU_TANH] {
        let gelu = function.spellings[0];
        let inner = gelu.0.strip_prefix("(matmul ").unwrap();
        let inner = inner.strip_suffix(" wk)").unwrap();
        let sum = [("$gelu", inner)].into_iter().chain(gelu.1.iter().copied());
        let names: Vec<(&str, &str)> = sum.collect();
        let source = graph("(matmul (add $y $gelu) wk)", &names);
        let made = run(source, "").unwrap_or_else(|d| panic!("{}: {d}", function.name));
        assert_eq!(
            print_without_locations(&made).matches("op = tanh").count(),
            1
        );
    }
}

/// A factor that is written as an inverse root is what the chip computes, whatever else it is a part of.
#[test]
fn inverse_roots_have_one_form() {
    let texts = [
        "(div $y (sqrt $v))",
        "(mul $y (div 1 (sqrt $v)))",
        "(mul (div 1 (sqrt $v)) $y)",
    ];
    let names = [("$v", "(add (mul $y $y) 1)")];
    let program = |text| {
        let made = run(graph(text, &names), "");
        print_without_locations(&made.unwrap_or_else(|d| panic!("{text}: {d}")))
    };
    assert!(program(texts[0]).contains("op = rsqrt"));
    for text in &texts[1..] {
        assert_eq!(program(text), program(texts[0]), "{text}");
    }
}

/// By default a softmax never loses its maximum, with or without the class by which another gains it.
#[test]
fn a_softmax_keeps_its_maximum() {
    let maxima = |options| {
        let text = program(&ATTENTION.spellings[0], options);
        text.matches("op = max").count()
    };
    assert!(maxima("") > 0);
    assert_eq!(maxima(""), maxima("{fast-math=halves}"));
    // Without the class it cannot be gained: its row sums have no form then.
    let without = ("$context", &[("$e", "(exp $a)")][..]);
    assert!(compiled(&without, "{fast-math=halves}").is_err());
    assert!(compiled(&without, "{fast-math=halves+row-max}").is_ok());
}

/// What rules make of a spelling is proved, step by step, for the checker of proofs.
#[test]
fn spellings_are_proved() {
    let machine = Machine::tsp_v1();
    let context = Context {
        machine: machine.clone(),
        ranges: None,
        precision: Precision::parse("fp16").unwrap(),
    };
    let pipeline = Pipeline::parse("canonicalise,quantise").unwrap();
    for spelling in FUNCTIONS.iter().flat_map(|f| f.spellings) {
        let source = graph(spelling.0, spelling.1);
        let quantised = pipeline.run(source, &context, &mut |_, _| {});
        let module = quantised.unwrap().module;
        if let Err(why) = prove(&module, &machine, &Settings::default()) {
            panic!("{spelling:?}: {why}");
        }
    }
}

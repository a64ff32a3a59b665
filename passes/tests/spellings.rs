//! Spellings: however an exporter writes a function, one program comes out; and what is another function stays one.

use tspc_ir::eval::evaluate;
use tspc_ir::text::print_without_locations;
use tspc_ir::{Diagnostic, Module};
use tspc_machine::Machine;
use tspc_passes::egraph::proof::produce::prove;
use tspc_passes::egraph::rules::groups;
use tspc_passes::egraph::saturate::Settings;
use tspc_passes::egraph::spellings::{
    ATTENTION, FUNCTIONS, Function, GELU_ERF, GELU_SIGMOID, GELU_TANH, MASK_BEFORE_SCALE,
    MASK_OF_TOKENS, Spelling, graph, inputs, lost, quantised, skeleton,
};
use tspc_passes::{Context, Pipeline, Precision};

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

/// The text of the program, without what constants hold.
fn program(spelling: &Spelling, options: &str) -> String {
    let module = compiled(spelling, options).unwrap_or_else(|d| panic!("{spelling:?}: {d}"));
    skeleton(&module)
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
    for spelling in FUNCTIONS.iter().flat_map(|f| f.spellings) {
        let module = quantised(graph(spelling.0, spelling.1), &machine).unwrap();
        if let Err(why) = prove(&module, &machine, &Settings::default()) {
            panic!("{spelling:?}: {why}");
        }
    }
}

/// With all rules no spelling is lost, without the rules for GELU all and only those of GELU.
#[test]
fn spellings_lost_are_counted() {
    let machine = Machine::tsp_v1();
    let all = Settings::default();
    let lost = |without: &[&'static str]| {
        let some = Settings {
            without: without.to_vec(),
            ..all.clone()
        };
        lost(&machine, &all, &some).unwrap()
    };
    let count = FUNCTIONS.iter().map(|f| f.spellings.len()).sum();
    assert_eq!(lost(&[]), (count, 0));
    let gelu = [&GELU_ERF, &GELU_TANH, &GELU_SIGMOID];
    let gelu = gelu.map(|f| f.spellings.len()).iter().sum();
    assert_eq!(lost(&["activation"]), (count, gelu));
    assert_eq!(lost(&groups()), (count, count));
}

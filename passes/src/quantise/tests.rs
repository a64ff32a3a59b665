//! Each form of quantised product on a few lines of text, and what is refused.

use super::*;
use crate::canonicalise::canonical;
use tspc_ir::Opcode::TensorBounded;
use tspc_ir::eval::{Array, Arrays, evaluate};
use tspc_ir::text::{parse, print_without_locations};
use tspc_machine::Machine;

fn read(text: &str) -> Module {
    let module = parse("q", text, &Default::default()).unwrap_or_else(|d| panic!("{d}"));
    canonical(&module).unwrap()
}

fn context(ranges: Option<Ranges>, precision: &str) -> Context {
    Context {
        machine: Machine::tsp_v1(),
        ranges,
        precision: Precision::parse(precision).unwrap(),
    }
}

/// Numbers from -1 to 1, by index.
fn inputs(module: &Module) -> Arrays {
    let input = |(name, v): (&str, Value)| {
        let shape = module.ty(v).shape.clone();
        let wave = |i: usize| (1.7 * i as f32).sin();
        let x = (0..shape.iter().product()).map(wave).collect();
        (name.to_string(), Array::f32s(shape, x).unwrap())
    };
    module.inputs().map(input).collect()
}

fn quantised(module: &Module, pipeline: &str) -> Result<Module, String> {
    let ranges = Ranges::observe(module, &inputs(module)).unwrap();
    let pipeline = crate::Pipeline::parse(pipeline).map_err(|d| d.message)?;
    let outcome = pipeline.run(
        module.clone(),
        &context(Some(ranges), "int8"),
        &mut |_, _| {},
    );
    outcome.map(|o| o.module).map_err(|d| d[0].message.clone())
}

/// Largest difference of the output y, as a part of its largest value.
fn apart(a: &Module, b: &Module) -> f32 {
    let y = |m: &Module| {
        evaluate(m, &inputs(m)).unwrap()["y"]
            .data
            .f32s()
            .unwrap()
            .to_vec()
    };
    let (a, b) = (y(a), y(b));
    let greatest = a.iter().fold(0f32, |m, x| m.max(x.abs()));
    a.iter()
        .zip(&b)
        .fold(0f32, |m, (x, y)| m.max((x - y).abs()))
        / greatest
}

const LINEAR: &str = r#"module @m(%0 "x": tensor<2x3xf32>) {
    %1 = tensor.constant() {value = dense<3x2xf32>[1.0, -0.5, 0.25, 0.75, -1.0, 0.1]} : tensor<3x2xf32>
    %2 = tensor.matmul(%0, %1) : tensor<2x2xf32> loc("m.query")
    %3 = tensor.constant() {value = dense<3x2xf32>[0.5, 0.5, 2.0, -0.25, 1.0, 1.0]} : tensor<3x2xf32>
    %4 = tensor.matmul(%0, %3) : tensor<2x2xf32> loc("m.key")
    %5 = tensor.add(%2, %4) : tensor<2x2xf32>
    tensor.return(%5) {names = ["y"]}
}"#;

#[test]
fn linear_sites_of_one_input_share_its_quantisation() {
    let module = read(LINEAR);
    let int8 = quantised(&module, "quantise").unwrap();
    insta::assert_snapshot!(print_without_locations(&int8));
    assert!(apart(&module, &int8) < 0.02);
    let loc = |m: &Module, name| {
        let op = m.ops().find(|(_, d)| d.opcode.def().name == name).unwrap();
        m.locs().describe(op.1.loc)
    };
    assert_eq!(loc(&int8, "tensor.quantize"), "m.query + m.key (int8)");
    let fp16 = quantised(&module, "quantise{precision=fp16}").unwrap();
    insta::assert_snapshot!(print_without_locations(&fp16));
    assert!(apart(&module, &fp16) < 1e-3);
}

#[test]
fn other_exponents_give_other_quantisations() {
    let module = read(LINEAR);
    let count = |text: &str| {
        let int8 = quantised(&module, text).unwrap();
        assert!(apart(&module, &int8) < 0.02);
        int8.ops()
            .filter(|(_, d)| d.opcode == Opcode::TensorQuantize)
            .count()
    };
    assert_eq!(count("quantise{migrate=0.3}"), 1);
    assert_eq!(count("quantise{migrate=auto,query=0.3}"), 2);
}

/// The square is on one side of 0.
fn one_sided(after: &str) -> Module {
    read(&format!(
        r#"module @m(%0 "x": tensor<2x2xf32>) {{
        %1 = tensor.mul(%0, %0) : tensor<2x2xf32>
        %2 = tensor.constant() {{value = dense<2x2xf32>[1.0, -0.5, 0.25, 0.75]}} : tensor<2x2xf32>
        %3 = tensor.matmul(%1, %2) : tensor<2x2xf32>
        {after}
    }}"#
    ))
}

#[test]
fn a_bias_takes_up_the_correction_of_an_offset() {
    let module = one_sided(
        r#"%4 = tensor.constant() {value = dense<2xf32>[0.5, -4.0]} : tensor<2xf32>
        %5 = tensor.add(%4, %3) : tensor<2x2xf32>
        tensor.return(%5) {names = ["y"]}"#,
    );
    let int8 = quantised(&module, "quantise").unwrap();
    insta::assert_snapshot!(print_without_locations(&int8));
    assert!(apart(&module, &int8) < 0.01);
}

#[test]
fn without_a_bias_the_correction_is_added() {
    let cases = [
        r#"tensor.return(%3) {names = ["y"]}"#,
        // The bias is not the only user.
        r#"%4 = tensor.constant() {value = dense<2xf32>[0.5, -4.0]} : tensor<2xf32>
        %5 = tensor.add(%3, %4) : tensor<2x2xf32>
        %6 = tensor.add(%5, %3) : tensor<2x2xf32>
        tensor.return(%6) {names = ["y"]}"#,
        // Not a vector over the columns.
        r#"%4 = tensor.constant() {value = dense<2x1xf32>[0.5, -4.0]} : tensor<2x1xf32>
        %5 = tensor.add(%3, %4) : tensor<2x2xf32>
        tensor.return(%5) {names = ["y"]}"#,
    ];
    for after in cases {
        let module = one_sided(after);
        let adds = |m: &Module| m.ops().filter(|(_, d)| d.opcode == TensorAdd).count();
        let int8 = quantised(&module, "quantise").unwrap();
        assert_eq!(adds(&int8), adds(&module) + 1);
        assert!(apart(&module, &int8) < 0.01);
    }
}

/// One head of width 2 beside another, three tokens; `weights` makes the left operand of the context from scores.
fn attention(weights: &str, p: &str) -> Module {
    read(&format!(
        r#"module @m(%0 "q": tensor<3x4xf32>, %1 "k": tensor<3x4xf32>, %2 "v": tensor<3x4xf32>) {{
        %3 = tensor.reshape(%0) {{shape = [3, 2, 2]}} : tensor<3x2x2xf32>
        %4 = tensor.transpose(%3) {{perm = [1, 0, 2]}} : tensor<2x3x2xf32>
        %5 = tensor.reshape(%1) {{shape = [3, 2, 2]}} : tensor<3x2x2xf32>
        %6 = tensor.transpose(%5) {{perm = [1, 2, 0]}} : tensor<2x2x3xf32>
        %7 = tensor.reshape(%2) {{shape = [3, 2, 2]}} : tensor<3x2x2xf32>
        %8 = tensor.transpose(%7) {{perm = [1, 0, 2]}} : tensor<2x3x2xf32>
        %9 = tensor.matmul(%4, %6) : tensor<2x3x3xf32> loc("m.scores")
        {weights}
        %20 = tensor.matmul(%{p}, %8) : tensor<2x3x2xf32>
        tensor.return(%20) {{names = ["y"]}}
    }}"#
    ))
}

const SOFTMAX: &str = "%10 = tensor.reduce(%9) {kind = max, axis = 2} : tensor<2x3x1xf32>
        %11 = tensor.sub(%9, %10) : tensor<2x3x3xf32>
        %12 = tensor.exp(%11) : tensor<2x3x3xf32>
        %13 = tensor.reduce(%12) {kind = sum, axis = 2} : tensor<2x3x1xf32>
        %14 = tensor.div(%12, %13) : tensor<2x3x3xf32>";

#[test]
fn attention_is_quantised_per_head_and_divided_last() {
    let module = attention(SOFTMAX, "14");
    let int8 = quantised(&module, "quantise").unwrap();
    insta::assert_snapshot!(print_without_locations(&int8));
    assert!(apart(&module, &int8) < 0.02);
    let fp16 = quantised(&module, "quantise{precision=fp16}").unwrap();
    insta::assert_snapshot!(print_without_locations(&fp16));
    assert!(apart(&module, &fp16) < 1e-3);
}

#[test]
fn weights_of_another_form_are_quantised_as_they_are() {
    let cases = [
        ("", "9".to_string()),
        ("%10 = tensor.softmax(%9) : tensor<2x3x3xf32>", "10".into()),
        // Nothing bounds exp without the subtraction of the maximum.
        (
            "%10 = tensor.exp(%9) : tensor<2x3x3xf32>
            %11 = tensor.reduce(%10) {kind = sum, axis = 2} : tensor<2x3x1xf32>
            %12 = tensor.div(%10, %11) : tensor<2x3x3xf32>",
            "12".into(),
        ),
        // The sum of other rows.
        (
            &SOFTMAX.replace(
                "kind = sum, axis = 2} : tensor<2x3x1xf32>",
                "kind = sum, axis = 1} : tensor<2x1x3xf32>",
            ),
            "14".into(),
        ),
        // Another use.
        (
            &format!(
                "{SOFTMAX}\n%15 = tensor.add(%14, %14) : tensor<2x3x3xf32>\n%16 = tensor.add(%15, %14) : tensor<2x3x3xf32>"
            ),
            "16".into(),
        ),
    ];
    for (weights, p) in cases {
        let module = attention(weights, &p);
        for (pipeline, bound) in [("quantise", 0.03), ("quantise{precision=fp16}", 1e-3)] {
            let new = quantised(&module, pipeline).unwrap();
            assert!(apart(&module, &new) < bound, "{pipeline}: {weights}");
            let count = |m: &Module, o| m.ops().filter(|(_, d)| d.opcode == o).count();
            let divs = |m| count(m, Opcode::TensorDiv);
            assert_eq!(divs(&new), divs(&module), "{weights}");
        }
    }
}

/// A value with its row's mean taken off in one of these ways, after a product.
fn centred(lines: &str) -> Module {
    read(&format!(
        r#"module @m(%0 "x": tensor<2x2xf32>) {{
        %1 = tensor.constant() {{value = dense<2x2xf32>[1.0, -0.5, 0.25, 0.75]}} : tensor<2x2xf32>
        %2 = tensor.matmul(%0, %1) : tensor<2x2xf32>
        {lines}
        tensor.return(%9) {{names = ["y"]}}
    }}"#
    ))
}

#[test]
fn normalised_values_are_bounded_in_int8() {
    let half = "%3 = tensor.constant() {value = dense<f32>[0.5]} : tensor<f32>";
    let bounds = |lines: &str, pipeline: &str| {
        let module = centred(lines);
        let new = quantised(&module, pipeline).unwrap();
        let ops = new.ops().filter(|(_, d)| d.opcode == TensorBounded);
        let of = |v: Value| new.constant(new.def_op(v)?)?.bits(0).map(f32::from_bits);
        let found: Vec<Option<f32>> = ops.map(|(_, d)| of(d.operands[1])).collect();
        (found, module)
    };
    let sum = "{kind = sum, axis = 1} : tensor<2x1xf32>";
    for lines in [
        format!("%4 = tensor.reduce(%2) {sum}\n%5 = tensor.mul(%4, %3) : tensor<2x1xf32>\n%9 = tensor.sub(%2, %5) : tensor<2x2xf32>"),
        format!("%4 = tensor.div(%2, %3) : tensor<2x2xf32>\n%5 = tensor.reduce(%4) {sum}\n%9 = tensor.sub(%2, %5) : tensor<2x2xf32>"),
        "%4 = tensor.constant() {value = dense<2xf32>[1.0, 1.0]} : tensor<2xf32>\n%9 = tensor.layer_norm(%2, %4, %4) {eps = 1e-12} : tensor<2x2xf32>".to_string(),
    ] {
        let lines = format!("{half}\n{lines}");
        let (found, module) = bounds(&lines, "quantise");
        let product = centred("%9 = tensor.neg(%2) : tensor<2x2xf32>");
        let y = evaluate(&product, &inputs(&module)).unwrap();
        let rows = y["y"].data.f32s().unwrap().chunks(2);
        let greatest = rows.map(|r| r[0] * r[0] + r[1] * r[1]).fold(0f32, f32::max);
        let [Some(energy)] = found[..] else { panic!("{lines}: {found:?}") };
        assert!((energy - greatest).abs() <= 1e-6 * greatest, "{lines}");
        assert_eq!(bounds(&lines, "quantise{precision=fp16}").0, [], "{lines}");
    }
    // Nothing is normalised: the sum of a softmax, a sum alone.
    for lines in [
        format!(
            "%4 = tensor.exp(%2) : tensor<2x2xf32>\n%5 = tensor.reduce(%4) {sum}\n%9 = tensor.div(%4, %5) : tensor<2x2xf32>"
        ),
        format!(
            "%4 = tensor.mul(%2, %2) : tensor<2x2xf32>\n%5 = tensor.reduce(%4) {sum}\n%9 = tensor.sub(%2, %5) : tensor<2x2xf32>"
        ),
    ] {
        assert_eq!(bounds(&lines, "quantise").0, [], "{lines}");
    }
}

#[test]
fn formats_mix() {
    let module = attention(SOFTMAX, "14");
    let mixed = quantised(&module, "quantise{precision=int8,scores=fp16}").unwrap();
    let elem = |m: &Module| -> Vec<&str> {
        let products = m.ops().filter(|(_, d)| d.opcode == Opcode::TensorMatmul);
        products
            .map(|(_, d)| m.ty(d.operands[0]).elem.name())
            .collect()
    };
    assert_eq!(elem(&mixed), ["f16", "i8"]);
    assert!(apart(&module, &mixed) < 0.02);
}

#[test]
fn what_is_missing_or_does_not_fit_is_refused() {
    let module = read(LINEAR);
    let run = |ranges: Option<Ranges>, text: &str| {
        let pipeline = crate::Pipeline::parse(text).unwrap();
        let outcome = pipeline.run(module.clone(), &context(ranges, "int8"), &mut |_, _| {});
        outcome.map(|_| ()).map_err(|d| d[0].message.clone())
    };
    assert_eq!(
        run(None, "quantise").unwrap_err(),
        "int8 needs ranges of the operands: calibrate first"
    );
    assert_eq!(run(None, "quantise{precision=fp16}"), Ok(()));
    let other = attention("", "9");
    let short = one_sided(r#"tensor.return(%3) {names = ["y"]}"#);
    let ranges = |m: &Module| Some(Ranges::observe(m, &inputs(m)).unwrap());
    assert_eq!(
        run(ranges(&short), "quantise").unwrap_err(),
        "the ranges are of a module of 1 products, this one has 2"
    );
    assert_eq!(
        run(ranges(&other), "quantise").unwrap_err(),
        "the ranges of product 0 have 4 channels, the module has 3"
    );
    for (options, message) in [
        ("migrate=2", "\"2\" should be auto or a number from 0 to 1"),
        (
            "migrate=-0.1",
            "\"-0.1\" should be auto or a number from 0 to 1",
        ),
        (
            "precision=int8,attention=fp16",
            "no product is called \"attention\"; there are linear, m.query, m.key",
        ),
        (
            "migrate=auto,nowhere=0.5",
            "no product is called \"nowhere\"; there are linear, m.query, m.key",
        ),
    ] {
        let error = run(ranges(&module), &format!("quantise{{{options}}}")).unwrap_err();
        assert_eq!(error, message);
    }
}

/// A LayerNorm of 64 channels, a product, and the sum of both; channel 5 is an outlier.
fn outlier(output: &str) -> Module {
    let list = |n: usize, f: &dyn Fn(usize) -> f64| {
        let all: Vec<String> = (0..n).map(|i| format!("{:?}", f(i))).collect();
        all.join(", ")
    };
    let gamma = list(64, &|c| if c == 5 { 20.0 } else { 1.0 });
    let matrix = list(64 * 64, &|i| 0.1 * (0.37 * i as f64).sin());
    read(&format!(
        r#"module @m(%0 "x": tensor<4x64xf32>) {{
        %1 = tensor.reduce(%0) {{kind = sum, axis = 1}} : tensor<4x1xf32>
        %2 = tensor.sub(%0, %1) : tensor<4x64xf32>
        %3 = tensor.constant() {{value = dense<64xf32>[{gamma}]}} : tensor<64xf32>
        %4 = tensor.mul(%2, %3) : tensor<4x64xf32>
        %5 = tensor.constant() {{value = dense<64x64xf32>[{matrix}]}} : tensor<64x64xf32>
        %6 = tensor.matmul(%4, %5) : tensor<4x64xf32> loc("m.first")
        %7 = tensor.add(%6, %4) : tensor<4x64xf32>
        %8 = tensor.matmul(%7, %5) : tensor<4x64xf32> loc("m.second")
        tensor.return({output}) {{names = ["y"]}}
    }}"#
    ))
}

#[test]
fn outliers_of_int8_products_take_spare_lanes() {
    let module = outlier("%8");
    let shapes = |m: &Module, opcode: Opcode| -> Vec<Vec<usize>> {
        let ops = m.ops().filter(|(_, d)| d.opcode == opcode);
        ops.map(|(_, d)| m.ty(d.results[0]).shape.clone()).collect()
    };
    let split = quantised(&module, "quantise").unwrap();
    assert_eq!(shapes(&split, Opcode::TensorQuantize), [[4, 80], [4, 80]]);
    // The first product is added to split values, the second is not; the input gives its lanes.
    assert_eq!(shapes(&split, Opcode::TensorMatmul), [[4, 80], [4, 64]]);
    assert_eq!(shapes(&split, Opcode::TensorGather), [[4, 80]]);
    let none = quantised(&module, "quantise{split=none migrate=0.3}").unwrap();
    assert_eq!(shapes(&none, Opcode::TensorQuantize), [[4, 64], [4, 64]]);
    let (without, with) = (apart(&module, &none), apart(&module, &split));
    assert!(with < 0.6 * without, "{with} {without}");
    // Elsewhere the channels are seen once each.
    let both = outlier("%7");
    let split = quantised(&both, "quantise").unwrap();
    let output = split.outputs()[0].1;
    assert_eq!(split.ty(output).shape, [4, 64]);
    assert!(apart(&both, &split) < 0.01);
}

#[test]
fn only_int8_is_split() {
    let module = outlier("%8");
    let wide = |text: &str| {
        let made = quantised(&module, text).unwrap();
        assert!(apart(&module, &made) < 0.01, "{text}");
        made.values().any(|(v, _)| made.ty(v).last() == 80)
    };
    assert!(!wide("quantise{precision=fp16}"));
    // One int8 product is enough; the other takes the channels.
    assert!(wide("quantise{precision=int8,first=fp16}"));
    assert!(wide("quantise{precision=fp16,first=int8}"));
    let error = quantised(&module, "quantise{split=all}").unwrap_err();
    assert_eq!(error, "\"all\" should be spare or none");
}

//! LayerNorm in fixed point: what it computes, how many passes that takes, and when it is not used.

use std::collections::BTreeMap;

use tspc_ir::eval::{Array, evaluate};
use tspc_ir::text::{parse, print_without_locations};
use tspc_ir::{Elem, Module, Opcode};
use tspc_machine::Machine;
use tspc_passes::{Context, Pipeline, Precision};

/// LayerNorm of rows of `n` numbers, and what follows it as lines that give `%y` of so many lanes.
fn layer_norm(n: usize, energy: Option<f32>, after: &str, lanes: usize) -> Module {
    let row = |x: f32| format!("dense<{n}xf32>[{}]", vec![format!("{x:?}"); n].join(", "));
    let (bounded, x) = match energy {
        Some(energy) => (
            format!(
                "%9 = tensor.constant() {{value = dense<1xf32>[{energy:?}]}} : tensor<1xf32>
                %8 = tensor.bounded(%0, %9) : tensor<3x{n}xf32>"
            ),
            "%8",
        ),
        None => (String::new(), "%0"),
    };
    let text = format!(
        r#"module @m(%0 "x": tensor<3x{n}xf32>) {{
        {bounded}
        %1 = tensor.constant() {{value = {}}} : tensor<{n}xf32>
        %2 = tensor.constant() {{value = {}}} : tensor<{n}xf32>
        %3 = tensor.layer_norm({x}, %1, %2) {{eps = 1e-12}} : tensor<3x{n}xf32>
        {after}
        %5 = tensor.add(%4, %4) : tensor<3x{lanes}xf32>
        tensor.return(%5) {{names = ["y"]}}
    }}"#,
        row(0.5),
        row(0.25)
    );
    parse("s", &text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
}

const NOTHING: &str = "%4 = tensor.neg(%3) : tensor<3xNxf32>";

fn normalised(n: usize, energy: Option<f32>) -> Module {
    layer_norm(n, energy, &NOTHING.replace('N', &n.to_string()), n)
}

fn run(module: Module, pipeline: &str) -> Module {
    let context = Context {
        machine: Machine::tsp_v1(),
        ranges: None,
        precision: Precision::parse("int8").unwrap(),
    };
    let outcome = Pipeline::parse(pipeline)
        .unwrap()
        .run(module, &context, &mut |_, _| {});
    outcome.unwrap_or_else(|d| panic!("{}", d[0])).module
}

/// Rows of unit variance, of a 30th of it, and with one lane 40 times as large as the others; none of mean 0.
fn rows(n: usize) -> Vec<f32> {
    let wave = |i: usize| (1.7 * i as f32 + 0.1 * (i * i) as f32).sin() * 1.4 + 0.3;
    let row = |scale: f32| (0..n).map(move |i| wave(i) * scale);
    let mut x: Vec<f32> = row(1.0).chain(row(1.0 / 30.0)).chain(row(1.0)).collect();
    x[2 * n + n / 3] *= 40.0;
    x
}

fn energy(x: &[f32], n: usize) -> f32 {
    let row = |r: &[f32]| r.iter().map(|x| x * x).sum::<f32>();
    x.chunks(n).map(row).fold(0.0, f32::max)
}

/// The largest difference in a row, as a part of the largest number of the row.
fn apart(a: &Module, b: &Module, n: usize) -> f32 {
    let y = |m: &Module| {
        let x = Array::f32s([3, n], rows(n)).unwrap();
        let made = evaluate(m, &BTreeMap::from([("x".to_string(), x)]));
        let made = made.unwrap_or_else(|d| panic!("{d}"));
        made["y"].data.f32s().unwrap().to_vec()
    };
    let (a, b) = (y(a), y(b));
    let rows = a.chunks(n).zip(b.chunks(n));
    let row = |(a, b): (&[f32], &[f32])| {
        let largest = a.iter().fold(0f32, |m, x| m.max(x.abs()));
        let far = a.iter().zip(b).map(|(x, y)| (x - y).abs());
        far.fold(0f32, f32::max) / largest
    };
    rows.map(row).fold(0f32, f32::max)
}

fn passes(module: &Module) -> usize {
    let ops = module.body_ops().iter();
    ops.filter(|&&op| module[op].opcode == Opcode::StreamPass)
        .count()
}

fn has_halves(module: &Module) -> bool {
    module.values().any(|(v, _)| module.ty(v).elem == Elem::F16)
}

/// Three bytes of the sum and four of the sum of squares, of all tiles together where these are alike.
#[test]
fn bytes_pass_once_for_all_equal_tiles() {
    for (n, count) in [(32, 7), (300, 7), (384, 7), (768, 7), (1024, 7), (400, 14)] {
        let energy = energy(&rows(n), n);
        let source = normalised(n, Some(energy));
        let made = run(source.clone(), "egraph");
        let tiled = run(made.clone(), "tile");
        assert_eq!(passes(&tiled), count, "{n}");
        assert!(!has_halves(&made), "{n}");
        let apart = apart(&source, &made, n);
        // The row of a 30th, whose energy is about a millionth of the greatest, has the fewest bits.
        assert!(apart < 1.2e-3, "{n}: {apart}");
    }
}

/// LayerNorm of rows of `n` numbers in so many lanes, of which those behind the first `n` repeat some.
fn of_lanes(n: usize, lanes: usize, energy: f32) -> Module {
    let named: Vec<usize> = (0..n).chain((0..lanes - n).map(|i| i * 7 % n)).collect();
    let row = |x: f32| {
        let numbers = vec![format!("{x:?}"); lanes].join(", ");
        format!("tensor.constant() {{value = dense<{lanes}xf32>[{numbers}]}} : tensor<{lanes}xf32>")
    };
    let first = format!("{{starts = [0, 0], sizes = [3, {n}]}} : tensor<3x{n}xf32>");
    let text = format!(
        r#"module @m(%0 "x": tensor<3x{n}xf32>) {{
        %1 = tensor.gather(%0) {{lanes = {named:?}}} : tensor<3x{lanes}xf32>
        %2 = tensor.slice(%1) {first}
        %3 = tensor.constant() {{value = dense<1xf32>[{energy:?}]}} : tensor<1xf32>
        %4 = tensor.bounded(%2, %3) : tensor<3x{n}xf32>
        %5 = tensor.constant() {{value = dense<f32>[{n}.0]}} : tensor<f32>
        %6 = tensor.constant() {{value = dense<f32>[1e-12]}} : tensor<f32>
        %7 = tensor.reduce(%4) {{kind = sum, axis = 1}} : tensor<3x1xf32>
        %8 = tensor.div(%7, %5) : tensor<3x1xf32>
        %9 = tensor.sub(%1, %8) : tensor<3x{lanes}xf32>
        %10 = tensor.slice(%9) {first}
        %11 = tensor.mul(%10, %10) : tensor<3x{n}xf32>
        %12 = tensor.reduce(%11) {{kind = sum, axis = 1}} : tensor<3x1xf32>
        %13 = tensor.div(%12, %5) : tensor<3x1xf32>
        %14 = tensor.add(%13, %6) : tensor<3x1xf32>
        %15 = tensor.sqrt(%14) : tensor<3x1xf32>
        %16 = tensor.div(%9, %15) : tensor<3x{lanes}xf32>
        %17 = {}
        %18 = tensor.mul(%16, %17) : tensor<3x{lanes}xf32>
        %19 = {}
        %20 = tensor.add(%18, %19) : tensor<3x{lanes}xf32>
        %21 = tensor.slice(%20) {first}
        tensor.return(%21) {{names = ["y"]}}
    }}"#,
        row(0.5),
        row(0.25)
    );
    parse("s", &text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
}

/// Lanes that repeat others count nothing, though they lie in tiles that are added up.
#[test]
fn moments_are_of_the_first_lanes() {
    let cases = [
        (32, 48, 7),
        (384, 480, 7),
        (768, 960, 7),
        (768, 864, 7),
        (320, 640, 7),
        (400, 496, 14),
    ];
    for (n, lanes, count) in cases {
        let source = of_lanes(n, lanes, energy(&rows(n), n));
        let made = run(source.clone(), "egraph");
        let tiled = run(made.clone(), "tile");
        assert_eq!(passes(&tiled), count, "{n} in {lanes}");
        assert!(!has_halves(&made), "{n} in {lanes}");
        let apart = apart(&source, &made, n).max(self::apart(&source, &tiled, n));
        assert!(apart < 1.2e-3, "{n} in {lanes}: {apart}");
    }
}

/// Rows may have sixteen times the energy that calibration saw; beyond that sums saturate.
#[test]
fn there_is_headroom_and_then_saturation() {
    let n = 384;
    let energy = energy(&rows(n), n);
    let with = |part: f32| {
        let source = normalised(n, Some(energy * part));
        apart(&source, &run(source.clone(), "egraph"), n)
    };
    assert!(with(1.0 / 15.5) < 1.2e-3);
    let saturated = with(1.0 / 200.0);
    assert!(saturated > 0.1 && saturated.is_finite(), "{saturated}");
}

/// Without a bound the statistics are those of fp16.
#[test]
fn without_bounds_statistics_are_fp16() {
    let made = run(normalised(384, None), "egraph");
    assert!(has_halves(&made) && !print_without_locations(&made).contains("stream.byte"));
}

/// What is normalised shares its tiles with operands of fp16, which decide where they begin, or with heads.
#[test]
fn tiles_that_something_else_decides_are_not_added_up() {
    let n = 384;
    let energy = energy(&rows(n), n);
    let weights = vec!["0x3400"; n * 2].join(", ");
    let half = format!(
        "%6 = tensor.cast(%3) {{elem = f16}} : tensor<3x{n}xf16>
        %7 = tensor.constant() {{value = dense<{n}x2xf16>[{weights}]}} : tensor<{n}x2xf16>
        %4 = tensor.matmul(%6, %7) : tensor<3x2xf32>"
    );
    let source = layer_norm(n, Some(energy), &half, 2);
    let made = run(source.clone(), "egraph");
    assert_eq!(passes(&run(made, "tile")), 14 + 2);
}

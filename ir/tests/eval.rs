//! What ops mean: against plain arithmetic, across dialects, and the errors of evaluation.

use tspc_ir::eval::{Array, Arrays, Data, evaluate};
use tspc_ir::text::parse;
use tspc_ir::{ConstPool, Module};

fn read(text: &str) -> Module {
    parse("t.tspc", text, &ConstPool::default()).unwrap_or_else(|d| panic!("{d}\n{text}"))
}

fn inputs(arrays: &[(&str, Array)]) -> Arrays {
    arrays
        .iter()
        .map(|(n, a)| (n.to_string(), a.clone()))
        .collect()
}

fn f32s(shape: &[usize], data: &[f32]) -> Array {
    Array::f32s(shape, data.to_vec()).unwrap()
}

fn run(text: &str, arrays: &[(&str, Array)]) -> Array {
    evaluate(&read(text), &inputs(arrays)).unwrap_or_else(|d| panic!("{d}"))["y"].clone()
}

/// Evaluates `%1 = line` of `%0`.
fn unary(ty: &str, line: &str, x: Array) -> Array {
    let text = format!(
        "module @m(%0 \"x\": {ty}) {{\n%1 = {line}\ntensor.return(%1) {{names = [\"y\"]}}\n}}\n"
    );
    run(&text, &[("x", x)])
}

fn close(a: &Array, b: &[f32]) {
    let a = a.data.f32s().unwrap();
    assert_eq!(a.len(), b.len());
    assert!(
        a.iter()
            .zip(b)
            .all(|(x, y)| (x - y).abs() <= 1e-6 * y.abs().max(1.0)),
        "{a:?} {b:?}"
    );
}

#[test]
fn tensor_functions() {
    let x = f32s(&[2, 2], &[1.0, -2.0, 0.5, 3.0]);
    let ty = "tensor<2x2xf32>";
    let same = |op: &str| unary(ty, &format!("tensor.{op} : {ty}"), x.clone());
    close(
        &same("exp(%0)"),
        &[1f32.exp(), (-2f32).exp(), 0.5f32.exp(), 3f32.exp()],
    );
    close(
        &same("erf(%0)"),
        &[0.842_700_8, -0.995_322_3, 0.520_499_9, 0.999_977_9],
    );
    close(
        &same("gelu(%0) {form = erf}"),
        &[0.841_344_7, -0.045_500_264, 0.345_731_23, 2.995_950_3],
    );
    close(
        &same("gelu(%0) {form = tanh}"),
        &[0.841_192, -0.045_402_306, 0.345_714, 2.996_362_6],
    );
    close(
        &same("softmax(%0)"),
        &[0.952_574_1, 0.047_425_873, 0.075_858_18, 0.924_141_8],
    );
    close(
        &same("transpose(%0) {perm = [1, 0]}"),
        &[1.0, 0.5, -2.0, 3.0],
    );
    let sum = unary(
        ty,
        "tensor.reduce(%0) {kind = sum, axis = 0} : tensor<1x2xf32>",
        x.clone(),
    );
    close(&sum, &[1.5, 1.0]);
    let max = unary(
        ty,
        "tensor.reduce(%0) {kind = max, axis = 1} : tensor<2x1xf32>",
        x.clone(),
    );
    close(&max, &[1.0, 3.0]);
    let slice = unary(
        ty,
        "tensor.slice(%0) {starts = [1, 0], sizes = [1, 2]} : tensor<1x2xf32>",
        x.clone(),
    );
    close(&slice, &[0.5, 3.0]);
    let gather = unary(
        ty,
        "tensor.gather(%0) {lanes = [1, 0, 1]} : tensor<2x3xf32>",
        x.clone(),
    );
    close(&gather, &[-2.0, 1.0, -2.0, 3.0, 0.5, 3.0]);
    let cast = unary(ty, "tensor.cast(%0) {elem = i8} : tensor<2x2xi8>", x);
    assert_eq!(cast.data, Data::I8(vec![1, -2, 0, 3]), "ties go to even");
}

#[test]
fn tensor_products_broadcast_over_batches() {
    let text = r#"module @m(%0 "a": tensor<2x1x2xf32>, %1 "b": tensor<2x3xf32>) {
        %2 = tensor.matmul(%0, %1) : tensor<2x1x3xf32>
        tensor.return(%2) {names = ["y"]}
    }"#;
    let a = f32s(&[2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
    let b = f32s(&[2, 3], &[1.0, 0.0, 2.0, 0.0, 1.0, 3.0]);
    close(
        &run(text, &[("a", a), ("b", b)]),
        &[1.0, 2.0, 8.0, 3.0, 4.0, 18.0],
    );
}

#[test]
fn tensor_layer_norm_and_quantisation() {
    let text = r#"module @m(%0 "x": tensor<1x2xf32>) {
        %1 = tensor.constant() {value = dense<2xf32>[2.0, 1.0]} : tensor<2xf32>
        %2 = tensor.layer_norm(%0, %1, %1) {eps = 0.0} : tensor<1x2xf32>
        %3 = tensor.constant() {value = dense<f32>[10.0]} : tensor<f32>
        %4 = tensor.quantize(%2, %3, %1) {elem = i8} : tensor<1x2xi8>
        %5 = tensor.dequantize(%4, %3) : tensor<1x2xf32>
        %6 = tensor.concat(%2, %5) {axis = 1} : tensor<1x4xf32>
        tensor.return(%6) {names = ["y"]}
    }"#;
    // (1, 3) normalises to (−1, 1); times gamma plus beta (0, 2); times 10 plus offset (2, 21).
    close(
        &run(text, &[("x", f32s(&[1, 2], &[1.0, 3.0]))]),
        &[0.0, 2.0, 20.0, 210.0],
    );
}

#[test]
fn stream_views() {
    let x: Vec<i8> = (0..12).collect();
    let of = |line: &str| {
        let text = format!(
            "module @m(%0 \"x\": stream<3x4xi8>) {{\n{line}\nstream.return(%1) {{names = [\"y\"]}}\n}}"
        );
        run(
            &text,
            &[("x", Array::new([3, 4], Data::I8(x.clone())).unwrap())],
        )
        .data
    };
    let rows = "%1 = stream.rows(%0) {start = 2, count = 2, step = -2} : stream<2x4xi8>";
    assert_eq!(of(rows), Data::I8(vec![8, 9, 10, 11, 0, 1, 2, 3]));
    let lanes = "%1 = stream.lanes(%0) {start = 1, count = 2} : stream<3x2xi8>";
    assert_eq!(of(lanes), Data::I8(vec![1, 2, 5, 6, 9, 10]));
    let window = "%1 = stream.window(%0) {start = 1, count = 2} : stream<3x4xi8>";
    assert_eq!(
        of(window),
        Data::I8(vec![0, 1, 2, 0, 0, 5, 6, 0, 0, 9, 10, 0])
    );
    let gather = "%1 = stream.gather(%0) {lanes = [3, 0, 3]} : stream<3x3xi8>";
    assert_eq!(of(gather), Data::I8(vec![3, 0, 3, 7, 4, 7, 11, 8, 11]));
    let heads = "%1 = stream.heads(%0) {heads = 2, tile = 4} : stream<2x3x2xi8>";
    assert_eq!(
        of(heads),
        Data::I8(vec![0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11])
    );
    let back = "%2 = stream.heads(%0) {heads = 2, tile = 4} : stream<2x3x2xi8>\n%1 = stream.merge(%2) {tile = 4} : stream<3x4xi8>";
    assert_eq!(of(back), Data::I8(x.clone()));
    let repeated = "%2 = stream.lanes(%0) {start = 1, count = 1} : stream<3x1xi8>\n%1 = stream.broadcast(%2) {lanes = 2} : stream<3x2xi8>";
    assert_eq!(of(repeated), Data::I8(vec![1, 1, 5, 5, 9, 9]));
    let turned = "%1 = stream.transpose(%0) : stream<4x3xi8>";
    assert_eq!(
        of(turned),
        Data::I8(vec![0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
    );
}

/// The highest byte carries the sign, so that the bytes add up to the number.
#[test]
fn bytes_of_numbers_add_up() {
    let numbers = [0, 1, -1, 258, -70_000, i32::MAX, i32::MIN, 0x0080_8080];
    let byte = |k: usize| {
        let elem = if k == 3 { "i8" } else { "u8" };
        let text = format!(
            "module @m(%0 \"x\": stream<2x4xi32>) {{\n%1 = stream.byte(%0) {{byte = {k}}} : stream<2x4x{elem}>\n\
             stream.return(%1) {{names = [\"y\"]}}\n}}"
        );
        let x = Array::new([2, 4], Data::I32(numbers.to_vec())).unwrap();
        match run(&text, &[("x", x)]).data {
            Data::U8(v) => v.into_iter().map(i64::from).collect::<Vec<_>>(),
            Data::I8(v) => v.into_iter().map(i64::from).collect(),
            other => panic!("{other:?}"),
        }
    };
    let planes = [byte(0), byte(1), byte(2), byte(3)];
    for (i, &number) in numbers.iter().enumerate() {
        let sum: i64 = (0..4).map(|k| planes[k][i] << (8 * k)).sum();
        assert_eq!(sum, i64::from(number));
    }
}

#[test]
fn what_is_bounded_stays_as_it_is() {
    let text = r#"module @m(%0 "x": tensor<1x2xf32>) {
        %1 = tensor.constant() {value = dense<1xf32>[4.0]} : tensor<1xf32>
        %2 = tensor.bounded(%0, %1) : tensor<1x2xf32>
        tensor.return(%2) {names = ["y"]}
    }"#;
    let x = [1.0, -30.0];
    close(&run(text, &[("x", f32s(&[1, 2], &x))]), &x);
}

#[test]
fn rows_of_a_pipeline_broadcast() {
    // [2, 2] heads and rows; one row per head; the same rows for each head.
    let text = r#"module @m(%0 "x": stream<2x2x1xi32>, %1 "h": stream<2x1x1xi32>, %2 "r": stream<2x1xi32>) {
        %8 = stream.pipeline(%0, %1, %2) {
        ^bb1(%3: stream<1xi32>, %4: stream<1xi32>, %5: stream<1xi32>):
          %6 = stream.alu(%3, %4) {op = add.mod, elem = i32} : stream<1xi32>
          %7 = stream.alu(%6, %5) {op = add.mod, elem = i32} : stream<1xi32>
          stream.yield(%7)
        } : stream<2x2x1xi32>
        stream.return(%8) {names = ["y"]}
    }"#;
    let ints = |shape: &[usize], v: &[i32]| Array::new(shape, Data::I32(v.to_vec())).unwrap();
    let inputs = [
        ("x", ints(&[2, 2, 1], &[1, 2, 3, 4])),
        ("h", ints(&[2, 1, 1], &[10, 20])),
        ("r", ints(&[2, 1], &[100, 200])),
    ];
    let y = run(text, &inputs).data;
    assert_eq!(y, Data::I32(vec![111, 212, 123, 224]));
}

#[test]
fn stream_passes_are_exact_and_windows_zero_the_other_lanes() {
    let text = r#"module @m(%0 "x": stream<1x3xu8>) {
        %1 = stream.constant() {value = dense<2x3xi8>[1, 2, 3, -128, 127, 1]} : stream<2x3xi8>
        %2 = stream.install(%1) : weights<3x2xi8>
        %3 = stream.pass(%0, %2) : stream<1x2xi32>
        %4 = stream.pass(%0, %2, %3) {start = 1, count = 2} : stream<1x2xi32>
        %5 = stream.concat(%3, %4) {axis = rows} : stream<2x2xi32>
        stream.return(%5) {names = ["y"]}
    }"#;
    let x = Array::new([1, 3], Data::U8(vec![255, 1, 2])).unwrap();
    assert_eq!(
        run(text, &[("x", x)]).data,
        Data::I32(vec![263, -32511, 263 + 8, -32511 + 129])
    );
}

#[test]
fn partial_sums_that_overflow_are_errors() {
    let text = r#"module @m(%0 "x": stream<1x1xi8>, %1 "p": stream<1x1xi32>) {
        %2 = stream.install(%0) : weights<1x1xi8>
        %3 = stream.pass(%0, %2, %1) : stream<1x1xi32>
        stream.return(%3) {names = ["y"]}
    }"#;
    let arrays = |p: i32| {
        let x = Array::new([1, 1], Data::I8(vec![1])).unwrap();
        inputs(&[
            ("x", x),
            ("p", Array::new([1, 1], Data::I32(vec![p])).unwrap()),
        ])
    };
    assert!(evaluate(&read(text), &arrays(i32::MAX - 1)).is_ok());
    let error = evaluate(&read(text), &arrays(i32::MAX))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("stream.pass: the partial sum overflows i32"),
        "{error}"
    );
    assert!(error.contains("t.tspc:3:14"), "{error}");
}

fn half(x: f32) -> u16 {
    tspc_num::convert(x.to_bits(), tspc_num::Type::F32, tspc_num::Type::F16) as u16
}

/// An fp16 pass rounds to fp32 after every 160 lanes, not in between and not only at the end.
#[test]
fn fp16_passes_round_after_160_lanes() {
    let text = |k: usize| {
        format!(
            r#"module @m(%0 "x": stream<1x{k}xf16>, %1 "w": stream<1x{k}xf16>) {{
            %2 = stream.install(%1) : weights<{k}x1xf16>
            %3 = stream.pass(%0, %2) : stream<1x1xf32>
            stream.return(%3) {{names = ["y"]}}
        }}"#
        )
    };
    let sum = |x: &[f32]| {
        let row = |v: Vec<u16>| Array::new([1, v.len()], Data::F16(v)).unwrap();
        let x = row(x.iter().map(|&v| half(v)).collect());
        let w = row(vec![half(1024.0); x.shape[1]]);
        let y = run(&text(x.shape[1]), &[("x", x), ("w", w)]);
        y.data.f32s().unwrap()[0]
    };
    // 2^24 + 1 + 1 in one install: the two ones survive together.
    let mut x = vec![0.0; 320];
    (x[0], x[1], x[2]) = (16384.0, 1.0 / 1024.0, 1.0 / 1024.0);
    assert_eq!(sum(&x), 16_777_218.0);
    // One in each install: 2^24 + 1 rounds to 2^24, and so does adding 1 to it.
    (x[2], x[160]) = (0.0, 1.0 / 1024.0);
    assert_eq!(sum(&x), 16_777_216.0);
}

#[test]
fn pipelines_broadcast_a_single_row() {
    let text = r#"module @m(%0 "x": stream<9x2xi32>, %1 "s": stream<1x2xf32>) {
        %2, %3 = stream.pipeline(%0, %1) {
        ^bb1(%4: stream<2xi32>, %5: stream<2xf32>):
          %6 = stream.alu(%4) {op = cvt, elem = f32} : stream<2xf32>
          %7 = stream.alu(%6, %5) {op = mul, elem = f32} : stream<2xf32>
          %8 = stream.alu(%7) {op = cvt, elem = i8} : stream<2xi8>
          stream.yield(%7, %8)
        } : stream<9x2xf32>, stream<9x2xi8>
        stream.return(%2, %3) {names = ["f", "y"]}
    }"#;
    let x = Array::new([9, 2], Data::I32((0..18).collect())).unwrap();
    let y = run(text, &[("x", x), ("s", f32s(&[1, 2], &[10.0, -100.0]))]);
    let want: Vec<i8> = (0..18).map(|i| if i % 2 == 0 { (10 * i).min(127) } else { (-100 * i).max(-128) } as i8).collect();
    assert_eq!(y.data, Data::I8(want));
}

/// The same 9×320 by 320×320 int8 product with a dequantising multiply, as a stream and as instructions.
#[test]
fn tsp_evaluates_as_stream() {
    let mut pool = ConstPool::default();
    let w: Vec<i8> = (0..320 * 320)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8 as i8)
        .collect();
    // Group i, stream s is column 16i + s: image s holds those columns as rows.
    let mut loads = String::new();
    for s in 0..16 {
        let rows: Vec<i8> = (0..20)
            .flat_map(|i| w[(16 * i + s) * 320..][..320].to_vec())
            .collect();
        let c = tspc_ir::ConstData::i8s(&[20, 320], &rows).unwrap();
        loads += &format!(
            "%{} = tsp.image() {{value = ref<20x320xi8, \"{}\">, byte = 0}} : mem<20xi8>\n%{} = tsp.read(%{0}) {{start = 0, step = 1, count = 20, interval = 1}} : seq<20xi8>\n",
            100 + s,
            c.hash().short(),
            200 + s,
        );
        pool.add(c);
    }
    let streams: Vec<String> = (200..216).map(|v| format!("%{v}")).collect();
    let mut writes = String::new();
    for b in 0..4 {
        writes += &format!(
            "%{} = tsp.write(%7) {{byte = {b}, start = 8, step = -1, words = 9}} : mem<9xi8>\n%{} = tsp.read(%{0}) {{start = 8, step = -1, count = 9, interval = 2}} : seq<9xi8>\n%{} = tsp.write(%{1}) {{byte = 0, start = 0, step = 1, words = 9}} : mem<9xi8>\ntsp.output(%{2}) {{name = \"y\", elem = f32, rows = 9, cols = 320, tile = 0, byte = {b}}}\n",
            300 + b,
            310 + b,
            320 + b,
        );
    }
    let tsp = format!(
        r#"module @t() {{
        %0 = tsp.input() {{name = "x", elem = i8, rows = 9, cols = 320, tile = 0, byte = 0}} : mem<9xi8>
        %1 = tsp.read(%0) {{start = 0, step = 1, count = 9, interval = 1}} : seq<9xi8>
        {loads}
        %2 = tsp.lw({}) {{group = 0, step = 1}} : weights<320x320xi8>
        %3 = tsp.iw(%2) {{groups = 20}} : weights<320x320xi8>
        %4 = tsp.act(%1, %3) : seq<9xi32>
        %5 = tsp.accumulate(%4) : seq<9xi32>
        %6 = tsp.alu(%5) {{op = cvt, elem = f32}} : seq<9xf32>
        %7 = tsp.alu(%6) {{op = mul, imm = 1008981770, elem = f32}} : seq<9xf32>
        {writes}
    }}"#,
        streams.join(", ")
    );
    let stream = r#"module @s(%0 "x": stream<9x320xi8>, %1 "w": stream<320x320xi8>) {
        %2 = stream.install(%1) : weights<320x320xi8>
        %3 = stream.pass(%0, %2) : stream<9x320xi32>
        %4 = stream.pipeline(%3) {
        ^bb1(%5: stream<320xi32>):
          %6 = stream.alu(%5) {op = cvt, elem = f32} : stream<320xf32>
          %7 = stream.alu(%6) {op = mul, imm = 1008981770, elem = f32} : stream<320xf32>
          stream.yield(%7)
        } : stream<9x320xf32>
        stream.return(%4) {names = ["y"]}
    }"#;
    let x = Array::new(
        [9, 320],
        Data::I8((0..2880).map(|i| (i * 7 % 256) as u8 as i8).collect()),
    )
    .unwrap();
    let w = Array::new([320, 320], Data::I8(w)).unwrap();
    let tsp = parse("t.tspc", &tsp, &pool).unwrap_or_else(|d| panic!("{d}"));
    let got = evaluate(&tsp, &inputs(&[("x", x.clone())])).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(got["y"], run(stream, &[("x", x), ("w", w)]));
}

/// An fp16 product of 320 lanes: one pass as a stream, two installs of 160 lanes with `acc` as instructions.
#[test]
fn tsp_evaluates_fp16_as_stream() {
    let mut random = 1u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        half((random >> 8) as f32 / (1 << 20) as f32 - 8.0)
    };
    let w: Vec<u16> = (0..320 * 320).map(|_| next()).collect();
    let x = Array::new([3, 320], Data::F16((0..960).map(|_| next()).collect())).unwrap();
    // Stream 2i+β of a load is byte β of column 8j+i; a word holds both K halves.
    let (mut pool, mut loads) = (ConstPool::default(), String::new());
    for i in 0..8 {
        let rows: Vec<u16> = (0..40)
            .flat_map(|j| w[(8 * j + i) * 320..][..320].to_vec())
            .collect();
        let bytes: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
        let c = tspc_ir::ConstData::new(&[40, 320], tspc_ir::Elem::F16, bytes).unwrap();
        for b in 0..2 {
            loads += &format!(
                "%{} = tsp.image() {{value = ref<40x320xf16, \"{}\">, byte = {b}}} : mem<40xi8>\n%{} = tsp.read(%{0}) {{start = 0, step = 1, count = 40, interval = 1}} : seq<40xi8>\n",
                100 + 2 * i + b,
                c.hash().short(),
                200 + 2 * i + b,
            );
        }
        pool.add(c);
    }
    let streams: Vec<String> = (200..216).map(|v| format!("%{v}")).collect();
    let mut io = [String::new(), String::new()];
    for b in 0..4 {
        if b < 2 {
            io[0] += &format!(
                "%{} = tsp.input() {{name = \"x\", elem = f16, rows = 3, cols = 320, tile = 0, byte = {b}}} : mem<3xi8>\n%{} = tsp.read(%{0}) {{start = 0, step = 1, count = 3, interval = 1}} : seq<3xi8>\n",
                10 + b,
                20 + b,
            );
        }
        io[1] += &format!(
            "%{} = tsp.write(%8) {{byte = {b}, start = 0, step = 1, words = 3}} : mem<3xi8>\ntsp.output(%{0}) {{name = \"y\", elem = f32, rows = 3, cols = 320, tile = 0, byte = {b}}}\n",
            30 + b,
        );
    }
    let mut passes = String::new();
    for p in 0..2 {
        let partial = if p == 0 { "" } else { ", %7" };
        passes += &format!(
            "%{} = tsp.lw({}) {{group = 0, step = 1, half = {p}}} : weights<160x320xf16>\n%{} = tsp.iw(%{0}) {{groups = 40}} : weights<160x320xf16>\n%{} = tsp.act(%1, %{2}) : seq<3xf32>\n%{} = tsp.accumulate(%{3}{partial}) : seq<3xf32>\n",
            40 + p,
            streams.join(", "),
            50 + p,
            60 + p,
            7 + p,
        );
    }
    let text = format!(
        "module @t() {{\n{loads}{}%1 = tsp.join(%20, %21) {{elem = f16}} : seq<3xf16>\n{passes}{}}}\n",
        io[0], io[1]
    );
    let stream = r#"module @s(%0 "x": stream<3x320xf16>, %1 "w": stream<320x320xf16>) {
        %2 = stream.install(%1) : weights<320x320xf16>
        %3 = stream.pass(%0, %2) : stream<3x320xf32>
        stream.return(%3) {names = ["y"]}
    }"#;
    let tsp = parse("t.tspc", &text, &pool).unwrap_or_else(|d| panic!("{d}"));
    let got = evaluate(&tsp, &inputs(&[("x", x.clone())])).unwrap_or_else(|d| panic!("{d}"));
    let want = run(
        stream,
        &[
            ("x", x.clone()),
            ("w", Array::new([320, 320], Data::F16(w.clone())).unwrap()),
        ],
    );
    assert_eq!(got["y"], want);
    // And both are what the chip's arithmetic says, lane by lane.
    let Data::F16(x) = &x.data else { panic!() };
    for (i, y) in want.data.f32s().unwrap().iter().enumerate() {
        let (row, column) = (&x[i / 320 * 320..][..320], &w[i % 320 * 320..][..320]);
        let low = tspc_num::dot_f16(&row[..160], &column[..160]);
        let high = tspc_num::dot_f16(&row[160..], &column[160..]);
        assert_eq!(y.to_bits(), tspc_num::acc_f32(high, low).to_bits());
    }
}

#[test]
fn tsp_writes_take_every_nth_vector_and_distributors_move_whole_elements() {
    // Lane 16s+j of the map is j+1, so lanes move down by one within a superlane; its last lane becomes 0.
    let map: Vec<i8> = (0..320).map(|l: i32| (l % 16 + 1) as i8).collect();
    let map = tspc_ir::ConstData::i8s(&[1, 320], &map).unwrap();
    let mut pool = ConstPool::default();
    let name = map.hash().short();
    pool.add(map);
    let mut text = format!(
        "module @t() {{\n%90 = tsp.image() {{value = ref<1x320xi8, \"{name}\">, byte = 0}} : mem<1xi8>\n\
         %91 = tsp.read(%90) {{start = 0, step = 0, count = 7, interval = 1}} : seq<7xi8>\n"
    );
    for b in 0..2 {
        text += &format!(
            "%{b} = tsp.input() {{name = \"x\", elem = i16, rows = 7, cols = 320, tile = 0, byte = {b}}} : mem<7xi8>\n\
             %1{b} = tsp.read(%{b}) {{start = 0, step = 1, count = 7, interval = 1}} : seq<7xi8>\n"
        );
    }
    text += "%20 = tsp.join(%10, %11) {elem = i16} : seq<7xi16>\n\
             %22, %21 = tsp.distribute(%91, %10, %20) : seq<7xi8>, seq<7xi16>\n";
    for b in 0..2 {
        text += &format!(
            "%3{b} = tsp.write(%21) {{byte = {b}, start = 1, step = -1, words = 2, first = 1, interval = 3, count = 2}} : mem<2xi8>\n\
             tsp.output(%3{b}) {{name = \"y\", elem = i16, rows = 2, cols = 320, tile = 0, byte = {b}}}\n"
        );
    }
    let module = parse("t.tspc", &(text + "}\n"), &pool).unwrap_or_else(|d| panic!("{d}"));
    let x: Vec<i16> = (0..7 * 320).map(|i| (i * 37 - 3000) as i16).collect();
    let want: Vec<i16> = [4, 1]
        .iter()
        .flat_map(|row| (0..320).map(move |l| (row, l)))
        .map(|(row, l)| {
            if l % 16 == 15 {
                0
            } else {
                x[row * 320 + l + 1]
            }
        })
        .collect();
    let x = Array::new([7, 320], Data::I16(x.clone())).unwrap();
    let got = evaluate(&module, &inputs(&[("x", x)])).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(got["y"].data, Data::I16(want));
}

#[test]
fn tsp_errors_name_the_op() {
    let fails = |lines: &str| {
        let module = read(&format!(
            "module @m() {{\n{}{lines}\n}}\n",
            &tspc_ir::ops::prelude(tspc_ir::Dialect::Tsp)[3..]
        ));
        evaluate(&module, &Arrays::new()).unwrap_err().to_string()
    };
    let unwritten = "%5 = tsp.write(%1) {byte = 0, start = 0, step = 1, words = 21} : mem<21xi8>\n\
        %6 = tsp.read(%5) {start = 20, step = 0, count = 1, interval = 1} : seq<1xi8>";
    assert!(
        fails(unwritten).contains("tsp.read: word 20 was never written"),
        "{}",
        fails(unwritten)
    );
    let part = "tsp.output(%0) {name = \"y\", elem = i16, rows = 1, cols = 2, tile = 0, byte = 0}";
    assert!(fails(part).contains("element (0, 0) of output y is never written"));
    let twice = format!("{part}\n{part}");
    assert!(fails(&twice).contains("column 0 of output y arrives twice"));
    let map = "%5 = tsp.permute(%1, %1, %1) : seq<20xi8>";
    assert!(fails(map).contains("the map is no bijection"));
    let loads = "%5 = tsp.read(%0) {start = 0, step = 0, count = 19, interval = 1} : seq<19xi8>\n\
        %6 = tsp.lw(%5, %5, %5, %5, %5, %5, %5, %5, %5, %5, %5, %5, %5, %5, %5, %5) {group = 0, step = 1} : weights<320x320xi8>\n\
        %7 = tsp.iw(%6) {groups = 20} : weights<320x320xi8>";
    assert!(fails(loads).contains("group 19 is not loaded"));
}

#[test]
fn inputs_are_checked() {
    let module = read("module @m(%0 \"x\": tensor<2xf32>) {\n}\n");
    let error = |arrays: &[(&str, Array)]| evaluate(&module, &inputs(arrays)).unwrap_err().message;
    assert_eq!(error(&[]), "input x is missing");
    assert_eq!(
        error(&[("x", f32s(&[1], &[1.0]))]),
        "input x is [1] of f32, should be tensor<2xf32>"
    );
}

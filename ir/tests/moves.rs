//! What ops that move bytes mean, lane by lane, and element functions at their edges.

use tspc_ir::ConstPool;
use tspc_ir::eval::{Array, Arrays, Data, evaluate};
use tspc_ir::text::parse;

fn bytes(rows: usize, f: impl Fn(usize, usize) -> u8) -> Array {
    let all = (0..rows).flat_map(|r| (0..320).map(move |l| (r, l)));
    let all = all.map(|(r, l)| f(r, l) as i8).collect();
    Array::new([rows, 320], Data::I8(all)).unwrap()
}

/// Inputs `names` of so many rows, read as `%20`, `%21`, …; `lines`; then `%9` is a buffer of `out` words.
fn tsp(names: &[(&str, usize)], lines: &str, out: usize, arrays: &Arrays) -> Result<Data, String> {
    let mut text = "module @t() {\n".to_string();
    for (i, (name, rows)) in names.iter().enumerate() {
        text += &format!(
            "%{} = tsp.input() {{name = \"{name}\", elem = i8, rows = {rows}, cols = 320, tile = 0, byte = 0}} : mem<{rows}xi8>\n\
             %2{i} = tsp.read(%{0}) {{start = 0, step = 1, count = {rows}, interval = 1}} : seq<{rows}xi8>\n",
            100 + i
        );
    }
    text += lines;
    text += &format!(
        "\ntsp.output(%9) {{name = \"y\", elem = i8, rows = {out}, cols = 320, tile = 0, byte = 0}}\n}}\n"
    );
    let module = parse("t", &text, &ConstPool::default()).unwrap_or_else(|d| panic!("{d}\n{text}"));
    let mut all = evaluate(&module, arrays).map_err(|d| d.message)?;
    Ok(all.remove("y").unwrap().data)
}

fn named(arrays: &[(&str, &Array)]) -> Arrays {
    let pair = |(n, a): &(&str, &Array)| (n.to_string(), (*a).clone());
    arrays.iter().map(pair).collect()
}

/// Superlane k's word number, little-endian in its first two lanes; the other lanes are ignored.
fn map(word: impl Fn(usize) -> u8) -> Array {
    bytes(1, |_, l| match l % 16 {
        0 => word(l / 16),
        1 => 0,
        _ => 0xAA,
    })
}

#[test]
fn gather_reads_a_word_per_superlane() {
    let x = bytes(3, |r, l| (r * 80 + l % 80) as u8);
    let lines = "%3 = tsp.gather(%100, %21) : seq<1xi8>\n\
         %9 = tsp.write(%3) {byte = 0, start = 0, step = 1, words = 1} : mem<1xi8>";
    let rows = [("x", 3), ("map", 1)];
    let want = bytes(1, |_, l| ((l / 16 % 3) * 80 + l % 80) as u8);
    let got = tsp(
        &rows,
        lines,
        1,
        &named(&[("x", &x), ("map", &map(|k| k as u8 % 3))]),
    );
    assert_eq!(got, Ok(want.data));
    let beyond = tsp(&rows, lines, 1, &named(&[("x", &x), ("map", &map(|_| 3))]));
    assert!(beyond.unwrap_err().contains("no word 3"));
}

#[test]
fn scatter_writes_a_word_per_superlane() {
    let x = bytes(2, |r, l| (r * 100 + l % 100) as u8);
    let lines = "%30 = tsp.read(%100) {start = 1, step = 1, count = 1, interval = 1} : seq<1xi8>\n\
         %3 = tsp.scatter(%30, %21) {byte = 0, words = 2} : mem<2xi8>\n\
         %9 = tsp.scatter(%30, %22, %3) {byte = 0, words = 2} : mem<2xi8>";
    let rows = [("x", 2), ("a", 1), ("b", 1)];
    let odd = |k: usize| (k % 2) as u8;
    let (a, b) = (map(odd), map(|k| 1 - odd(k)));
    // The second row of x, whole in both words: each superlane of a word was written once.
    let got = tsp(&rows, lines, 2, &named(&[("x", &x), ("a", &a), ("b", &b)]));
    assert_eq!(got, Ok(bytes(2, |_, l| (100 + l % 100) as u8).data));
    let half = tsp(&rows, lines, 2, &named(&[("x", &x), ("a", &a), ("b", &a)]));
    assert!(half.unwrap_err().contains("never written"));
}

#[test]
fn split_takes_one_byte_of_a_group() {
    let (low, high) = (
        bytes(2, |r, l| (r + l) as u8),
        bytes(2, |r, l| (2 * r + 3 * l) as u8),
    );
    for (byte, want) in [(0, &low), (1, &high)] {
        let lines = format!(
            "%3 = tsp.join(%20, %21) {{elem = i16}} : seq<2xi16>\n\
             %4 = tsp.split(%3) {{byte = {byte}}} : seq<2xi8>\n\
             %9 = tsp.write(%4) {{byte = 0, start = 0, step = 1, words = 2}} : mem<2xi8>"
        );
        let got = tsp(
            &[("a", 2), ("b", 2)],
            &lines,
            2,
            &named(&[("a", &low), ("b", &high)]),
        );
        assert_eq!(got.as_ref(), Ok(&want.data));
    }
}

#[test]
fn concat_puts_sequences_one_after_another() {
    let (first, then) = (
        bytes(2, |r, l| (r + l) as u8),
        bytes(1, |_, l| (7 * l) as u8),
    );
    let lines = "%3 = tsp.concat(%20, %21) : seq<3xi8>\n\
                 %9 = tsp.write(%3) {byte = 0, start = 0, step = 1, words = 3} : mem<3xi8>";
    let got = tsp(
        &[("a", 2), ("b", 1)],
        lines,
        3,
        &named(&[("a", &first), ("b", &then)]),
    );
    let want = bytes(3, |r, l| if r < 2 { (r + l) as u8 } else { (7 * l) as u8 });
    assert_eq!(got.as_ref(), Ok(&want.data));
}

#[test]
fn transpose_swaps_streams_and_lanes_of_a_superlane() {
    // Sixteen streams are sixteen words of one input.
    let x = bytes(16, |r, l| (16 * r + l % 16) as u8 ^ (l / 16) as u8);
    let mut lines = String::new();
    for i in 0..16 {
        lines += &format!(
            "%{} = tsp.read(%100) {{start = {i}, step = 0, count = 1, interval = 1}} : seq<1xi8>\n",
            200 + i
        );
    }
    let list = |first: usize| -> String {
        let all: Vec<String> = (first..first + 16).map(|v| format!("%{v}")).collect();
        all.join(", ")
    };
    lines += &format!(
        "{} = tsp.transpose({}) : {}\n\
         %9 = tsp.write(%305) {{byte = 0, start = 0, step = 1, words = 1}} : mem<1xi8>",
        list(300),
        list(200),
        ["seq<1xi8>"; 16].join(", ")
    );
    let got = tsp(&[("x", 16)], &lines, 1, &named(&[("x", &x)]));
    let want = bytes(1, |_, l| (16 * (l % 16) + 5) as u8 ^ (l / 16) as u8);
    assert_eq!(got, Ok(want.data));
}

#[test]
fn element_functions_at_their_edges() {
    let (inf, nan) = (f32::INFINITY, f32::from_bits(0x7FC0_0000));
    let cases: [(&str, &[f32], &[f32]); 4] = [
        ("tensor.max(%0, %1)", &[-0.0, 2.0, nan], &[0.0, 2.0, nan]),
        ("tensor.min(%0, %1)", &[-0.0, 2.0, nan], &[-0.0, 1.0, nan]),
        ("tensor.rsqrt(%0)", &[-0.0, 4.0, -1.0], &[-inf, 0.5, nan]),
        ("tensor.erf(%0)", &[-0.0, 9.0, -inf], &[-0.0, 1.0, -1.0]),
    ];
    for (op, x, want) in cases {
        let text = format!(
            "module @m(%0 \"x\": tensor<3xf32>, %1 \"z\": tensor<3xf32>) {{\n\
             %2 = {op} : tensor<3xf32>\ntensor.return(%2) {{names = [\"y\"]}}\n}}\n"
        );
        let module = parse("t", &text, &ConstPool::default()).unwrap_or_else(|d| panic!("{d}"));
        let array = |x: &[f32]| Array::f32s([3], x.to_vec()).unwrap();
        let all = named(&[("x", &array(x)), ("z", &array(&[0.0, 1.0, 1.0]))]);
        let got = evaluate(&module, &all).unwrap_or_else(|d| panic!("{d}"));
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(got["y"].data.f32s().unwrap()), bits(want), "{op}");
    }
}

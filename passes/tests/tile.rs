//! Tiling keeps every bit: modules are evaluated before and after, and the tiled ones have the form that code
//! generation takes.

mod encoder;
mod streams;

use encoder::{calibrated, inputs, quantised, streamed};
use streams::{Alu, Net, tiled_alike};
use tspc_frontend_bert::Model;
use tspc_ir::Elem::{F16, F32, I8, I32};
use tspc_ir::{Attr, Elem, Module, Opcode, Value};

fn count(module: &Module, opcode: Opcode) -> usize {
    let ops = module.body_ops().iter();
    ops.filter(|&&op| module[op].opcode == opcode).count()
}

/// An input of this many heads, rows, lanes of a head, computed and with its heads side by side.
fn packed(t: &mut Net, name: &str, shape: [usize; 3], tile: usize, elem: Elem) -> Value {
    let x = t.input(name, shape[1], shape[0] * shape[2], elem);
    let x = t.convert(x, elem);
    t.heads(x, shape[0], tile)
}

#[test]
fn linear_layers_of_odd_sizes() {
    for (rows, k, n) in [
        (1, 1, 1),
        (5, 320, 320),
        (3, 321, 641),
        (7, 768, 333),
        (2, 1000, 16),
    ] {
        for elem in [I8, F16] {
            let mut t = Net::new((rows * k * n) as u64);
            let x = t.input("x", rows, k, elem);
            let w = t.constant(&[n, k], elem);
            let y = t.pass(x, w, None);
            let z = t.pass(x, w, Some(y));
            let installed = t.op(Opcode::StreamInstall, &[w], &[]);
            let window = [
                ("start", Attr::Int(k as i64 / 3)),
                ("count", Attr::Int(k as i64 / 2 + 1)),
            ];
            let part = t.op(Opcode::StreamPass, &[x, installed], &window);
            let module = t.tiled_alike(&[y, z, part]);
            let tiles = k.div_ceil(320) * n.div_ceil(320);
            assert_eq!(
                count(&module, Opcode::StreamInstall),
                tiles,
                "each tile once"
            );
        }
    }
}

#[test]
fn row_statistics_are_repeated_for_wider_rows() {
    for (rows, h) in [(4, 768), (9, 384), (1, 1024), (2, 200)] {
        let mut t = Net::new(h as u64);
        let x = t.input("x", rows, h, F32);
        let half = t.convert(x, F16);
        let ones = t.ones(&[320, h], F16);
        let sum = t.pass(half, ones, None);
        let mean = t.pipeline(&[sum], &[("mul", &[0], Some(1.0 / h as f32), F32)], &[1])[0];
        let mut parts = vec![mean; h / 320];
        if h % 320 > 0 {
            parts.push(t.lanes(mean, 0, h % 320));
        }
        let wide = t.concat(&parts, "lanes");
        let gamma = t.constant(&[1, h], F32);
        let ops: &[Alu] = &[("sub", &[0, 1], None, F32), ("mul", &[3, 2], None, F32)];
        let y = t.pipeline(&[x, wide, gamma], ops, &[4])[0];
        t.tiled_alike(&[y, wide]);
    }
}

#[test]
fn views_of_inputs_and_constants_are_cut_anywhere() {
    let mut t = Net::new(1);
    let (x, s) = (t.input("x", 9, 700, F32), t.input("s", 9, 1, F32));
    let c = t.constant(&[4, 500], F32);
    let some = t.rows(x, 8, 4, -2);
    let some = t.lanes(some, 33, 500);
    let shown = t.rows(s, 1, 8, 1);
    let shown = t.broadcast(shown, 600);
    let shown = t.rows(shown, 0, 4, 2);
    let shown = t.lanes(shown, 50, 500);
    let back = t.rows(c, 3, 4, -1);
    let ops: &[Alu] = &[("mul", &[0, 1], None, F32), ("add", &[3, 2], None, F32)];
    let y = t.pipeline(&[some, shown, back], ops, &[4])[0];
    let first = t.rows(y, 2, 3, 0);
    let wide = t.concat(&[first, first], "lanes");
    t.tiled_alike(&[y, first, wide]);
}

#[test]
fn the_host_fills_lanes_of_inputs_as_often_as_they_are_named() {
    let mut t = Net::new(3);
    let x = t.input("x", 6, 500, F32);
    let lanes: Vec<usize> = (0..500).chain((0..200).map(|i| i * i % 500)).collect();
    let wide = t.gather(x, &lanes);
    let all = t.convert(wide, I8);
    let rows = t.rows(wide, 5, 3, -2);
    let some = t.lanes(rows, 30, 600);
    let some = t.convert(some, I8);
    let plain = t.convert(x, I8);
    let tiled = t.tiled_alike(&[all, some, plain]);
    // 700 lanes of three tiles, and 600 from another lane on of two.
    assert_eq!(count(&tiled, Opcode::StreamGather), 5);
}

#[test]
fn flat_transposes_and_computed_weights() {
    for (rows, lanes, elem) in [(5, 700, I8), (330, 40, I8), (400, 350, F16), (48, 20, I8)] {
        let mut t = Net::new(lanes as u64);
        let x = t.input("x", rows, lanes, elem);
        let x = t.convert(x, elem);
        let y = t.transpose(x);
        let (gram, outer) = (t.pass(x, x, None), t.pass(y, y, None));
        let mut outputs = vec![y, gram, outer];
        if rows % 16 == 0 {
            let twice = t.concat(&[x, x], "rows");
            outputs.push(t.pass(x, twice, None));
        }
        t.tiled_alike(&outputs);
    }
}

/// Rows, heads, lanes of a head.
const GEOMETRIES: [(usize, usize, usize); 12] = [
    (7, 2, 16),
    (16, 3, 64),
    (40, 12, 32),
    (33, 4, 48),
    (20, 2, 112),
    (12, 1, 336),
    (9, 2, 336),
    (330, 2, 32),
    (128, 7, 64),
    (64, 4, 112),
    (80, 9, 32),
    (96, 5, 48),
];

#[test]
fn attention_in_int8() {
    for (rows, heads, lanes) in GEOMETRIES {
        attention(rows, heads, lanes, I8, 320);
    }
}

#[test]
fn attention_in_fp16() {
    for (rows, heads, lanes) in GEOMETRIES {
        attention(rows, heads, lanes, F16, 160);
    }
    attention(5, 3, 8, F16, 160);
}

/// An attention block as it is written for the chip: scores transposed, with keys along the rows, division at the end.
fn attention(rows: usize, heads: usize, lanes: usize, elem: Elem, tile: usize) -> Module {
    let mut t = Net::new((rows * heads * lanes) as u64);
    let h = heads * lanes;
    let int8 = elem == I8;
    let to_f32 = if int8 { "cvt" } else { "copy" };
    let [q, k, v] =
        ["q", "k", "v"].map(|name| packed(&mut t, name, [heads, rows, lanes], tile, elem));
    let mask = t.input("mask", rows, 1, F32);
    let mask = t.broadcast(mask, rows);
    let products = t.pass(k, q, None);
    let scale = t.constant_f32(&[heads, 1, rows], if int8 { 1e-4 } else { 0.05 });
    let ops: &[Alu] = &[
        (to_f32, &[0], None, F32),
        ("mul", &[3, 1], None, F32),
        ("add", &[4, 2], None, F32),
    ];
    let scores = t.pipeline(&[products, scale, mask], ops, &[5])[0];
    let (mut most, mut n) = (scores, rows);
    while n > 1 {
        let half = n.div_ceil(2);
        let (a, b) = (t.rows(most, 0, half, 1), t.rows(most, n - half, half, 1));
        most = t.pipeline(&[a, b], &[("max", &[0, 1], None, F32)], &[2])[0];
        n = half;
    }
    let ops: &[Alu] = &[
        ("sub", &[0, 1], None, F32),
        ("exp", &[2], None, F32),
        ("mul", &[3], Some(if int8 { 127.0 } else { 1.0 }), F32),
        ("cvt", &[4], None, elem),
    ];
    let e = t.pipeline(&[scores, most], ops, &[5])[0];
    let (p, vt) = (t.transpose(e), t.transpose(v));
    let ones = t.ones(&[heads, lanes, rows], elem);
    let (c, sums) = (t.pass(p, vt, None), t.pass(p, ones, None));
    let gain = t.constant_f32(&[heads, 1, lanes], 1.0);
    let shift = t.input("shift", rows, 1, F32);
    let shift = t.broadcast(shift, lanes);
    let ops: &[Alu] = &[
        (to_f32, &[0], None, F32),
        (to_f32, &[1], None, F32),
        ("rsqrt", &[5], None, F32),
        ("mul", &[4, 6], None, F32),
        ("mul", &[7, 6], None, F32),
        ("mul", &[8, 2], None, F32),
        ("add", &[9, 3], None, F32),
        ("cvt", &[10], None, elem),
    ];
    let both = t.pipeline(&[c, sums, gain, shift], ops, &[10, 11]);
    let [exact, rounded] = [both[0], both[1]].map(|x| t.merge(x, tile));
    let w = t.constant(&[h + 5, h], elem);
    // K is split where the tiles are: an fp16 sum over all of it would be rounded elsewhere.
    let tiles = match tile / lanes {
        0 => heads,
        most => heads.div_ceil(most),
    };
    let (mut start, mut y) = (0, None);
    for i in 0..tiles {
        let n = (heads / tiles + usize::from(i < heads % tiles)) * lanes;
        let (x, w) = (t.lanes(rounded, start, n), t.lanes(w, start, n));
        y = Some(t.pass(x, w, y));
        start += n;
    }
    t.tiled_alike(&[exact, y.unwrap()])
}

#[test]
fn constants_and_rows_meet_heads() {
    // Heads wider than a tile, in weights; the result's heads side by side.
    let mut t = Net::new(11);
    let (w, x) = (
        packed(&mut t, "w", [2, 16, 336], 320, I8),
        t.constant(&[2, 5, 336], I8),
    );
    let y = t.pass(x, w, None);
    let sums = t.merge(y, 320);
    // Heads one under another, as activations and in pipelines; a partial sum.
    let v = packed(&mut t, "v", [3, 20, 16], 320, I8);
    let (vt, w) = (t.transpose(v), t.constant(&[3, 32, 20], I8));
    let copy = t.convert(vt, I8);
    let tail = t.rows(vt, 15, 16, -1);
    let y = t.pass(vt, w, None);
    let y = t.pass(copy, w, Some(y));
    let y = t.pass(tail, w, Some(y));
    let products = t.merge(y, 320);
    t.tiled_alike(&[sums, products]);
}

#[test]
fn what_has_no_heads_is_the_same_for_all() {
    let mut t = Net::new(12);
    let q = packed(&mut t, "q", [2, 32, 16], 320, I8);
    let k = packed(&mut t, "k", [2, 6, 16], 320, I8);
    let flat = t.input("flat", 6, 32, I8);
    let flat = t.convert(flat, I8);
    // This value is cut for two heads, but meets the scores as one that has none.
    let one = t.heads(flat, 2, 320);
    let row = t.constant(&[1, 64], F32);
    let row = t.heads(row, 2, 7);
    let scores = t.pass(k, q, None);
    let ops: &[Alu] = &[
        ("cvt", &[0], None, F32),
        ("cvt", &[1], None, F32),
        ("add", &[3, 4], None, F32),
        ("add", &[5, 2], None, F32),
        ("cvt", &[6], None, I8),
    ];
    let sum = t.pipeline(&[scores, flat, row], ops, &[7])[0];
    let w = t.constant(&[2, 16, 32], I8);
    let y = t.pass(sum, w, None);
    let gain = t.constant(&[1, 32], F32);
    let gain = t.heads(gain, 2, 160);
    let ops: &[Alu] = &[("cvt", &[0], None, F32), ("mul", &[2, 1], None, F32)];
    let y = t.pipeline(&[y, gain], ops, &[3])[0];
    let outputs = [one, y].map(|x| t.merge(x, 320));
    t.tiled_alike(&outputs);
}

#[test]
fn heads_of_a_tile_share_its_install() {
    let mut t = Net::new(3);
    let [q, k] = ["q", "k"].map(|name| packed(&mut t, name, [12, 8, 64], 320, I8));
    t.pass(k, q, None);
    let merged = t.merge(q, 320);
    let module = t.tiled_alike(&[merged]);
    assert_eq!(
        count(&module, Opcode::StreamInstall),
        3,
        "four heads a tile"
    );
    assert_eq!(count(&module, Opcode::StreamPass), 12);
    let ops = module.body_ops().iter().map(|&op| &module[op]);
    let passes: Vec<_> = ops.filter(|d| d.opcode == Opcode::StreamPass).collect();
    let window = |i: usize| (passes[i].attrs.int("start"), passes[i].attrs.int("count"));
    assert_eq!(
        window(6),
        (Ok(128), Ok(64)),
        "the seventh head is the third of its tile"
    );
    assert_eq!(module.ty(passes[6].operands[0]).last(), 256);
}

#[test]
fn heads_share_the_passes_of_attention() {
    // Passes of scores, P, V, context, row sums and the layer after; how many see a window, and windows of installs.
    for (elem, rows, passes, windows, installed) in [
        (I8, 128, [6, 6, 6, 6, 6, 9], 0, 48),
        (I8, 64, [3, 3, 3, 3, 3, 9], 0, 48),
        // No packed columns: the sums would travel longer than the rows stream.
        (I8, 48, [12, 2, 4, 4, 4, 9], 12, 24),
        (I8, 72, [12, 12, 3, 12, 12, 9], 12, 0),
        (F16, 64, [6, 6, 6, 6, 6, 18], 0, 48),
        (F16, 80, [6, 6, 6, 6, 6, 18], 0, 48),
        (F16, 128, [12, 12, 6, 12, 12, 18], 12, 0),
    ] {
        let tile = if elem == I8 { 320 } else { 160 };
        let module = attention(rows, 12, 64, elem, tile);
        let ops = module.body_ops().iter().map(|&op| &module[op]);
        let shown = count(&module, Opcode::StreamWindow);
        let made = ops.filter(|d| d.opcode == Opcode::StreamPass);
        let seen = made.clone().filter(|d| d.attrs.has("start")).count();
        let all: usize = passes.iter().sum();
        assert_eq!(
            (made.count(), seen, shown),
            (all, windows, installed),
            "{rows} rows of {}",
            elem.name()
        );
    }
}

#[test]
fn heads_of_a_transpose_side_by_side() {
    for (keys, elem) in [(48, I8), (150, I8), (40, F16)] {
        let mut t = Net::new(keys as u64);
        let tile = if elem == F16 { 160 } else { 320 };
        let [q, k] = ["q", "k"].map(|name| packed(&mut t, name, [3, keys, 16], tile, elem));
        let products = t.pass(k, q, None);
        let narrow = t.convert(products, elem);
        let y = t.transpose(narrow);
        let ones = t.ones(&[3, 32, keys], elem);
        let sums = t.pass(y, ones, None);
        let turned = t.transpose(k);
        let mut outputs = vec![t.merge(sums, tile)];
        if keys % 16 == 0 {
            // Both ways side by side.
            outputs.push(t.merge(turned, 3 * keys));
        }
        if keys == 48 {
            // Asked for, in other tiles than it would have.
            outputs.push(t.merge(y, 96));
        } else {
            // Of the weights, one user wants the heads apart.
            let v = packed(&mut t, "v", [3, keys, 32], tile, elem);
            let (vt, x) = (t.transpose(v), t.constant(&[3, 5, keys], elem));
            for x in [x, y] {
                let products = t.pass(x, vt, None);
                outputs.push(t.merge(products, tile));
            }
        }
        t.tiled_alike(&outputs);
    }
}

#[test]
fn a_head_that_fills_its_tile_needs_no_window() {
    let module = attention(5, 2, 336, I8, 320);
    let ops = module.body_ops().iter().map(|&op| &module[op]);
    assert!(ops.clone().any(|d| d.opcode == Opcode::StreamPass));
    assert!(
        ops.clone()
            .all(|d| d.opcode != Opcode::StreamPass || !d.attrs.has("start"))
    );
}

#[test]
fn random_modules() {
    for seed in 0..40 {
        let mut t = Net::new(seed);
        let rows = 1 + t.below(6);
        let mut pool: Vec<Value> = Vec::new();
        for (name, elem) in [("a", F32), ("b", I8), ("c", F16)] {
            let lanes = 1 + t.below(900);
            pool.push(t.input(name, rows, lanes, elem));
        }
        for _ in 0..12 {
            let at = t.below(pool.len());
            let x = pool[at];
            let y = random_op(&mut t, x);
            pool.push(y);
        }
        t.tiled_alike(&pool[3..]);
    }
}

/// Some op of x: products need small types and the others do not care.
fn random_op(t: &mut Net, x: Value) -> Value {
    let ty = t.b.ty(x).clone();
    let (rows, lanes) = (ty.shape[0], ty.last());
    match (ty.elem, t.below(5)) {
        (I8 | F16, 0 | 1) => {
            let n = 1 + t.below(700);
            let w = t.constant(&[n, lanes], ty.elem);
            t.pass(x, w, None)
        }
        (I8 | F16, 2) => {
            let weights = t.convert(x, ty.elem);
            t.pass(x, weights, None)
        }
        (_, 2) => t.rows(x, rows - 1, rows, -1),
        (_, 3) => {
            let start = t.below(lanes.div_ceil(320)) * 320;
            let n = 1 + t.below(lanes - start);
            t.lanes(x, start, n)
        }
        (F32, 4) => {
            let c = t.constant(&[1, lanes], F32);
            let sum: &[Alu] = &[("mul", &[0, 1], None, F32), ("add", &[2, 0], None, F32)];
            t.pipeline(&[x, c], sum, &[3])[0]
        }
        (F32, n) => t.convert(x, if n == 0 { I8 } else { F16 }),
        _ => t.convert(x, F32),
    }
}

/// What the e-graph makes of encoders.
#[test]
fn encoders() {
    for (spec, seed) in [
        ("L=1,H=32,heads=2,ffn=64,vocab=40,max_positions=32", 1),
        ("L=1,H=384,heads=8,ffn=400,vocab=40,max_positions=32", 2),
        ("L=2,H=336,heads=1,ffn=700,vocab=40,max_positions=32", 3),
        ("L=1,H=768,heads=12,ffn=96,vocab=40,max_positions=32", 4),
    ] {
        let model = Model::open(spec, seed).unwrap();
        let ids = |n: u32| (0..n).map(|i| (11 + 7 * i) % 40).collect::<Vec<u32>>();
        let ranges = calibrated(&model, &[ids(3), ids(9)]);
        for (tokens, len) in [(1, 1), (5, 9), (20, 20)] {
            let inputs = inputs(&model, &ids(tokens), len);
            for precision in [
                "int8",
                "int8,attention=fp16",
                "int8,intermediate=fp16",
                "fp16",
            ] {
                let pipeline = format!("canonicalise,quantise{{precision={precision}}},egraph");
                let module = quantised(&model, len, Some(&ranges), &pipeline);
                tiled_alike(&module, &streamed(&module, &inputs));
            }
        }
    }
}

#[test]
fn tiling_is_deterministic() {
    let print = || tspc_ir::text::print(&attention(7, 2, 16, I8, 320));
    assert_eq!(print(), print());
}

/// Builds a module; its outputs.
type Build = fn(&mut Net) -> Vec<Value>;

#[test]
fn what_cannot_be_tiled_is_refused() {
    let cases: [(&str, Build); 19] = [
        (
            "stream.byte: expected a value that a pipeline or pass makes",
            |t| {
                let x = t.input("x", 4, 8, I32);
                let byte = t.op(Opcode::StreamByte, &[x], &[("byte", Attr::Int(3))]);
                let w = t.constant(&[2, 8], I8);
                vec![t.pass(byte, w, None)]
            },
        ),
        (
            "stream.pass: an input cannot be installed; pass it through a pipeline first",
            |t| {
                let x = t.input("x", 4, 8, I8);
                vec![t.pass(x, x, None)]
            },
        ),
        ("stream.transpose: an input cannot be installed", |t| {
            let x = t.input("x", 4, 8, I8);
            vec![t.transpose(x)]
        }),
        (
            "stream.transpose: only i8 and f16 can be transposed, not f32",
            |t| {
                let x = t.input("x", 4, 8, F32);
                vec![t.transpose(x)]
            },
        ),
        (
            "stream.gather: expected an input, whose lanes the host fills",
            |t| {
                let x = t.input("x", 4, 8, F32);
                let x = t.convert(x, I8);
                vec![t.gather(x, &[7, 0])]
            },
        ),
        (
            "stream.broadcast: expected an input of one lane, or a constant",
            |t| {
                let x = t.input("x", 4, 1, F32);
                let x = t.convert(x, I8);
                vec![t.broadcast(x, 7)]
            },
        ),
        (
            "stream.lanes: lanes 100..500 begin inside the tile 0..320",
            |t| {
                let x = t.input("x", 4, 700, F32);
                let x = t.convert(x, I8);
                vec![t.lanes(x, 100, 400)]
            },
        ),
        (
            "stream.pass: fp16 sums are rounded after every 160 K lanes, but lanes 96..192 of",
            |t| {
                let x = packed(t, "x", [4, 5, 48], 160, F16);
                let x = t.merge(x, 160);
                let w = t.constant(&[3, 192], F16);
                vec![t.pass(x, w, None)]
            },
        ),
        (
            "stream.pass: fp16 sums are rounded after every 160 K lanes, but lanes 100..150 of",
            |t| {
                let x = packed(t, "x", [3, 5, 50], 100, F16);
                let x = t.merge(x, 100);
                let w = t.constant(&[3, 150], F16);
                vec![t.pass(x, w, None)]
            },
        ),
        ("lanes 0..64 of %4 lie from lane 128 of a tile on", |t| {
            let x = packed(t, "x", [5, 5, 64], 320, F16);
            t.pass(x, x, None);
            vec![t.merge(x, 320)]
        }),
        (
            "stream.pass: 4 weight columns before others, expected a multiple of 8",
            |t| {
                let v = packed(t, "v", [2, 5, 4], 160, F16);
                let (vt, p) = (t.transpose(v), t.constant(&[2, 3, 5], F16));
                let y = t.pass(p, vt, None);
                vec![t.merge(y, 160)]
            },
        ),
        (
            "stream.pass: 8 weight columns before others, expected a multiple of 16",
            |t| {
                let v = packed(t, "v", [2, 5, 8], 320, I8);
                let (vt, p) = (t.transpose(v), t.constant(&[2, 3, 5], I8));
                let y = t.pass(p, vt, None);
                vec![t.merge(y, 320)]
            },
        ),
        (
            "lie one under another, those of the activations side by side in the lanes",
            |t| {
                let x = packed(t, "x", [2, 16, 16], 320, I8);
                let w = t.transpose(x);
                t.pass(x, w, None);
                vec![t.merge(x, 320)]
            },
        ),
        (
            "stream.transpose: 5 weight columns before others, expected a multiple of 16",
            |t| {
                let x = packed(t, "x", [2, 5, 16], 320, I8);
                let y = t.transpose(x);
                vec![t.merge(y, 320)]
            },
        ),
        (
            "stream.return: output %4 has heads, expected rows and lanes",
            |t| vec![packed(t, "x", [2, 5, 16], 320, I8)],
        ),
        (
            "stream.return: %1 is a concatenation of rows, which can only be installed",
            |t| {
                let x = t.input("x", 4, 8, I8);
                vec![t.concat(&[x, x], "rows")]
            },
        ),
        ("only constants and broadcast inputs can", |t| {
            let x = packed(t, "x", [2, 5, 16], 320, F32);
            let y = t.input("y", 5, 16, F32);
            let sum = t.pipeline(&[x, y], &[("max", &[0, 1], None, F32)], &[2])[0];
            vec![t.merge(sum, 320)]
        }),
        ("stream.pipeline: %1 has 9 lanes, expected 8 as", |t| {
            let (x, y) = (t.input("x", 4, 8, I8), t.input("y", 4, 9, I8));
            t.pipeline(&[x, y], &[("copy", &[0], None, I8)], &[2])
        }),
        ("a tile has at most 320 lanes, not 321", |t| {
            let x = packed(t, "x", [2, 5, 16], 321, I8);
            vec![t.merge(x, 321)]
        }),
    ];
    for (message, build) in cases {
        let mut t = Net::new(5);
        let outputs = build(&mut t);
        let refusal = t.refused(&outputs);
        assert!(
            refusal.message.contains(message),
            "{refusal}\nexpected: {message}"
        );
    }
}

#[test]
fn two_layouts_of_one_value_are_refused_with_both_places() {
    let mut t = Net::new(5);
    let x = t.input("x", 4, 768, I8);
    let x = t.convert(x, I8);
    let y = t.convert(x, F32);
    let (a, b) = (t.heads(x, 12, 320), t.heads(y, 12, 160));
    let outputs = [t.merge(a, 320), t.merge(b, 160)];
    let refusal = t.refused(&outputs);
    assert_eq!(
        refusal.message,
        "a value is cut in two ways: 12 heads in tiles of 320 lanes, and 12 heads in tiles of 160 lanes"
    );
    assert!(refusal.primary.line.contains("tile = 160"), "{refusal}");
    assert!(
        refusal.secondary[0].line.contains("tile = 320"),
        "{refusal}"
    );
}

#[test]
fn inputs_have_rows_and_lanes() {
    let mut t = Net::new(5);
    let ty = tspc_ir::Type::new(tspc_ir::Kind::Stream, [2, 3, 4], I8).unwrap();
    let x = t.b.input("x", ty);
    let y = t.merge(x, 320);
    assert_eq!(
        t.refused(&[y]).message,
        "input x is stream<2x3x4xi8>, expected a stream of rows and lanes"
    );
}

//! Evaluation of `stream.*` and of `tsp.*` and simulation agree bit for bit: matrix products of many shapes, in int8 and
//! fp16, and results that are streamed and installed again.

#[path = "tiled/compare.rs"]
mod compare;
mod tiled;

use tspc::ir::{Attr, ConstData, Elem, Opcode, Value};

use tiled::Tiled;

/// Compares the levels; the latency in cycles.
fn equal(tiled: Tiled, outputs: &[Value]) -> u64 {
    compare::levels(tiled, outputs).1
}

/// x [rows × k] times a constant [n × k]ᵀ by 320 × 320 tiles, requantised to i8 if `scale`.
fn matmul(rows: usize, k: usize, n: usize, requantise: bool) -> u64 {
    let mut t = Tiled::new((rows * 1_000_000 + k * 1_000 + n) as u64);
    let x = t.input_i8("x", rows, k);
    let w = t.const_i8(n, k);
    let mut tiles = Vec::new();
    for column in (0..n).step_by(320) {
        let columns = (n - column).min(320);
        let mut sum = None;
        for lane in (0..k).step_by(320) {
            let lanes = (k - lane).min(320);
            let tile = t.lanes(x, lane, lanes);
            let weights = t.rows(w, column, columns);
            let weights = t.lanes(weights, lane, lanes);
            sum = Some(t.pass(tile, weights, sum));
        }
        let mut y = sum.unwrap();
        if requantise {
            let scale = t.const_f32(1, columns, 0.001);
            let ops: [(&str, &[usize], Option<f32>, Elem); 3] = [
                ("cvt", &[0], None, Elem::F32),
                ("mul", &[2, 1], None, Elem::F32),
                ("cvt", &[3], None, Elem::I8),
            ];
            y = t.pipeline(&[y, scale], &ops, &[4])[0];
        }
        tiles.push(y);
    }
    let y = match tiles[..] {
        [y] => y,
        _ => t.op(
            Opcode::StreamConcat,
            &tiles,
            &[("axis", Attr::Sym("lanes"))],
        ),
    };
    equal(t, &[y])
}

#[test]
fn int8_matmul_of_any_shape() {
    for (rows, k, n) in [
        (1, 1, 1),
        (1, 10, 7),
        (7, 640, 100),
        (16, 320, 320),
        (55, 330, 161),
        (200, 384, 400),
    ] {
        matmul(rows, k, n, false);
        matmul(rows, k, n, true);
    }
}

#[test]
fn k_tiles_overlap() {
    // Nine tiles of 128 rows on four planes: three passes a plane and the trips, not nine passes and trips.
    assert!(matmul(128, 768, 768, true) < 9 * 128);
}

#[test]
fn results_are_installed_and_streamed_again() {
    // (x Wᵀ → i8) installed as weights for a second pass of itself: scores of an attention head.
    for rows in [3, 16, 40] {
        let mut t = Tiled::new(rows as u64);
        let x = t.input_i8("x", rows, 64);
        let w = t.const_i8(96, 64);
        let product = t.pass(x, w, None);
        let ops: [(&str, &[usize], Option<f32>, Elem); 3] = [
            ("cvt", &[0], None, Elem::F32),
            ("mul", &[1], Some(0.002), Elem::F32),
            ("cvt", &[2], None, Elem::I8),
        ];
        let q = t.pipeline(&[product], &ops, &[3])[0];
        let installed = t.op(Opcode::StreamInstall, &[q], &[]);
        let window = [("start", Attr::Int(32)), ("count", Attr::Int(32))];
        let head = t.op(Opcode::StreamPass, &[q, installed], &window);
        let whole = t.op(Opcode::StreamPass, &[q, installed], &[]);
        equal(t, &[head, whole]);
    }
}

#[test]
fn rows_meet_rows_of_the_same_value() {
    // One level of a maximum over rows by halves.
    let mut t = Tiled::new(5);
    let x = t.input_f32("x", 10, 48);
    let copy: [(&str, &[usize], Option<f32>, Elem); 1] = [("add", &[0], Some(0.5), Elem::F32)];
    let y = t.pipeline(&[x], &copy, &[1])[0];
    let (low, high) = (t.rows(y, 0, 5), t.rows(y, 5, 5));
    let max: [(&str, &[usize], Option<f32>, Elem); 1] = [("max", &[0, 1], None, Elem::F32)];
    let half = t.pipeline(&[low, high], &max, &[2])[0];
    let first = t.rows(half, 0, 1);
    let sub: [(&str, &[usize], Option<f32>, Elem); 1] = [("sub", &[0, 1], None, Elem::F32)];
    let z = t.pipeline(&[y, first], &sub, &[2])[0];
    equal(t, &[half, z]);
}

#[test]
fn fp16_passes_run_in_halves_of_160_lanes() {
    for (rows, k, n) in [(5, 100, 30), (20, 320, 320), (9, 161, 8)] {
        let mut t = Tiled::new(rows as u64);
        let x = t.input_f32("x", rows, k);
        let half: [(&str, &[usize], Option<f32>, Elem); 1] = [("cvt", &[0], None, Elem::F16)];
        let x = t.pipeline(&[x], &half, &[1])[0];
        let w = t.seeded.f32s(n * k, 1.0);
        let w: Vec<u8> = w
            .iter()
            .flat_map(|w| {
                tspc_num::convert(w.to_bits(), tspc_num::Type::F32, tspc_num::Type::F16)
                    .to_le_bytes()[..2]
                    .to_vec()
            })
            .collect();
        let w = ConstData::new(&[n, k], Elem::F16, w).unwrap();
        let w = t.b.constant_op(Opcode::StreamConstant, w, t.loc).unwrap();
        let y = t.pass(x, w, None);
        let scale: [(&str, &[usize], Option<f32>, Elem); 1] =
            [("mul", &[0], Some(0.125), Elem::F32)];
        let z = t.pipeline(&[y], &scale, &[1])[0];
        equal(t, &[z]);
    }
}

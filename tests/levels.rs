//! What lies between the levels: every way in which code generation lays out, broadcasts, masks or refuses a value.

#[path = "tiled/compare.rs"]
mod compare;
mod tiled;

use tspc::codegen;
use tspc::ir::eval::{Array, Data};
use tspc::ir::{Attr, ConstData, Elem, Kind, Opcode, Type, Value};
use tspc::machine::Machine;
use tspc::program::{Hemisphere, MxmQueue, Unit};

use compare::levels;
use tiled::Tiled;

type Build<'a> = &'a dyn Fn(&mut Tiled) -> Value;
type Ops<'a> = &'a [(&'static str, &'a [usize], Option<f32>, Elem)];

const TO_F16: Ops = &[("cvt", &[0], None, Elem::F16)];
const REQUANTISE: Ops = &[
    ("cvt", &[0], None, Elem::F32),
    ("mul", &[1], Some(0.002), Elem::F32),
    ("cvt", &[2], None, Elem::I8),
];

/// A constant matrix with ones on the diagonal.
fn identity(t: &mut Tiled, n: usize, elem: Elem) -> Value {
    let one: &[u8] = match elem {
        Elem::F16 => &[0x00, 0x3c],
        _ => &[1],
    };
    let mut data = vec![0; n * n * one.len()];
    for i in 0..n {
        data[(i * n + i) * one.len()..][..one.len()].copy_from_slice(one);
    }
    let data = ConstData::new(&[n, n], elem, data).unwrap();
    t.b.constant_op(Opcode::StreamConstant, data, t.loc)
        .unwrap()
}

fn window(t: &mut Tiled, x: Value, w: Value, start: usize, count: usize) -> Value {
    let installed = t.op(Opcode::StreamInstall, &[w], &[]);
    let lanes = [
        ("start", Attr::Int(start as i64)),
        ("count", Attr::Int(count as i64)),
    ];
    t.op(Opcode::StreamPass, &[x, installed], &lanes)
}

fn refusal(t: Tiled, outputs: &[Value]) -> String {
    let (module, _) = t.finish(outputs);
    let refused = codegen::compile(&module, &Machine::tsp_v1());
    refused.expect_err("a refusal").to_string()
}

/// Requantised product of an input and a constant: a computed value.
fn computed(t: &mut Tiled, rows: usize, lanes: usize) -> Value {
    let x = t.input_i8("x", rows, 64);
    let w = t.const_i8(lanes, 64);
    let product = t.pass(x, w, None);
    t.pipeline(&[product], REQUANTISE, &[3])[0]
}

#[test]
fn int8_and_fp16_share_the_chip() {
    let mut t = Tiled::new(1);
    let mut q = computed(&mut t, 24, 320);
    let ones = t.const_f32(1, 320, 1.0);
    let mut outputs = Vec::new();
    for _ in 0..3 {
        // Statistics in fp16 between int8 layers, as in LayerNorm.
        let ops: Ops = &[
            ("cvt", &[0], None, Elem::F32),
            ("mul", &[2, 1], None, Elem::F32),
            ("cvt", &[3], None, Elem::F16),
        ];
        let half = t.pipeline(&[q, ones], ops, &[4])[0];
        let unit = identity(&mut t, 320, Elem::F16);
        outputs.push(t.pass(half, unit, None));
        for _ in 0..3 {
            let w = t.const_i8(320, 320);
            let product = t.pass(q, w, None);
            q = t.pipeline(&[product], REQUANTISE, &[3])[0];
            let w = t.const_i8(320, 320);
            outputs.push(t.pass(q, w, None));
        }
    }
    let (program, _) = levels(t, &outputs);
    let used = |hemi, plane| {
        let queue = Unit::Mxm(hemi, plane, MxmQueue::Weight).queue().unwrap();
        !program.queues[queue.index()].is_empty()
    };
    let planes = Hemisphere::ALL.map(|hemi| [used(hemi, 0), used(hemi, 1)]);
    assert_eq!(
        planes,
        [[true, true], [true, false]],
        "the unit's odd plane is still"
    );
}

#[test]
fn fp16_alone_runs_on_both_sides() {
    let mut t = Tiled::new(2);
    let x = t.input_f32("x", 40, 320);
    let half = t.pipeline(&[x], TO_F16, &[1])[0];
    let unit = identity(&mut t, 320, Elem::F16);
    let outputs: Vec<Value> = (0..4).map(|_| t.pass(half, unit, None)).collect();
    let (program, _) = levels(t, &outputs);
    for hemi in Hemisphere::ALL {
        let queue = Unit::Mxm(hemi, 0, MxmQueue::Activation).queue().unwrap();
        assert!(!program.queues[queue.index()].is_empty(), "{hemi:?}");
    }
}

#[test]
fn constants_stream_through_installed_values() {
    // The identity through an installed value is its transpose.
    for (rows, lanes) in [(24, 40), (320, 320), (17, 320)] {
        let mut t = Tiled::new(rows as u64);
        let y = computed(&mut t, rows, lanes);
        let unit = identity(&mut t, lanes, Elem::I8);
        let transposed = t.pass(unit, y, None);
        levels(t, &[y, transposed]);
    }
    let mut t = Tiled::new(3);
    let x = t.input_f32("x", 24, 320);
    let half = t.pipeline(&[x], TO_F16, &[1])[0];
    let unit = identity(&mut t, 320, Elem::F16);
    let transposed = t.pass(unit, half, None);
    levels(t, &[transposed]);
}

#[test]
fn constants_are_partial_sums() {
    let mut t = Tiled::new(4);
    let x = t.input_i8("x", 12, 64);
    let w = t.const_i8(48, 64);
    let bytes: Vec<u8> = t
        .seeded
        .i8s(12 * 48 * 4)
        .iter()
        .map(|b| *b as u8 & 0x7f)
        .collect();
    let bias = ConstData::new(&[12, 48], Elem::I32, bytes).unwrap();
    let bias =
        t.b.constant_op(Opcode::StreamConstant, bias, t.loc)
            .unwrap();
    let sum = t.pass(x, w, Some(bias));
    levels(t, &[sum]);
}

#[test]
fn one_row_meets_many() {
    let mut t = Tiled::new(5);
    let y = computed(&mut t, 1, 48);
    let many = t.input_f32("many", 19, 48);
    let scale = t.const_f32(1, 48, 1.0);
    let ops: Ops = &[
        ("cvt", &[0], None, Elem::F32),
        ("mul", &[3, 1], None, Elem::F32),
        ("add", &[4, 2], None, Elem::F32),
    ];
    // A product of one row, fused nowhere, and a constant of one row meet 19 rows.
    let z = t.pipeline(&[y, many, scale], ops, &[5])[0];
    let alone = t.pipeline(&[scale], &[("add", &[0], Some(1.0), Elem::F32)], &[1])[0];
    let row = t.rows(z, 7, 1);
    let z2 = t.pipeline(&[row, many], &[("sub", &[1, 0], None, Elem::F32)], &[2])[0];
    let x = t.input_i8("xs", 19, 64);
    let w = t.const_i8(48, 64);
    let product = t.pass(x, w, None);
    let fused = t.pipeline(
        &[scale, product],
        &[
            ("cvt", &[1], None, Elem::F32),
            ("mul", &[2, 0], None, Elem::F32),
        ],
        &[3],
    )[0];
    levels(t, &[z, alone, z2, fused]);
}

#[test]
fn a_product_of_one_row_is_not_fused_with_many() {
    let mut t = Tiled::new(6);
    let x = t.input_i8("x", 1, 64);
    let w = t.const_i8(48, 64);
    let product = t.pass(x, w, None);
    let many = t.input_f32("many", 9, 48);
    let ops: Ops = &[
        ("cvt", &[0], None, Elem::F32),
        ("add", &[2, 1], None, Elem::F32),
    ];
    let sum = t.pipeline(&[product, many], ops, &[3])[0];
    levels(t, &[sum]);
}

#[test]
fn pipelines_give_inputs_copies_and_unused_results() {
    let mut t = Tiled::new(7);
    let x = t.input_f32("x", 6, 320);
    let y = t.input_f32("y", 6, 320);
    let ops: Ops = &[
        ("add", &[0, 1], None, Elem::F32),
        ("neg", &[2], None, Elem::F32),
    ];
    let r = t.pipeline(&[x, y], ops, &[0, 2, 2, 3]);
    let twice = t.pipeline(&[x, x], &[("mul", &[0, 1], None, Elem::F32)], &[2])[0];
    levels(t, &[r[0], r[1], r[2], twice, r[1]]);
}

#[test]
fn values_are_streamed_and_installed_at_once() {
    let mut t = Tiled::new(8);
    let y = computed(&mut t, 37, 96);
    let (some, rest) = (t.rows(y, 0, 16), t.rows(y, 16, 21));
    let scores = t.pass(y, rest, None);
    let both = t.op(
        Opcode::StreamConcat,
        &[some, rest],
        &[("axis", Attr::Sym("rows"))],
    );
    let all = t.pass(y, both, None);
    levels(t, &[y, scores, all]);
}

#[test]
fn unsigned_activations_pass_a_window() {
    let mut t = Tiled::new(9);
    let x = t.input_f32("x", 11, 200);
    let to_u8: Ops = &[
        ("mul", &[0], Some(50.0), Elem::F32),
        ("cvt", &[1], None, Elem::U8),
    ];
    let y = t.pipeline(&[x], to_u8, &[2])[0];
    let w = t.const_i8(30, 200);
    let part = window(&mut t, y, w, 170, 7);
    let whole = t.pass(y, w, None);
    levels(t, &[part, whole]);
}

#[test]
fn fp16_passes_take_a_window() {
    let mut t = Tiled::new(10);
    let x = t.input_f32("x", 11, 320);
    let y = t.pipeline(&[x], TO_F16, &[1])[0];
    let unit = identity(&mut t, 320, Elem::F16);
    let outputs: Vec<Value> = [(0, 16), (150, 20), (200, 64)]
        .map(|(start, count)| window(&mut t, y, unit, start, count))
        .into();
    levels(t, &outputs);
}

/// Rows that are installed twice, through two windows and beside others without one, before columns that nobody asked
/// for; streamed by two passes.
#[test]
fn installs_take_windows() {
    for elem in [Elem::I8, Elem::F16] {
        let mut t = Tiled::new(21);
        let x = t.input_f32("x", 37, 150);
        let ops: Ops = &[
            ("mul", &[0], Some(30.0), Elem::F32),
            ("cvt", &[1], None, elem),
        ];
        let y = t.pipeline(&[x], ops, &[2])[0];
        let (some, rest) = (t.rows(y, 0, 32), t.rows(y, 16, 21));
        let unit = identity(&mut t, 150, elem);
        let unit = t.rows(unit, 0, 16);
        let (low, high) = (t.window(some, 0, 75), t.window(some, 75, 75));
        let last = t.window(rest, 149, 1);
        let parts = [low, high, unit, some, last];
        let (all, alone) = (t.under(&parts), t.window(rest, 20, 17));
        let products = t.pass(y, all, None);
        let again = t.pass(some, all, None);
        let alone = t.pass(y, alone, None);
        levels(t, &[products, again, alone]);
    }
}

/// fp16 weights of 320 lanes are loaded half by half, each through its part of the window.
#[test]
fn both_halves_of_fp16_installs_take_a_window() {
    let mut t = Tiled::new(22);
    let x = t.input_f32("x", 24, 320);
    let y = t.pipeline(&[x], TO_F16, &[1])[0];
    let parts = [t.window(y, 100, 120), t.window(y, 170, 7)];
    let w = t.under(&parts);
    let products = t.pass(y, w, None);
    levels(t, &[products]);
}

/// rsqrt is infinite on the zeros beyond a value's lanes, and an infinity times a zero weight is not zero.
#[test]
fn what_lies_beyond_the_lanes_adds_nothing() {
    let mut t = Tiled::new(11);
    let x = t.input_f32("x", 20, 100);
    // 1/√|x| of the value's own lanes is finite but for x = 0, which the seed does not give.
    let ops: Ops = &[
        ("abs", &[0], None, Elem::F32),
        ("rsqrt", &[1], None, Elem::F32),
        ("cvt", &[2], None, Elem::F16),
    ];
    let y = t.pipeline(&[x], ops, &[3])[0];
    let unit = identity(&mut t, 100, Elem::F16);
    let product = t.pass(y, unit, None);
    levels(t, &[product]);
    let mut t = Tiled::new(11);
    let x = t.input_f32("x", 20, 100);
    let y = t.pipeline(&[x], ops, &[3])[0];
    let unit = identity(&mut t, 100, Elem::F16);
    let product = t.pass(unit, y, None);
    let message = refusal(t, &[product]);
    assert!(
        message.contains("infinities beyond its 100 lanes"),
        "{message}"
    );
}

#[test]
fn partial_sums_fill_what_lies_beyond() {
    let mut t = Tiled::new(12);
    let y = computed(&mut t, 9, 50);
    let x = t.input_f32("b", 9, 50);
    let ops: Ops = &[
        ("add", &[0], Some(3.0), Elem::F32),
        ("cvt", &[1], None, Elem::I32),
    ];
    let partial = t.pipeline(&[x], ops, &[2])[0];
    let w = t.const_i8(50, 50);
    let sum = t.pass(y, w, Some(partial));
    let small = t.pipeline(&[sum], REQUANTISE, &[3])[0];
    let ones = t.pipeline(
        &[x],
        &[
            ("mul", &[0], Some(0.0), Elem::F32),
            ("add", &[1], Some(1.0), Elem::F32),
            ("cvt", &[2], None, Elem::I8),
        ],
        &[3],
    )[0];
    let product = t.pass(small, ones, None);
    levels(t, &[product]);
}

#[test]
fn lanes_of_computed_values() {
    // They leave the program from where they are.
    let mut t = Tiled::new(13);
    let y = computed(&mut t, 9, 96);
    let (low, high) = (t.lanes(y, 0, 40), t.lanes(y, 40, 56));
    let swapped = t.op(
        Opcode::StreamConcat,
        &[high, low],
        &[("axis", Attr::Sym("lanes"))],
    );
    // The first ones may be read; those beyond them are masked on the way to a pass.
    let w = t.const_i8(20, 40);
    let sum = t.pass(low, w, None);
    let own = t.pass(low, low, None);
    levels(t, &[high, swapped, sum, own]);
    // Others may not: they would have to move.
    let expected = "takes lanes from 40 on of a computed value";
    for case in 0..3 {
        let mut t = Tiled::new(13);
        let y = computed(&mut t, 9, 96);
        let high = t.lanes(y, 40, 56);
        let z = match case {
            0 => t.pipeline(&[high], TO_F16, &[1])[0],
            1 => {
                let w = t.const_i8(20, 56);
                t.pass(high, w, None)
            }
            _ => {
                let unit = identity(&mut t, 56, Elem::I8);
                t.pass(unit, high, None)
            }
        };
        let message = refusal(t, &[z]);
        assert!(message.contains(expected), "{case}: {message}");
    }
}

/// One number in memory, its bytes each streamed alone, also backwards and from where nothing is zero beyond.
#[test]
fn bytes_of_numbers_pass_alone() {
    for lanes in [320, 100] {
        let mut t = Tiled::new(17);
        let x = t.input_f32("x", 9, lanes);
        let ops: Ops = &[
            ("add", &[0], Some(0.7), Elem::F32),
            ("mul", &[1], Some(1e9), Elem::F32),
            ("cvt", &[2], None, Elem::I32),
        ];
        let number = t.pipeline(&[x], ops, &[3])[0];
        let w = t.const_i8(33, lanes);
        let outputs: Vec<Value> = (0..4)
            .map(|byte| {
                let byte = t.op(Opcode::StreamByte, &[number], &[("byte", Attr::Int(byte))]);
                let back = [("start", 8), ("count", 9), ("step", -1)];
                let back = back.map(|(n, v)| (n, Attr::Int(v)));
                let back = t.op(Opcode::StreamRows, &[byte], &back);
                let sum = t.pass(byte, w, None);
                t.pass(back, w, Some(sum))
            })
            .collect();
        levels(t, &outputs);
    }
}

#[test]
fn inputs_that_nobody_reads_and_outputs_that_nobody_makes() {
    let mut t = Tiled::new(14);
    let x = t.input_f32("x", 4, 330);
    t.input_i8("unused", 5, 700);
    let low = t.lanes(x, 0, 320);
    let y = t.pipeline(&[low], TO_F16, &[1])[0];
    let c = t.const_f32(3, 17, 1.0);
    let z = t.input_f32("z", 4, 30);
    let (program, _) = levels(t, &[y, c, z]);
    assert_eq!(program.inputs.len(), 3);
}

#[test]
fn refusals_name_the_op_and_what_was_expected() {
    let byte = |t: &mut Tiled, x: Value| t.op(Opcode::StreamByte, &[x], &[("byte", Attr::Int(3))]);
    let whole = "only a pass takes bytes of numbers, as what streams";
    let number = |t: &mut Tiled| {
        let x = computed(t, 4, 16);
        t.pipeline(&[x], &[("cvt", &[0], None, Elem::I32)], &[1])[0]
    };
    let cases: [(&str, Build); 9] = [
        (whole, &|t| {
            let x = number(t);
            let x = byte(t, x);
            t.pipeline(&[x], &[("cvt", &[0], None, Elem::I32)], &[1])[0]
        }),
        (whole, &|t| {
            let (x, rows) = (number(t), t.const_i8(2, 16));
            let x = byte(t, x);
            t.pass(rows, x, None)
        }),
        ("only bytes of what a pass or pipeline makes", &|t| {
            let data = Data::I32(vec![0; 32]);
            let data = Array::new([2, 16], data)
                .and_then(|a| a.to_const())
                .unwrap();
            let x =
                t.b.constant_op(Opcode::StreamConstant, data, t.loc)
                    .unwrap();
            let (x, w) = (byte(t, x), t.const_i8(4, 16));
            t.pass(x, w, None)
        }),
        (
            "can only be installed (rows) or leave the program (lanes)",
            &|t| {
                let (a, b) = (t.const_f32(2, 8, 1.0), t.const_f32(3, 8, 1.0));
                let both = t.op(
                    Opcode::StreamConcat,
                    &[a, b],
                    &[("axis", Attr::Sym("rows"))],
                );
                t.pipeline(&[both], TO_F16, &[1])[0]
            },
        ),
        ("run the tile pass first", &|t| {
            let a = t.const_f32(2, 8, 1.0);
            let a = t.op(Opcode::StreamTranspose, &[a], &[]);
            t.pipeline(&[a], TO_F16, &[1])[0]
        }),
        ("an input cannot be installed", &|t| {
            let x = t.input_i8("x", 4, 16);
            t.pass(x, x, None)
        }),
        ("expected at most 320 lanes", &|t| {
            let x = t.input_f32("x", 4, 321);
            t.pipeline(&[x], TO_F16, &[1])[0]
        }),
        ("takes every -1th row, expected consecutive ones", &|t| {
            let y = computed(t, 4, 16);
            let attrs = [("start", 3), ("count", 4), ("step", -1)].map(|(n, v)| (n, Attr::Int(v)));
            t.op(Opcode::StreamRows, &[y], &attrs)
        }),
        ("takes 3 of the 4 rows of an input, expected all", &|t| {
            let x = t.input_f32("x", 4, 16);
            t.rows(x, 1, 3)
        }),
    ];
    for (expected, build) in cases {
        let mut t = Tiled::new(15);
        let y = build(&mut t);
        let message = refusal(t, &[y]);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn rows_are_read_backwards_and_by_steps() {
    let mut t = Tiled::new(16);
    let data = Data::F32(t.seeded.f32s(12 * 20, 1.0));
    t.inputs
        .insert("x".into(), Array::new([12, 20], data).unwrap());
    let ty = Type::new(Kind::Stream, [12, 20], Elem::F32).unwrap();
    let x = t.b.input("x", ty);
    let y = t.pipeline(&[x], &[("neg", &[0], None, Elem::F32)], &[1])[0];
    let outputs: Vec<Value> = [(11, 12, -1), (10, 4, -3), (1, 5, 2), (3, 6, 0)]
        .into_iter()
        .flat_map(|(start, count, step)| {
            let attrs = [("start", start), ("count", count), ("step", step)];
            let attrs = attrs.map(|(n, v)| (n, Attr::Int(v)));
            let views = [x, y].map(|v| t.op(Opcode::StreamRows, &[v], &attrs));
            t.pipeline(&views, &[("sub", &[0, 1], None, Elem::F32)], &[2])
        })
        .collect();
    levels(t, &outputs);
}

#[test]
fn programs_are_the_same_every_time() {
    let program = || {
        let mut t = Tiled::new(18);
        let y = computed(&mut t, 33, 96);
        let scores = t.pass(y, y, None);
        let (module, _) = t.finish(&[y, scores]);
        codegen::compile(&module, &Machine::tsp_v1()).unwrap()
    };
    assert!(program() == program());
}

#[test]
fn the_text_must_fit_the_reserved_slices() {
    let mut t = Tiled::new(17);
    let y = computed(&mut t, 4, 16);
    let (module, _) = t.finish(&[y]);
    let set = ["text_slices_west=[]", "text_slices_east=[]"];
    let machine = Machine::tsp_v1().with(&set).unwrap();
    let message = codegen::compile(&module, &machine).unwrap_err().to_string();
    assert!(
        message.contains("more than the 0 bytes of the 0 reserved slices"),
        "{message}"
    );
}

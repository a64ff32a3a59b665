//! Unary operations and conversions against `reference`: all inputs of 8 and 16 bits, a stride and all borders of 32.
//! The example `exhaustive` does the same on all 2^32.

mod reference;

use tspc_num::{NAN, NAN_F16, Type, UnaryOp, convert, convert_lanes, unary, unary_lanes};

/// Every 16-bit pattern in the upper half with a few lower halves, which meets every exponent and every
/// border of f16 and of the integers from both sides; then a stride that meets everything else.
fn inputs() -> impl Iterator<Item = u32> {
    const LOW: [u32; 11] = [
        0, 1, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x3001, 0x7FFF, 0x8000, 0xFFFF,
    ];
    let upper = (0..=0xFFFFu32).flat_map(|high| LOW.map(|low| high << 16 | low));
    let stride = (0..200_000u32).map(|k| k.wrapping_mul(0x9E37_79B9));
    let near = |x: i64| (x - 3..=x + 3).map(|x| x as u32);
    let integers = (0..33).flat_map(move |k| near(1 << k).chain(near(-(1 << k))));
    let halves = (-520..520).map(|k| (0.25 * k as f32).to_bits());
    upper.chain(stride).chain(integers).chain(halves)
}

#[test]
fn conversions() {
    for from in Type::ALL {
        for to in Type::ALL {
            let check = |bits: u32| {
                let (got, want) = (convert(bits, from, to), reference::convert(bits, from, to));
                assert_eq!(got, want, "{bits:#x} {} → {}", from.name(), to.name());
            };
            match from.bytes() {
                4 => inputs().for_each(check),
                _ => (0..=from.mask()).for_each(check),
            }
        }
    }
}

#[test]
fn conversions_at_points_that_one_can_check_by_hand() {
    let from_f32 = |x: f32, to| convert(x.to_bits(), Type::F32, to);
    for (x, want) in [
        (0.5, 0),
        (1.5, 2),
        (2.5, 2),
        (-0.5, 0),
        (-1.5, -2),
        (127.5, 127),
        (-128.5, -128),
    ] {
        assert_eq!(from_f32(x, Type::I8) as u8 as i8, want, "{x}");
    }
    assert_eq!(from_f32(f32::NAN, Type::I32), 0);
    assert_eq!(from_f32(3e9, Type::I32), i32::MAX as u32);
    assert_eq!(from_f32(-1.0, Type::U8), 0);
    assert_eq!(from_f32(f32::INFINITY, Type::I16), 0x7FFF);
    assert_eq!(from_f32(65519.996, Type::F16), 0x7BFF);
    assert_eq!(from_f32(65520.0, Type::F16), 0x7C00);
    assert_eq!(from_f32(2f32.powi(-25), Type::F16), 0);
    assert_eq!(from_f32(-2f32.powi(-24) * 1.5, Type::F16), 0x8002);
    assert_eq!(from_f32(f32::from_bits(0xFF80_0001), Type::F16), NAN_F16);
    assert_eq!(convert(0xFE01, Type::F16, Type::F32), NAN);
    assert_eq!(
        convert(16_777_217, Type::I32, Type::F32),
        16_777_216f32.to_bits()
    );
    assert_eq!(convert(2049, Type::I32, Type::F16), 0x6800);
}

#[test]
fn f16_goes_to_f32_and_back() {
    for bits in 0..=0xFFFF {
        let back = convert(convert(bits, Type::F16, Type::F32), Type::F32, Type::F16);
        assert_eq!(
            back,
            if bits & 0x7FFF > 0x7C00 {
                NAN_F16
            } else {
                bits
            }
        );
    }
}

fn f32_op(op: UnaryOp, bits: u32) -> u32 {
    unary(op, Type::F32, bits).unwrap()
}

#[test]
fn signs() {
    for bits in inputs() {
        assert_eq!(
            f32_op(UnaryOp::Neg, bits),
            reference::neg_f32(bits),
            "{bits:#x}"
        );
        assert_eq!(
            f32_op(UnaryOp::Abs, bits),
            reference::abs_f32(bits),
            "{bits:#x}"
        );
        assert_eq!(
            f32_op(UnaryOp::Relu, bits),
            reference::relu_f32(bits),
            "{bits:#x}"
        );
        let wide = i64::from(bits as i32);
        for (op, want) in [
            (UnaryOp::Neg, -wide),
            (UnaryOp::Abs, wide.abs()),
            (UnaryOp::Relu, wide.max(0)),
        ] {
            assert_eq!(
                unary(op, Type::I32, bits),
                Some(want as u32),
                "{op:?} {wide}"
            );
        }
    }
}

#[test]
fn rsqrt_is_the_nearest() {
    for bits in inputs() {
        let got = f32_op(UnaryOp::Rsqrt, bits);
        assert!(
            reference::is_rsqrt(bits, got),
            "rsqrt({bits:#x}) = {got:#x}"
        );
    }
    let rsqrt = |x: f32| f32_op(UnaryOp::Rsqrt, x.to_bits());
    assert_eq!(rsqrt(0.0), f32::INFINITY.to_bits());
    assert_eq!(rsqrt(-0.0), f32::NEG_INFINITY.to_bits());
    assert_eq!(rsqrt(-f32::from_bits(1)), NAN);
    assert_eq!(rsqrt(f32::from_bits(1)), (2f64.powf(74.5) as f32).to_bits());
}

#[test]
fn exp_and_tanh_are_near() {
    for bits in inputs() {
        let x = f64::from(f32::from_bits(bits));
        let (exp, tanh) = (f32_op(UnaryOp::Exp, bits), f32_op(UnaryOp::Tanh, bits));
        assert!(
            reference::is_near(reference::exp(x), exp),
            "exp({x:e}) = {exp:#x}"
        );
        assert!(
            reference::is_near(reference::tanh(x), tanh),
            "tanh({x:e}) = {tanh:#x}"
        );
    }
    let exp = |x: f32| f32::from_bits(f32_op(UnaryOp::Exp, x.to_bits()));
    assert_eq!((exp(0.0), exp(1.0)), (1.0, std::f32::consts::E));
    assert_eq!((exp(88.8), exp(-104.0)), (f32::INFINITY, 0.0));
    assert_eq!(
        (exp(f32::INFINITY), exp(f32::NEG_INFINITY)),
        (f32::INFINITY, 0.0)
    );
    // The smallest results are subnormal, not zero.
    assert_eq!(exp(-103.0).to_bits(), 1);
    assert_eq!(f32_op(UnaryOp::Tanh, (-0f32).to_bits()), (-0f32).to_bits());
    assert_eq!(
        f32_op(UnaryOp::Tanh, f32::NEG_INFINITY.to_bits()),
        (-1f32).to_bits()
    );
}

/// Pins exp, tanh and rsqrt bit for bit: another host or another libm shows here.
#[test]
fn transcendental_results_are_pinned() {
    let sums = [UnaryOp::Exp, UnaryOp::Tanh, UnaryOp::Rsqrt].map(|op| {
        inputs()
            .map(|bits| f32_op(op, bits))
            .fold(0xCBF2_9CE4_8422_2325u64, |sum, result| {
                (sum ^ u64::from(result)).wrapping_mul(0x0100_0000_01B3)
            })
    });
    assert_eq!(
        sums.map(|s| format!("{s:016x}")),
        ["da3a957d5fdfcdf2", "386fa2ac42113e5f", "c022af889295322a"]
    );
}

#[test]
fn lanes_are_independent() {
    let lanes: Vec<u32> = inputs().step_by(997).collect();
    for ty in Type::ALL {
        for op in UnaryOp::ALL {
            let mut all = lanes.clone();
            let done = unary_lanes(op, ty, &mut all);
            let single: Option<Vec<u32>> = lanes.iter().map(|x| unary(op, ty, *x)).collect();
            assert_eq!(
                done.then_some(&all),
                single.as_ref(),
                "{op:?} {}",
                ty.name()
            );
            assert!(done || all == lanes);
        }
        for to in Type::ALL {
            let mut all = lanes.clone();
            convert_lanes(&mut all, ty, to);
            assert!(
                all.iter()
                    .zip(&lanes)
                    .all(|(all, x)| *all == convert(*x, ty, to))
            );
            assert!(all.iter().all(|x| x & !to.mask() == 0));
        }
    }
}

#[test]
fn operations_exist_for_their_types_only() {
    for ty in Type::ALL {
        for op in UnaryOp::ALL {
            let float_only = matches!(op, UnaryOp::Exp | UnaryOp::Tanh | UnaryOp::Rsqrt);
            let exists = ty == Type::F32 || ty == Type::I32 && !float_only;
            assert_eq!(unary(op, ty, 1).is_some(), exists, "{op:?} {}", ty.name());
        }
    }
}

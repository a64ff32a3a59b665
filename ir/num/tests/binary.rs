//! Binary operations on all pairs of interesting values, against formulations that share no code with them:
//! f64 for f32 (wide enough that rounding twice is rounding once), i128 for i32, integer order for comparison.

use tspc_num::{BinaryOp, NAN, Type, binary, binary_lanes};

fn floats() -> Vec<u32> {
    let positive = [
        0,
        1,
        2,
        0x007F_FFFF,
        0x0080_0000,
        0x0080_0001,
        0x3380_0000,
        0x33FF_FFFF,
        0x3F00_0000,
        0x3F7F_FFFF,
        0x3F80_0000,
        0x3F80_0001,
        0x3FC0_0000,
        0x4049_0FDB,
        0x4B00_0000,
        0x4B00_0001,
        0x4B7F_FFFF,
        0x4B80_0000,
        0x5F35_04F3,
        0x7F00_0000,
        0x7F7F_FFFE,
        0x7F7F_FFFF,
        0x7F80_0000,
        0x7F80_0001,
        0x7FC0_0000,
        0x7FFF_FFFF,
    ];
    let random = (1..60u32).map(|k| k.wrapping_mul(0x9E37_79B9));
    positive
        .into_iter()
        .chain(random)
        .flat_map(|x| [x, x ^ 0x8000_0000])
        .collect()
}

fn ints() -> Vec<u32> {
    let near = (0..33).flat_map(|k| (-1..=1).map(move |d| ((1i64 << k) + d) as u32));
    near.flat_map(|x| [x, x.wrapping_neg()])
        .chain([46_340, 46_341, 65_535, 65_536])
        .collect()
}

fn pairs(values: Vec<u32>) -> impl Iterator<Item = (u32, u32)> {
    let second = values.clone();
    values
        .into_iter()
        .flat_map(move |a| second.clone().into_iter().map(move |b| (a, b)))
}

fn is_nan(bits: u32) -> bool {
    bits & 0x7FFF_FFFF > 0x7F80_0000
}

/// Integers in the order of the numbers, −0 directly below +0.
fn key(bits: u32) -> i64 {
    let magnitude = i64::from(bits & 0x7FFF_FFFF);
    if bits >> 31 == 1 {
        -1 - magnitude
    } else {
        magnitude
    }
}

#[test]
fn float_arithmetic() {
    for (a, b) in pairs(floats()) {
        let (x, y) = (f64::from(f32::from_bits(a)), f64::from(f32::from_bits(b)));
        for (op, wide) in [
            (BinaryOp::Add, x + y),
            (BinaryOp::Sub, x - y),
            (BinaryOp::Mul, x * y),
        ] {
            let want = if wide.is_nan() {
                NAN
            } else {
                (wide as f32).to_bits()
            };
            assert_eq!(
                binary(op, Type::F32, a, b),
                Some(want),
                "{op:?} {a:#x} {b:#x}"
            );
        }
    }
}

#[test]
fn float_order() {
    for (a, b) in pairs(floats()) {
        let nan = is_nan(a) || is_nan(b);
        let by_key = |first: bool| {
            if nan {
                NAN
            } else if first {
                a
            } else {
                b
            }
        };
        let get = |op| binary(op, Type::F32, a, b).unwrap();
        assert_eq!(
            get(BinaryOp::Max),
            by_key(key(a) >= key(b)),
            "max {a:#x} {b:#x}"
        );
        assert_eq!(
            get(BinaryOp::Min),
            by_key(key(a) <= key(b)),
            "min {a:#x} {b:#x}"
        );
        let zeros = (a | b) << 1 == 0;
        let (less, equal) = (!nan && !zeros && key(a) < key(b), !nan && (zeros || a == b));
        for (op, want) in [
            (BinaryOp::CmpEq, equal),
            (BinaryOp::CmpNe, !equal),
            (BinaryOp::CmpLt, less),
            (BinaryOp::CmpLe, less || equal),
            (BinaryOp::CmpGt, !nan && !less && !equal),
            (BinaryOp::CmpGe, !nan && !less),
        ] {
            assert_eq!(get(op), u32::from(want), "{op:?} {a:#x} {b:#x}");
        }
    }
}

#[test]
fn integers() {
    for (a, b) in pairs(ints()) {
        let (x, y) = (i128::from(a as i32), i128::from(b as i32));
        let get = |op| i128::from(binary(op, Type::I32, a, b).unwrap() as i32);
        let sat = |v: i128| v.clamp(i32::MIN.into(), i32::MAX.into());
        let modulo = |v: i128| (v + (1 << 31)).rem_euclid(1 << 32) - (1 << 31);
        for (op, want) in [
            (BinaryOp::AddSat, sat(x + y)),
            (BinaryOp::SubSat, sat(x - y)),
            (BinaryOp::MulSat, sat(x * y)),
            (BinaryOp::AddMod, modulo(x + y)),
            (BinaryOp::SubMod, modulo(x - y)),
            (BinaryOp::MulMod, modulo(x * y)),
            (BinaryOp::Max, x.max(y)),
            (BinaryOp::Min, x.min(y)),
            (BinaryOp::CmpEq, (x == y).into()),
            (BinaryOp::CmpNe, (x != y).into()),
            (BinaryOp::CmpLt, (x < y).into()),
            (BinaryOp::CmpLe, (x <= y).into()),
            (BinaryOp::CmpGt, (x > y).into()),
            (BinaryOp::CmpGe, (x >= y).into()),
        ] {
            assert_eq!(get(op), want, "{op:?} {x} {y}");
        }
    }
}

#[test]
fn shifts() {
    for a in ints() {
        let x = i128::from(a as i32);
        for count in 0..32 {
            let get = |op| binary(op, Type::I32, a, count).unwrap() as i32;
            assert_eq!(get(BinaryOp::Shl), (x << count) as i32);
            assert_eq!(i128::from(get(BinaryOp::Shr)), x.div_euclid(1 << count));
        }
        for count in [32, 33, 256, u32::MAX] {
            assert_eq!(binary(BinaryOp::Shl, Type::I32, a, count), None);
            assert_eq!(binary(BinaryOp::Shr, Type::I32, a, count), None);
        }
    }
}

/// Operations on bits keep the payload of a NaN.
#[test]
fn bits() {
    const ODD_NAN: u32 = 0xFF80_1234;
    for ty in [Type::I32, Type::F32] {
        let get = |op, b| binary(op, ty, ODD_NAN, b).unwrap();
        assert_eq!(get(BinaryOp::And, u32::MAX), ODD_NAN);
        assert_eq!(get(BinaryOp::And, 0xF0), 0x30);
        assert_eq!(get(BinaryOp::Or, 0xF), 0xFF80_123F);
        assert_eq!(get(BinaryOp::Xor, ODD_NAN), 0);
        for (mask, on) in [
            (0, false),
            (1, true),
            (0x80, true),
            (0x100, false),
            (0xFF00, false),
        ] {
            assert_eq!(
                get(BinaryOp::Mask, mask),
                if on { ODD_NAN } else { 0 },
                "{mask:#x}"
            );
            assert_eq!(
                get(BinaryOp::MaskBar, mask),
                if on { 0 } else { ODD_NAN },
                "{mask:#x}"
            );
        }
    }
}

#[test]
fn lanes_are_independent_and_types_are_checked() {
    let (a, b): (Vec<u32>, Vec<u32>) = pairs(floats()).step_by(7).unzip();
    let counts: Vec<u32> = b.iter().map(|b| b & 31).collect();
    for op in BinaryOp::ALL {
        for ty in Type::ALL {
            let b = if matches!(op, BinaryOp::Shl | BinaryOp::Shr) {
                &counts
            } else {
                &b
            };
            let mut lanes = a.clone();
            let done = binary_lanes(op, ty, &mut lanes, b);
            let single: Option<Vec<u32>> = a
                .iter()
                .zip(b)
                .map(|(a, b)| binary(op, ty, *a, *b))
                .collect();
            assert_eq!(
                done.then_some(&lanes),
                single.as_ref(),
                "{op:?} {}",
                ty.name()
            );
            use BinaryOp::*;
            let exists = match op {
                Add | Sub | Mul => ty == Type::F32,
                AddSat | SubSat | MulSat | AddMod | SubMod | MulMod | Shl | Shr => ty == Type::I32,
                _ => ty == Type::I32 || ty == Type::F32,
            };
            assert_eq!(done, exists, "{op:?} {}", ty.name());
            assert!(done || lanes == a);
        }
    }
    // One bad count, and nothing is done.
    let mut lanes = [1, 1];
    assert!(!binary_lanes(
        BinaryOp::Shl,
        Type::I32,
        &mut lanes,
        &[1, 32]
    ));
    assert_eq!(lanes, [1, 1]);
}

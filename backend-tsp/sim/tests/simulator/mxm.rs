//! The MXM: weights, activations, sums, in int8 and fp16.

use tspc_program::{ElemType, Hemisphere, Instr, MxmQueue, Unit};
use tspc_sim::FaultKind;

use crate::rig::{Bytes, LANES, Rig, lanes, noise, planes};

const EAST: Hemisphere = Hemisphere::East;

pub fn weight(plane: u8) -> Unit {
    Unit::Mxm(EAST, plane, MxmQueue::Weight)
}

pub fn activation(plane: u8) -> Unit {
    Unit::Mxm(EAST, plane, MxmQueue::Activation)
}

pub fn accumulate(plane: u8) -> Unit {
    Unit::Mxm(EAST, plane, MxmQueue::Accumulate)
}

/// Column n of the weights, over k.
fn column(seed: u32, n: usize) -> Bytes {
    noise(seed + n as u32)
}

/// Loads groups 0…19 at 30…49 (from stream b on) and installs n of them at 50.
pub fn load_i8(rig: &mut Rig, plane: u8, seed: u32, b: u8, n: u8) {
    for j in 0..20u8 {
        for i in 0..16u8 {
            let cycle = 30 + u64::from(j);
            rig.at_port(
                cycle,
                b + i,
                &column(seed, 16 * usize::from(j) + usize::from(i)),
            );
        }
    }
    rig.repeat(
        30,
        weight(plane),
        Instr::Lw {
            j: 0,
            step: 1,
            b,
            f16: None,
        },
        19,
        1,
    );
    rig.at(50, weight(plane), Instr::Iw { n, f16: None });
}

/// Σ_k x[k]·W[k, n], lanes from 16n on zero.
fn product(x: impl Fn(usize) -> i32, seed: u32, groups: usize) -> Vec<u32> {
    let sum = |n| {
        (0..LANES)
            .map(|k| x(k) * i32::from(column(seed, n)[k] as i8))
            .sum::<i32>()
    };
    (0..LANES)
        .map(|n| if n < 16 * groups { sum(n) as u32 } else { 0 })
        .collect()
}

#[test]
fn int8_and_uint8_rows_on_both_planes() {
    let mut rig = Rig::default();
    load_i8(&mut rig, 0, 1000, 0, 20);
    load_i8(&mut rig, 1, 2000, 16, 12);
    let x = noise(1);
    // The first row is i8 on plane 0 and u8 on plane 1: several planes may take one stream.
    rig.at_port(53, 20, &x);
    rig.at(
        53,
        activation(0),
        Instr::Act {
            stream: 20,
            ty: ElemType::I8,
        },
    );
    rig.at(
        53,
        activation(1),
        Instr::Act {
            stream: 20,
            ty: ElemType::U8,
        },
    );
    rig.at(66, accumulate(0), Instr::Out { d: 0 })
        .at(66, accumulate(1), Instr::Out { d: 28 });
    for d in [0, 1, 2, 3, 28, 29, 30, 31] {
        rig.collect_result(106, d);
    }
    let (rows, outcome) = rig.run();
    assert_eq!(
        lanes(&rows[..4]),
        product(|k| i32::from(x[k] as i8), 1000, 20)
    );
    assert_eq!(lanes(&rows[4..]), product(|k| i32::from(x[k]), 2000, 12));
    assert_eq!(outcome.acts, [0, 0, 1, 1]);
}

#[test]
fn acc_adds_a_partial_sum_and_drop_none() {
    let partial: [u32; LANES] = std::array::from_fn(|l| (l as u32).wrapping_mul(0xFFFF_1234));
    let x = noise(1);
    let program = |partial| {
        let mut rig = Rig::default();
        load_i8(&mut rig, 0, 1000, 0, 20);
        rig.at_port(53, 20, &x).at_port(54, 20, &x);
        rig.repeat(
            53,
            activation(0),
            Instr::Act {
                stream: 20,
                ty: ElemType::I8,
            },
            1,
            1,
        );
        for (k, plane) in planes(partial).iter().enumerate() {
            rig.at_port(67, 8 + k as u8, plane);
        }
        rig.at(66, accumulate(0), Instr::Drop)
            .at(67, accumulate(0), Instr::Acc { s: 8, d: 4 });
        for d in 4..8 {
            rig.collect_result(107, d);
        }
        rig
    };
    let want: Vec<u32> = product(|k| i32::from(x[k] as i8), 1000, 20)
        .iter()
        .zip(partial)
        .map(|(sum, partial)| sum.wrapping_add(partial))
        .collect();
    assert_eq!(lanes(&program(partial).rows()), want);
    let fault = program([i32::MAX as u32; LANES]).fault();
    assert_eq!((fault.kind, fault.cycle), (FaultKind::Overflow, 67));
}

#[test]
fn an_iw_leaves_rows_before_it_the_old_weights() {
    let x = noise(1);
    let mut rig = Rig::default();
    load_i8(&mut rig, 0, 1000, 0, 20);
    // The next weights: all groups hold column 7 of another matrix; first lw three cycles after the iw.
    let other = column(5, 7);
    for j in 0..20 {
        (0..16).for_each(|i| _ = rig.at_port(53 + j, i, &other));
    }
    rig.repeat(
        53,
        weight(0),
        Instr::Lw {
            j: 19,
            step: -1,
            b: 0,
            f16: None,
        },
        19,
        1,
    );
    rig.at(73, weight(0), Instr::Iw { n: 20, f16: None });
    for t in [72, 76] {
        rig.at_port(t, 20, &x).at(
            t,
            activation(0),
            Instr::Act {
                stream: 20,
                ty: ElemType::I8,
            },
        );
        rig.at(t + 13, accumulate(0), Instr::Out { d: 0 });
        (0..4).for_each(|d| _ = rig.collect_result(t + 53, d));
    }
    let rows = rig.rows();
    assert_eq!(
        lanes(&rows[..4]),
        product(|k| i32::from(x[k] as i8), 1000, 20)
    );
    let sum: i32 = x
        .iter()
        .zip(other)
        .map(|(x, w)| i32::from(*x as i8) * i32::from(w as i8))
        .sum();
    assert_eq!(lanes(&rows[4..]), [sum as u32; LANES]);
}

/// f16 bits without infinities and NaN.
fn f16(seed: u32, k: usize) -> u16 {
    u16::from_le_bytes([noise(seed)[k], noise(seed + 7777)[k]]) & 0xBFFF
}

fn low_high(bits: impl Fn(usize) -> u16) -> [Bytes; 2] {
    [0, 1].map(|b| std::array::from_fn(|k| bits(k).to_le_bytes()[b]))
}

/// Loads 40 groups at 30…69 for half p and installs n of them at 70.
pub fn load_f16(rig: &mut Rig, p: u8, n: u8) {
    for j in 0..40u8 {
        for i in 0..8u8 {
            let column = 100_000 + 8 * u32::from(j) + u32::from(i);
            for (b, bytes) in low_high(|k| f16(column, k)).iter().enumerate() {
                rig.at_port(30 + u64::from(j), 16 + 2 * i + b as u8, bytes);
            }
        }
    }
    rig.repeat(
        30,
        weight(0),
        Instr::Lw {
            j: 0,
            step: 1,
            b: 16,
            f16: Some(p),
        },
        39,
        1,
    );
    rig.at(70, weight(0), Instr::Iw { n, f16: Some(p) });
}

#[test]
fn fp16_rows_take_their_half_of_the_lanes() {
    for p in [0, 1] {
        let mut rig = Rig::default();
        load_f16(&mut rig, p, 30);
        for (b, bytes) in low_high(|k| f16(5, k)).iter().enumerate() {
            rig.at_port(73, 2 + b as u8, bytes)
                .at_port(74, 2 + b as u8, bytes);
        }
        rig.repeat(
            73,
            activation(0),
            Instr::Act {
                stream: 2,
                ty: ElemType::F16,
            },
            1,
            1,
        );
        let partial: [u32; LANES] = std::array::from_fn(|l| (l as f32 * 1e3).to_bits());
        for (k, plane) in planes(partial).iter().enumerate() {
            rig.at_port(87, 4 + k as u8, plane);
        }
        rig.at(86, accumulate(0), Instr::Out { d: 0 }).at(
            87,
            accumulate(0),
            Instr::Acc { s: 4, d: 0 },
        );
        for (t, d) in (126..128).flat_map(|t| (0..4).map(move |d| (t, d))) {
            rig.collect_result(t, d);
        }
        let rows = rig.rows();
        let half = 160 * usize::from(p)..160 * usize::from(p + 1);
        let x: Vec<u16> = half.clone().map(|k| f16(5, k)).collect();
        let want: Vec<f32> = (0..LANES)
            .map(|n| {
                let w: Vec<u16> = half.clone().map(|k| f16(100_000 + n as u32, k)).collect();
                if n < 240 {
                    tspc_num::dot_f16(&x, &w)
                } else {
                    0.0
                }
            })
            .collect();
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(lanes(&rows[..4]), bits(&want));
        let sums: Vec<f32> = want
            .iter()
            .zip(partial)
            .map(|(s, p)| s + f32::from_bits(p))
            .collect();
        assert_eq!(lanes(&rows[4..]), bits(&sums));
    }
}

#[test]
fn the_odd_plane_idles_from_the_first_fp16_lw_to_the_last_fp16_result() {
    let program = |odd: &[u64], rows: &[u64]| {
        let mut rig = Rig::default();
        load_f16(&mut rig, 0, 40);
        for t in rows {
            for (b, bytes) in low_high(|k| f16(5, k)).iter().enumerate() {
                rig.at_port(*t, 2 + b as u8, bytes);
            }
            rig.at(
                *t,
                activation(0),
                Instr::Act {
                    stream: 2,
                    ty: ElemType::F16,
                },
            );
            rig.at(t + 13, accumulate(0), Instr::Drop);
        }
        for t in odd {
            (0..16).for_each(|i| _ = rig.at_port(*t, i, &noise(3)));
            rig.at(
                *t,
                weight(1),
                Instr::Lw {
                    j: 0,
                    step: 0,
                    b: 0,
                    f16: None,
                },
            );
        }
        rig
    };
    // Before the first lw (30) and after the last result (80 + 53).
    assert_eq!(program(&[29, 134], &[80]).run().1.acts, [0, 0, 1, 0]);
    for (odd, rows) in [(30, 80), (69, 80), (75, 80), (133, 80)] {
        let fault = program(&[odd], &[rows]).fault();
        assert_eq!(
            (fault.kind, fault.unit),
            (FaultKind::OddPlane, Some(weight(1))),
            "{odd}"
        );
    }
    // Idle streams do not end the interval: 300 lies between the first lw and the last result.
    assert_eq!(program(&[300], &[80, 400]).kind(), FaultKind::OddPlane);
}

//! The SXM: every operation, back and on.

use tspc_program::{ElemType, Hemisphere, Instr, SxmMode, SxmUnit, Unit};

use crate::mxm::{accumulate, activation, weight};
use crate::rig::{Bytes, LANES, Rig, lanes, noise};

pub fn unit(sub: SxmUnit) -> Unit {
    Unit::Sxm(Hemisphere::East, sub)
}

const T: u64 = 40;

/// Vectors by stream that enter at T and leave, `delay` + 4 later, on streams `out`.
fn back(inputs: &[(u8, Bytes)], sub: SxmUnit, instr: Instr, delay: u64, out: &[u8]) -> Vec<Bytes> {
    let mut rig = Rig::default();
    for (id, bytes) in inputs {
        rig.at_sxm(T, *id, bytes);
    }
    rig.at(T, unit(sub), instr);
    for id in out {
        rig.collect_result(T + delay + 4, *id);
    }
    rig.rows()
}

#[test]
fn distribute_gathers_within_superlanes() {
    let mut map = noise(3);
    map.iter_mut().for_each(|m| *m %= 20);
    let (a, b) = (noise(1), noise(2));
    let instr = Instr::Distribute {
        mask: 0b100_0010,
        map: 31,
        dst: 16,
        mode: SxmMode::Back,
    };
    let inputs = [(9, a), (14, b), (31, map)];
    let rows = back(&inputs, SxmUnit::Distributor(1), instr, 2, &[17, 22]);
    let want = |from: Bytes| -> Bytes {
        std::array::from_fn(|l| {
            if map[l] < 16 {
                from[l / 16 * 16 + usize::from(map[l])]
            } else {
                0
            }
        })
    };
    assert_eq!(rows, [want(a), want(b)]);
    assert!(map.iter().any(|m| *m >= 16));
}

#[test]
fn transpose_exchanges_streams_and_lanes() {
    let inputs: Vec<(u8, Bytes)> = (0..16).map(|j| (16 + j, noise(j.into()))).collect();
    let instr = Instr::Transpose {
        src: 16,
        dst: 0,
        mode: SxmMode::Back,
    };
    let out: Vec<u8> = (0..16).collect();
    let rows = back(&inputs, SxmUnit::Transposer(1), instr, 4, &out);
    for (i, row) in rows.iter().enumerate() {
        for (lane, byte) in row.iter().enumerate() {
            let (s, j) = (lane / 16, lane % 16);
            assert_eq!(*byte, inputs[j].1[16 * s + i], "stream {i} lane {lane}");
        }
    }
}

#[test]
fn permute_crosses_superlanes() {
    let source = |lane: usize| (lane * 7 + 311) % LANES;
    let map: [Bytes; 2] =
        [0, 1].map(|b| std::array::from_fn(|l| (source(l) as u16).to_le_bytes()[b]));
    let inputs = [
        (4, noise(1)),
        (5, noise(2)),
        (6, noise(3)),
        (8, map[0]),
        (9, map[1]),
    ];
    let instr = Instr::Permute {
        src: 4,
        w: 3,
        map: 8,
        dst: 29,
        mode: SxmMode::Back,
    };
    let rows = back(&inputs, SxmUnit::Permutor, instr, 22, &[29, 30, 31]);
    for (row, (_, from)) in rows.iter().zip(&inputs) {
        assert_eq!(*row, std::array::from_fn(|l| from[source(l)]));
    }
}

#[test]
fn shifts_fill_with_zeros_and_take_longer_beyond_a_superlane() {
    for (n, delay) in [(1, 4), (16, 4), (17, 5), (32, 5), (33, 6), (319, 23)] {
        let from = noise(n.into());
        let instr = Instr::Shift {
            src: 2,
            w: 1,
            n,
            dst: 3,
            mode: SxmMode::Back,
        };
        let n = usize::from(n);
        let up = back(&[(2, from)], SxmUnit::ShiftUp, instr, delay, &[3]);
        assert_eq!(
            up[0],
            std::array::from_fn(|l| if l >= n { from[l - n] } else { 0 })
        );
        let down = back(&[(2, from)], SxmUnit::ShiftDown, instr, delay, &[3]);
        assert_eq!(
            down[0],
            std::array::from_fn(|l| if l + n < LANES { from[l + n] } else { 0 })
        );
    }
}

#[test]
fn on_replaces_the_undisturbed_byte_at_the_port() {
    // All weights 1, so that a result lane is the sum of the row.
    let mut rig = Rig::default();
    for j in 0..10 {
        (0..16).for_each(|i| _ = rig.at_port(30 + j, i, &[1; LANES]));
    }
    rig.repeat(
        30,
        weight(0),
        Instr::Lw {
            j: 0,
            step: 1,
            b: 0,
            f16: None,
        },
        9,
        1,
    );
    rig.at(40, weight(0), Instr::Iw { n: 10, f16: None });
    // A shift by one at 40 delivers at the port at 40 + 4 + 5; what would be there passed SR_11 at 40.
    let mut x = [0u8; LANES];
    x[318] = 3;
    x[319] = 100;
    rig.at_sxm(40, 20, &x)
        .at_sr11(40, 20, &[1; LANES])
        .at_port(50, 20, &[1; LANES]);
    let shift = Instr::Shift {
        src: 20,
        w: 1,
        n: 1,
        dst: 20,
        mode: SxmMode::On,
    };
    rig.at(40, unit(SxmUnit::ShiftUp), shift);
    rig.repeat(
        49,
        activation(0),
        Instr::Act {
            stream: 20,
            ty: ElemType::I8,
        },
        1,
        1,
    );
    rig.repeat(62, accumulate(0), Instr::Out { d: 0 }, 1, 1);
    for t in [102, 103] {
        (0..4).for_each(|d| _ = rig.collect_result(t, d));
    }
    let rows = rig.rows();
    assert_eq!(lanes(&rows[..4])[0], 3);
    assert_eq!(lanes(&rows[4..])[0], 320);
    assert_eq!(lanes(&rows[4..])[160], 0);
}

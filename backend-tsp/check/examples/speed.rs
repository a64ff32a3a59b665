//! How long a program of BERT-base's size takes: `cargo run --release -p tspc-check --example speed`.

#[path = "../tests/build/mod.rs"]
mod build;

use std::time::Instant;

use build::*;
use tspc_program::*;

const BLOCKS: u16 = 7;

/// 24 million dispatches: 32 slices feed four adders of i32, whose results 16 slices write, in every cycle.
fn main() {
    let mut b = Build::default();
    let turn = u64::from(u16::MAX) + 1;
    let blocks = |b: &mut Build, unit: Unit, start: u64, instr: Instr| -> Vec<Site> {
        (0..u64::from(BLOCKS))
            .map(|k| b.repeated(unit, start + k * turn, instr, u16::MAX, 1))
            .collect()
    };
    let link = |b: &mut Build, to: &[Site], slot: u8, from: &[Site]| {
        for (to, from) in to.iter().zip(from) {
            b.takes(*to, [slot], 65_536, made_by(*from));
        }
    };
    // All streams are at SR_0 at 9: group g drives SR_g at t + 1 and is there g later.
    let slices: Vec<u8> = (0..37)
        .filter(|s| ![16, 20, 24, 28].contains(s))
        .take(32)
        .collect();
    let mut reads = Vec::new();
    for (id, &s) in slices.iter().enumerate() {
        b.image(West, s, 0, 1, 0);
        let sites = blocks(
            &mut b,
            Unit::Mem(West, s),
            9 - u64::from(s / 4),
            read(e(id as u8), 0, 0),
        );
        for site in &sites {
            b.reads_image(*site, 65_536);
        }
        reads.push(sites);
    }
    for row in 0..4u8 {
        let operand = |id| Operand::Stream {
            stream: e(id),
            ty: ElemType::I32,
        };
        let add = AluInstr {
            op: AluOp::AddSat,
            a: operand(8 * row),
            b: Some(operand(8 * row + 4)),
            imm: 0,
            result: e(8 * row),
            ty: ElemType::I32,
            mode: ResultMode::Out,
        };
        let adds = blocks(&mut b, alu(4 * row), 15, Instr::Alu(add));
        for slot in 0..8 {
            link(&mut b, &adds, slot, &reads[usize::from(8 * row + slot)]);
        }
        for byte in 0..4 {
            // Out at 18 on SR_0; group g takes SR_g g later.
            let s = slices[usize::from(4 * row + byte)];
            let to = write(e(8 * row + byte), 0, 0);
            let writes = blocks(&mut b, Unit::Mem(East, s), 18 + u64::from(s / 4), to);
            link(&mut b, &writes, 2, &adds);
        }
    }
    let start = Instant::now();
    let report = report(&b.program);
    let seconds = start.elapsed().as_secs_f64();
    assert!(report.accepted(), "{}", report.violations[0]);
    println!("{} dispatches in {seconds:.2} s", report.dispatches);
}

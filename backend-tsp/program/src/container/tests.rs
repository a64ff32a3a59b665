//! Programs survive the container, and other bytes are refused with their offset.

use sha2::{Digest, Sha256};

use super::*;
use crate::instr::Instr;
use crate::samples;

/// A container with this payload changed by `change`, lengths and checksum made right again.
fn forged(program: &Program, tag: &[u8; 4], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let bytes = program.to_bytes();
    let mut out = bytes[..HEADER].to_vec();
    let mut at = HEADER;
    for _ in TAGS {
        let n = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().unwrap()) as usize;
        let mut payload = bytes[at + 12..at + 12 + n].to_vec();
        if &bytes[at..at + 4] == tag {
            change(&mut payload);
        }
        out.extend(&bytes[at..at + 4]);
        out.extend((payload.len() as u64).to_le_bytes());
        out.extend(payload);
        at += 12 + n;
    }
    seal(out)
}

/// Sets the length and appends the checksum.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let total = (bytes.len() + CHECKSUM) as u64;
    bytes[12..20].copy_from_slice(&total.to_le_bytes());
    let checksum = Sha256::digest(&bytes);
    bytes.extend(checksum);
    bytes
}

fn message(bytes: &[u8]) -> String {
    Program::from_bytes(bytes).unwrap_err().to_string()
}

#[test]
fn decoding_restores_the_program() {
    for seed in 0..40 {
        let program = samples::program(seed);
        let bytes = program.to_bytes();
        assert_eq!(
            Program::from_bytes(&bytes).as_ref(),
            Ok(&program),
            "seed {seed}"
        );
        assert_eq!(program.to_bytes(), bytes);
    }
}

#[test]
fn text_takes_sixteen_and_four_bytes() {
    let program = samples::program(1);
    let short = |i: &&Instr| matches!(i, Instr::Nop { .. } | Instr::Repeat { .. });
    let (all, short) = (
        program.queues.iter().flatten().count(),
        program.queues.iter().flatten().filter(short).count(),
    );
    assert_eq!(
        program.text_bytes(),
        (16 * (all - short) + 4 * short) as u64
    );
    assert_eq!(
        encode::text(&program).len() as u64,
        144 * 8 + program.text_bytes()
    );
}

#[test]
fn the_hash_is_over_what_the_chip_executes() {
    let program = samples::program(2);
    let hash = program.sha256();
    let mut other = program.clone();
    other.uses.clear();
    other.locations.clear();
    other.machine_hash.clear();
    assert_eq!(other.sha256(), hash);
    let changes: [fn(&mut Program); 3] = [
        |p| p.queues[0].push(Instr::Nop { n: 1 }),
        |p| p.image[0].bytes[0] ^= 1,
        |p| p.outputs[0].tiles[0].planes[0][0].addr ^= 1,
    ];
    for change in changes {
        let mut other = program.clone();
        change(&mut other);
        assert_ne!(other.sha256(), hash);
    }
    assert_eq!(hash.len(), 64);
}

#[test]
fn every_truncation_and_every_flipped_byte_is_an_error() {
    let bytes = samples::program(3).to_bytes();
    for n in (0..bytes.len()).step_by(97).chain(0..64) {
        assert!(Program::from_bytes(&bytes[..n]).is_err(), "{n}");
    }
    for i in (0..bytes.len()).step_by(97).chain(0..64) {
        let mut bytes = bytes.clone();
        bytes[i] ^= 0x10;
        assert!(Program::from_bytes(&bytes).is_err(), "{i}");
    }
}

#[test]
fn the_header_says_what_is_wrong() {
    let bytes = samples::program(3).to_bytes();
    let with = |i: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[i] = byte;
        bytes
    };
    assert!(message(&with(0, b'?')).starts_with("byte 0: expected the magic"));
    assert_eq!(
        message(&with(8, 9)),
        "byte 8: expected format version 2, found 9"
    );
    assert!(
        message(&bytes[..bytes.len() - 1])
            .starts_with("byte 12: expected the length of the container")
    );
    assert!(message(&with(200, bytes[200] ^ 1)).contains("expected the SHA-256"));
    assert_eq!(
        message(b"TSP"),
        "byte 0: expected the magic, 8 bytes, found 3 bytes to the end"
    );
    let mut long = bytes.clone();
    long.push(0);
    assert!(message(&long).starts_with("byte 12:"));
}

#[test]
fn sections_stand_in_order_and_are_used_up() {
    let program = samples::program(3);
    let body = |bytes: Vec<u8>| bytes[..bytes.len() - CHECKSUM].to_vec();
    let mut renamed = body(program.to_bytes());
    renamed[HEADER] = b'X';
    assert!(message(&seal(renamed)).starts_with("byte 20: expected section META, found XETA"));
    let mut longer = body(program.to_bytes());
    longer.push(0);
    assert!(message(&seal(longer)).contains("expected the end of the section, found 1 more bytes"));
    for tag in TAGS {
        let bytes = forged(&program, tag, |payload| payload.push(0));
        assert!(
            message(&bytes).contains("expected the end of the section, found 1 more bytes"),
            "{tag:?}"
        );
    }
}

#[test]
fn counts_are_held_against_the_bytes_that_are_left() {
    let program = samples::program(3);
    for tag in TAGS {
        let bytes = forged(&program, tag, |payload| payload[..8].fill(0xFF));
        assert!(
            message(&bytes).contains("a count of at most"),
            "{tag:?}: {}",
            message(&bytes)
        );
    }
}

#[test]
fn nonsense_in_a_section_is_an_error_and_nothing_is_accepted_twice() {
    let program = samples::program(4);
    let mut numbers = samples::Numbers(9);
    for tag in TAGS {
        for _ in 0..300 {
            let (i, byte) = (numbers.below(1 << 20) as usize, numbers.below(256) as u8);
            let bytes = forged(&program, tag, |payload| {
                let i = i % payload.len();
                payload[i] = byte;
            });
            if let Ok(other) = Program::from_bytes(&bytes) {
                assert_eq!(other.to_bytes(), bytes);
            }
        }
    }
}

#[test]
fn a_wild_opcode_and_an_unused_byte_are_refused_where_they_are() {
    let mut program = samples::program(5);
    program.uses.clear();
    for queue in &mut program.queues {
        queue.clear();
    }
    program.queues[143] = vec![Instr::Drop];
    let first = HEADER + 12 + 8 + "a machine".len() + 8 + program.machine_hash.len() + 12 + 144 * 8;
    let opcode = forged(&program, b"TEXT", |text| text[144 * 8] = 99);
    assert_eq!(
        message(&opcode),
        format!("byte {first}: expected an opcode 1…12, found 99")
    );
    let unused = forged(&program, b"TEXT", |text| text[144 * 8 + 15] = 1);
    assert_eq!(
        message(&unused),
        format!("byte {}: expected 0 in an unused byte, found 1", first + 15)
    );
}

#[test]
fn a_malformed_program_does_not_come_out_of_a_container() {
    let mut program = samples::program(5);
    program.image[0].slice = 44;
    assert!(message(&program.to_bytes()).contains("image segment 0: slice 44"));
}

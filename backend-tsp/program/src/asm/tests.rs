//! Listings assemble to what they say, print back, and are refused with a place.

use super::*;
use crate::instr::{MemAccess, MemPart};
use crate::print::listing;
use crate::program::{Consumer, Site, Source, Use};
use crate::samples;
use crate::unit::{Direction, Stream};

fn errors(text: &str) -> String {
    assemble(text, "t.tspasm").unwrap_err().to_string()
}

fn program(text: &str) -> Program {
    assemble(text, "t.tspasm").unwrap_or_else(|e| panic!("{e}"))
}

/// One word from slice to slice, once with nops by hand, once without.
const COPY: &str = r#"
.machine tsp-v1 00ff            ; a hash
.location "copy"
.input x i8 1x320
  tile 0..320
    plane MEM_E0 0x0010 +1 x1
.output y i8 1x320
  tile 0..320
    plane MEM_E5 0x1000 +1 x1
.queue MEM_E0
  @0 read e4 0x0010
.queue MEM_E5
  nop 1
  @1 write e4 0x1000 +0
.uses
  MEM_E0@0.0 <- image
  MEM_E5@1.2 <- MEM_E0@0
  output#0:0 <- MEM_E5@1
"#;

#[test]
fn assembling_a_listing_restores_the_program() {
    for seed in 0..40 {
        let program = samples::program(seed);
        let text = listing(&program);
        let again = assemble(&text, "t").unwrap_or_else(|e| panic!("seed {seed}: {e}\n{text}"));
        assert!(again == program, "seed {seed}\n{text}\n{}", listing(&again));
        assert_eq!(again.to_bytes(), program.to_bytes());
    }
}

#[test]
fn image_words_are_named_unless_the_read_names_them_itself() {
    let source = |text: &str| {
        let text = COPY.replace("MEM_E0@0.0 <- image", &format!("MEM_E0@0.0 <- {text}"));
        let program = program(&text);
        let Source::Image { word, step } = program.uses[0].source else {
            panic!("{:?}", program.uses[0])
        };
        let line = listing(&program)
            .lines()
            .find(|l| l.contains(".0 <-"))
            .unwrap()
            .to_string();
        (word, step, line.trim().to_string())
    };
    let line = |tail: &str| format!("MEM_E0@0.0 <- image{tail}");
    for (text, word, step, tail) in [
        ("image", 16, 0, ""),
        ("image 16 step 0", 16, 0, ""),
        ("image 16", 16, 1, " 0x0010"),
        ("image 0x0011", 17, 1, " 0x0011"),
        ("image 16 step -2", 16, -2, " 0x0010 step -2"),
    ] {
        assert_eq!(source(text), (word, step, line(tail)));
    }
}

#[test]
fn a_tiny_listing() {
    insta::assert_snapshot!(listing(&program(COPY)));
}

#[test]
fn a_program_by_hand() {
    let p = program(COPY);
    let queue = |name: &str| QueueId::all().find(|q| q.to_string() == name).unwrap();
    let stream = Stream {
        dir: Direction::East,
        id: 4,
    };
    let access = MemAccess::Direct {
        addr: 0x1000,
        step: 0,
    };
    assert_eq!(
        p.queues[queue("MEM_E5").index()],
        [
            Instr::Nop { n: 1 },
            Instr::Mem {
                read: None,
                write: Some(MemPart { stream, access })
            }
        ]
    );
    let site = |name, index| Site {
        queue: queue(name),
        index,
    };
    assert_eq!(
        p.uses[1],
        Use {
            consumer: Consumer::Instr(site("MEM_E5", 1)),
            slot: 2,
            first: 0,
            count: 1,
            source: Source::Dispatch {
                site: site("MEM_E0", 0),
                first: 0,
                step: 1
            },
            loc: 0
        }
    );
    assert_eq!(program(&COPY.replace("MEM_E5@1", "MEM_E5#1")), p);
    assert_eq!(p.machine_hash, "00ff");
    assert_eq!(
        program(".machine tsp-v1").machine_hash,
        Machine::tsp_v1().hash
    );
}

#[test]
fn autonop_waits_with_the_fewest_nops() {
    let by_hand = COPY.replace("tsp-v1 00ff", "tsp-v1");
    let auto = by_hand
        .replace("  nop 1\n", "")
        .replace(".location", ".autonop\n.location");
    assert_eq!(program(&auto).to_bytes(), program(&by_hand).to_bytes());
    let far =
        program(".machine tsp-v1\n.autonop\n.queue MXM0.acc\n@2 drop\nrepeat 3 4\n@70000 drop");
    let queue = &far.queues.iter().find(|q| !q.is_empty()).unwrap()[..];
    let nop = |n| Instr::Nop { n };
    let repeat = Instr::Repeat { n: 3, d: 4 };
    // The repeat ends with a dispatch at 14, so the queue is free at 15; 70000 − 15 = 65535 + 4450.
    assert_eq!(
        queue,
        [
            nop(2),
            Instr::Drop,
            repeat,
            nop(65_535),
            nop(4450),
            Instr::Drop
        ]
    );
}

#[test]
fn cycles_are_checked() {
    let queue = |body: &str| format!(".machine tsp-v1\n.queue MXM0.acc\n{body}");
    assert_eq!(
        errors(&queue("@1 drop")),
        "t.tspasm:3:1: expected cycle @0, found `@1`"
    );
    assert_eq!(
        errors(&queue("nop 3\n@3 drop\n repeat 2 5\n  @13 drop")),
        "t.tspasm:6:3: expected cycle @14, found `@13`"
    );
    assert_eq!(
        errors(&format!(".autonop\n{}", queue("@3 drop\n@3 drop"))),
        "t.tspasm:5:1: expected cycle @4 or later, found `@3`"
    );
    assert!(errors(&queue("@0 nop 1")).contains("3:1: expected no cycle: a nop or a repeat"));
    // The cycle after a refused line is taken as given, and goes on from there.
    assert_eq!(
        errors(&queue("droop\n@7 drop\n@9 drop")),
        "t.tspasm:3:1: expected an instruction, found `droop`\n\
         t.tspasm:5:1: expected cycle @8, found `@9`"
    );
}

/// A line of queue, input, image or uses with a mistake, and the message without the file.
#[test]
fn mistakes_are_shown_where_they_are() {
    let in_queue =
        |queue: &str, line: &str| errors(&format!(".machine tsp-v1\n.queue {queue}\n{line}"));
    let cases = [
        (
            "MEM_E0",
            "read x4 0x10",
            "3:6: expected a stream e0…e31 or w0…w31, found `x4`",
        ),
        (
            "MEM_E0",
            "read e32 0x10",
            "3:6: expected a stream e0…e31 or w0…w31, found `e32`",
        ),
        (
            "MEM_E0",
            "read e4 0x2000",
            "3:9: expected address 0…8191, found `0x2000`",
        ),
        (
            "MEM_E0",
            "read e4 0 +4096",
            "3:11: expected step -4096…4095, `,` or the end of the line, found `+4096`",
        ),
        (
            "MEM_E0",
            "read e4",
            "3:8: expected address 0…8191, found the end of the line",
        ),
        (
            "MEM_E0",
            "read e4 0 +1 w3",
            "3:14: expected the end of the line, found `w3`",
        ),
        (
            "MEM_E0",
            "read e4 0 , read e4 0",
            "3:13: expected `write` or `scatter`, found `read`",
        ),
        (
            "MEM_E0",
            "gather e4 bank 2 map w0",
            "3:16: expected bank 0…1, found `2`",
        ),
        (
            "ALU0",
            "add e0:f32 f32 -> e0:f32 out",
            "3:12: expected an operand like `e4:f32` or `imm:0x3f800000`, found `f32`",
        ),
        (
            "ALU0",
            "neg e0:f32 -> e0:f32",
            "3:21: expected `mesh` or `out`, found the end of the line",
        ),
        (
            "MXM0.weight",
            "lw 20 +1 s0",
            "3:4: expected group 0…19, found `20`",
        ),
        (
            "MXM0.weight",
            "lw 0 +1 s8",
            "3:9: expected s0 or s16, found `s8`",
        ),
        (
            "MXM0.weight",
            "iw.f16 40 p2",
            "3:11: expected a K half p0 or p1, found `p2`",
        ),
        (
            "MXM0.act",
            "act e5:i8",
            "3:5: expected a stream and its type like `s5:i8`, found `e5:i8`",
        ),
        ("MXM0.acc", "out s4", "3:5: expected `->`, found `s4`"),
        (
            "SXM_W.up",
            "shift s0 w5 by 1 -> s0 back",
            "3:10: expected a width w1…w4, found `w5`",
        ),
        (
            "SXM_W.up",
            "shift s0 w1 by 320 -> s0 back",
            "3:16: expected lanes 1…319, found `320`",
        ),
        (
            "SXM_W.up",
            "shift s0 w1 by 1 -> s0 off",
            "3:24: expected `back` or `on`, found `off`",
        ),
        ("MEM_E0", "nop 0", "3:5: expected cycles 1…65535, found `0`"),
        (
            "MEM_E0",
            "repeat 1 0",
            "3:10: expected interval 1…65535, found `0`",
        ),
        (
            "MEM_E44",
            "nop 1",
            "2:8: expected a queue like `ALU3`, `MEM_W12` or `MXM2.act`, found `MEM_E44`",
        ),
    ];
    for (queue, line, expected) in cases {
        assert_eq!(
            in_queue(queue, line),
            format!("t.tspasm:{expected}"),
            "{line}"
        );
    }
    let cases = [
        ("00ff", "\"", "2:17: expected a closing `\"`"),
        (".location", ".lokation", "expected one of `.machine"),
        (
            ".queue MEM_E5",
            ".queue MEM_E0",
            "12:8: expected each queue once, found `MEM_E0`",
        ),
        (
            "tile 0..320",
            "tile 0..321",
            "expected columns like `0..320`, `7*16` or `-*4`, for at most 320 lanes, found `0..321`",
        ),
        (
            "tile 0..320",
            "tile 0..320 -*1",
            "for at most 0 lanes, found `-*1`",
        ),
        (
            "  tile 0..320",
            "",
            "expected a `tile` before the first plane, found `plane`",
        ),
        (
            "i8 1x320",
            "i8 0x320",
            "expected rows and columns like `4x320`, found `0x320`",
        ),
        (
            "MEM_E5@1.2",
            "MEM_E5@2.2",
            "17:3: expected a consumer and its slots",
        ),
        (
            "MEM_E5@1.2",
            "MEM_E5@1.2 1",
            "17:14: expected iterations like `0..128`, or `<-`, found `1`",
        ),
        (
            ".2 <- MEM_E0@0",
            ".2 <- MEM_E0@1",
            "17:17: expected `image` or an instruction that dispatches",
        ),
        (
            "MEM_E0@0.0 <- image",
            "MEM_E0@0.0 <- image 0x2000",
            "16:23: expected address of a word 0…8191, found `0x2000`",
        ),
        (
            "<- MEM_E0@0",
            "<- image",
            "17:17: expected `image` with a word, for other operands than that of a read, found `image`",
        ),
        (
            ".location \"copy\"",
            "",
            "16:3: expected a `.location` line before the uses, found `MEM_E0@0.0`",
        ),
        (
            ".machine tsp-v1 00ff",
            "",
            "1:1: expected a line `.machine NAME [HASH]`",
        ),
        (
            "tsp-v1 00ff",
            "tsp-v9",
            "2:10: expected a built-in machine file, or a hash after the name, found `tsp-v9`",
        ),
        (
            ".uses",
            ".image MEM_W0 0xfff\nhex 0\n.uses",
            "16:5: expected 1…320 bytes in hexadecimal, found `0`",
        ),
        (
            ".uses",
            ".image MEM_W0 0xfff\nsplat 1 * 2\n.uses",
            "16:11: expected words 1…1, found `2`",
        ),
        (
            ".uses",
            ".image MEM_W0 0xfff\nsplat 1\nsplat 1\n.uses",
            "17:1: expected a directive: the bank is full",
        ),
        (
            ".uses",
            ".uses\n.uses",
            "expected this directive once, found `.uses`",
        ),
        (
            ".machine",
            "hello\n.machine",
            "2:1: expected a directive like `.queue` before it, found `hello`",
        ),
    ];
    for (from, to, expected) in cases {
        let text = errors(&COPY.replacen(from, to, 1));
        assert!(text.contains(expected), "{from} → {to}: {text}");
    }
}

#[test]
fn rules_of_form_are_reported_at_the_line() {
    let cases = [
        (
            "read e4 0x0010",
            "read e4 0x0010, write e4 0x1000\n  drop",
            "12:1: expected a well-formed program, found MEM_E0#1: not an instruction of MEM_E0",
        ),
        (
            "  nop 1\n",
            "  nop 1\n  repeat 1 1\n",
            "14:1: expected a well-formed program, found MEM_E5#1: repeat of a nop",
        ),
        (
            "MEM_E5@1.2",
            "MEM_E5@1.3",
            "17:1: expected a well-formed program, found use 1: slot 3",
        ),
        (
            "i8 1x320",
            "i8 2x320",
            "4:1: expected a well-formed program, found input 0: 1 words in a plane, expected 2 rows",
        ),
    ];
    for (from, to, expected) in cases {
        let text = errors(&COPY.replacen(from, to, 1));
        assert!(text.contains(expected), "{from} → {to}: {text}");
    }
}

#[test]
fn every_refused_line_is_reported() {
    let text = ".machine tsp-v1\n.queue ALU0\nfoo\nbar\n.queue ALU99\nskipped\n.queue ALU1\nbaz\n";
    let lines: Vec<_> = assemble(text, "t")
        .unwrap_err()
        .diagnostics
        .iter()
        .map(|d| d.line)
        .collect();
    assert_eq!(lines, [3, 4, 5, 8]);
}

#[test]
fn any_text_gives_a_program_or_an_error() {
    let text = listing(&samples::program(7));
    let lines: Vec<&str> = text.lines().collect();
    let mut numbers = samples::Numbers(5);
    for _ in 0..60 {
        let mut lines = lines.clone();
        let (i, j) = (
            numbers.below(lines.len() as u64) as usize,
            numbers.below(lines.len() as u64) as usize,
        );
        lines.swap(i, j);
        let cut = numbers.below(lines[i].chars().count() as u64 + 1) as usize;
        let changed: String = lines[i].chars().take(cut).collect();
        lines[i] = &changed;
        let _ = assemble(&lines.join("\n"), "t");
    }
}

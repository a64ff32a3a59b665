//! Hand-timed programs for the tests: instructions at cycles, nops filled in, and three accepted programs.
//!
//! Every cycle here is worked out from the machine description, in the comment beside it.
#![allow(dead_code)] // Each test file uses its part.

use tspc_check::{Report, Rule, check};
use tspc_machine::Machine;
use tspc_program::*;

pub use Direction::{East as Eastward, West as Westward};
pub use Hemisphere::{East, West};

/// A program under construction.
pub struct Build {
    pub program: Program,
    free: Vec<u64>,
}

pub fn alu(n: u8) -> Unit {
    Unit::Alu(n)
}

pub fn e(id: u8) -> Stream {
    Stream { dir: Eastward, id }
}

pub fn w(id: u8) -> Stream {
    Stream { dir: Westward, id }
}

pub fn direct(addr: u16, step: i16) -> MemAccess {
    MemAccess::Direct { addr, step }
}

pub fn read(stream: Stream, addr: u16, step: i16) -> Instr {
    Instr::Mem {
        read: Some(MemPart {
            stream,
            access: direct(addr, step),
        }),
        write: None,
    }
}

pub fn write(stream: Stream, addr: u16, step: i16) -> Instr {
    Instr::Mem {
        read: None,
        write: Some(MemPart {
            stream,
            access: direct(addr, step),
        }),
    }
}

pub fn gather(stream: Stream, bank: u8, map: Stream) -> Instr {
    let part = MemPart {
        stream,
        access: MemAccess::Mapped { bank, map },
    };
    Instr::Mem {
        read: Some(part),
        write: None,
    }
}

pub fn scatter(stream: Stream, bank: u8, map: Stream) -> Instr {
    let part = MemPart {
        stream,
        access: MemAccess::Mapped { bank, map },
    };
    Instr::Mem {
        read: None,
        write: Some(part),
    }
}

/// `op` on one stream group.
pub fn unary(
    op: AluOp,
    a: Stream,
    from: ElemType,
    result: Stream,
    ty: ElemType,
    mode: ResultMode,
) -> Instr {
    let a = Operand::Stream {
        stream: a,
        ty: from,
    };
    Instr::Alu(AluInstr {
        op,
        a,
        b: None,
        imm: 0,
        result,
        ty,
        mode,
    })
}

pub fn copy(a: Stream, result: Stream, mode: ResultMode) -> Instr {
    unary(AluOp::Copy, a, ElemType::I8, result, ElemType::I8, mode)
}

/// From iteration 0 of a site, one iteration per iteration.
pub fn made_by(site: Site) -> Source {
    Source::Dispatch {
        site,
        first: 0,
        step: 1,
    }
}

impl Default for Build {
    fn default() -> Build {
        let machine = Machine::tsp_v1();
        let program = Program {
            machine: machine.name,
            machine_hash: machine.hash,
            queues: vec![Vec::new(); QUEUES],
            image: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            uses: Vec::new(),
            locations: vec!["encoder/0".into()],
        };
        Build {
            program,
            free: vec![0; QUEUES],
        }
    }
}

impl Build {
    /// `instr` at `cycle`, after what the queue has.
    pub fn at(&mut self, unit: Unit, cycle: u64, instr: Instr) -> Site {
        let queue = unit.queue().unwrap();
        let (list, free) = (
            &mut self.program.queues[queue.index()],
            &mut self.free[queue.index()],
        );
        assert!(*free <= cycle, "{unit} is busy until {free}");
        if *free < cycle {
            list.push(Instr::Nop {
                n: (cycle - *free) as u16,
            });
        }
        list.push(instr);
        *free = cycle + 1;
        Site {
            queue,
            index: list.len() as u32 - 1,
        }
    }

    /// `n` more times, every `d` cycles.
    pub fn repeated(&mut self, unit: Unit, cycle: u64, instr: Instr, n: u16, d: u16) -> Site {
        let site = self.at(unit, cycle, instr);
        self.program.queues[site.queue.index()].push(Instr::Repeat { n, d });
        self.free[site.queue.index()] += u64::from(n) * u64::from(d);
        site
    }

    /// Slots of `consumer`, for `count` iterations.
    pub fn takes(
        &mut self,
        consumer: Site,
        slots: impl IntoIterator<Item = u8>,
        count: u32,
        source: Source,
    ) {
        for slot in slots {
            let consumer = Consumer::Instr(consumer);
            self.program.uses.push(Use {
                consumer,
                slot,
                first: 0,
                count,
                source,
                loc: 0,
            });
        }
    }

    /// A `read` of words that are in the image or an input.
    pub fn reads_image(&mut self, site: Site, count: u32) {
        let words = self.program.own_words(Consumer::Instr(site), 0).unwrap();
        self.takes(site, [0], count, words);
    }

    /// A `gather` of the image once, with the word of each superlane.
    pub fn gathers_image(&mut self, site: Site, word: impl Fn(u16) -> u16) {
        for k in 0..20 {
            let word = word(k.into());
            self.takes(site, [4 + k], 1, Source::Image { word, step: 0 });
        }
    }

    /// A read of the image, at `cycle`, once.
    pub fn fetch(
        &mut self,
        hemi: Hemisphere,
        slice: u8,
        cycle: u64,
        stream: Stream,
        addr: u16,
    ) -> Site {
        let site = self.at(Unit::Mem(hemi, slice), cycle, read(stream, addr, 0));
        self.reads_image(site, 1);
        site
    }

    /// A write of what `source` made, once.
    pub fn keep(
        &mut self,
        hemi: Hemisphere,
        slice: u8,
        cycle: u64,
        stream: Stream,
        addr: u16,
        source: Site,
    ) -> Site {
        let site = self.at(Unit::Mem(hemi, slice), cycle, write(stream, addr, 0));
        self.takes(site, [2], 1, made_by(source));
        site
    }

    /// `words` words of constants, each byte `value`.
    pub fn image(&mut self, hemi: Hemisphere, slice: u8, addr: u16, words: usize, value: u8) {
        self.image_bytes(hemi, slice, addr, vec![value; 320 * words]);
    }

    pub fn image_bytes(&mut self, hemi: Hemisphere, slice: u8, addr: u16, bytes: Vec<u8>) {
        self.program.image.push(ImageSegment {
            hemi,
            slice,
            addr,
            bytes,
        });
    }

    /// An output of one tile; each byte plane is one run, made by the given writes.
    pub fn output(&mut self, elem: ElemType, runs: Vec<WordRun>, writes: &[Site]) {
        let (rows, entry) = (runs[0].count, self.program.outputs.len() as u32);
        for (run, &site) in writes.iter().enumerate() {
            let consumer = Consumer::Output {
                entry,
                run: run as u32,
            };
            let source = made_by(site);
            self.program.uses.push(Use {
                consumer,
                slot: 0,
                first: 0,
                count: rows,
                source,
                loc: 0,
            });
        }
        self.program.outputs.push(entry_of("y", elem, rows, runs));
    }
}

pub fn entry_of(name: &str, elem: ElemType, rows: u32, runs: Vec<WordRun>) -> IoEntry {
    let tile = IoTile {
        lanes: (0..320).map(Some).collect(),
        planes: runs.into_iter().map(|r| vec![r]).collect(),
    };
    IoEntry {
        name: name.into(),
        elem,
        rows,
        cols: 320,
        tiles: vec![tile],
    }
}

pub fn run_of(hemi: Hemisphere, slice: u8, addr: u16, count: u32) -> WordRun {
    WordRun {
        hemi,
        slice,
        addr,
        step: 1,
        count,
    }
}

pub fn report(program: &Program) -> Report {
    check(program, &Machine::tsp_v1())
}

/// The broken rules, each once.
pub fn rules(program: &Program) -> Vec<Rule> {
    let mut rules: Vec<_> = report(program).violations.iter().map(|v| v.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

/// Sites of the copy program.
pub struct Copy {
    pub build: Build,
    pub read: Site,
    pub alu: Site,
    pub write: Site,
}

/// Eight int8 rows from W3 through ALU0 to E0.
///
/// W3 is in group 0, so a read at 0 drives SR_0(W) eastward at 1; column 0 is 5 further, at 6; the result is out at 9,
/// on SR_0(E), which a write of E0 takes in that cycle. The last row is seven cycles later.
pub fn copy_program() -> Copy {
    let mut b = Build::default();
    b.program.inputs.push(entry_of(
        "x",
        ElemType::I8,
        8,
        vec![run_of(West, 3, 100, 8)],
    ));
    let from = b.repeated(Unit::Mem(West, 3), 0, read(e(0), 100, 1), 7, 1);
    let op = b.repeated(alu(0), 6, copy(e(0), e(0), ResultMode::Out), 7, 1);
    let to = b.repeated(Unit::Mem(East, 0), 9, write(e(0), 200, 1), 7, 1);
    b.reads_image(from, 8);
    b.takes(op, [0], 8, made_by(from));
    b.takes(to, [2], 8, made_by(op));
    b.output(ElemType::I8, vec![run_of(East, 0, 200, 8)], &[to]);
    Copy {
        build: b,
        read: from,
        alu: op,
        write: to,
    }
}

/// Sites of the matrix program.
pub struct Matrix {
    pub build: Build,
    pub lw: Site,
    pub iw: Site,
    pub act: Site,
    pub acc: Site,
    pub writes: Vec<Site>,
}

/// The queues of plane 2, the even one of the East.
pub fn plane2(queue: MxmQueue) -> Unit {
    Unit::Mxm(East, 0, queue)
}

/// Cycles from a read in slice `s` until its outward stream is at the MXM port: SR_{g+1} one later, 10 − g registers
/// to SR_11, 9 to the port.
pub fn to_port(s: u8) -> u64 {
    20 - u64::from(s / 4)
}

/// A full int8 install of plane 2 from E0…E15, one row, a second row accumulated on a partial sum from memory,
/// both written back by E40…E43 and E36…E39.
///
/// Loads are at 20…39, `iw` at 40, rows at 43 and 44, the accumulate queue 13 later at 56 and 57, results on SR_11
/// inward 40 later at 96 and 97. E40… (group 10) takes SR_11 in that cycle, E36… (group 9) SR_10 one later.
pub fn matrix_program() -> Matrix {
    let mut b = Build::default();
    let lw = b.repeated(
        plane2(MxmQueue::Weight),
        20,
        Instr::Lw {
            j: 0,
            step: 1,
            b: 0,
            f16: None,
        },
        19,
        1,
    );
    let iw = b.at(plane2(MxmQueue::Weight), 40, Instr::Iw { n: 20, f16: None });
    b.takes(iw, [INSTALL_TIME], 1, Source::Clock { cycle: 40 });
    for s in 0..16 {
        b.image(East, s, 0, 20, s);
        let from = b.repeated(Unit::Mem(East, s), 20 - to_port(s), read(e(s), 0, 1), 19, 1);
        b.reads_image(from, 20);
        b.takes(lw, [s], 20, made_by(from));
    }
    for j in 0..20 {
        b.takes(
            iw,
            [j],
            1,
            Source::Dispatch {
                site: lw,
                first: u32::from(j),
                step: 0,
            },
        );
    }
    b.image(East, 17, 0, 2, 1);
    let rows = b.repeated(
        Unit::Mem(East, 17),
        43 - to_port(17),
        read(e(16), 0, 1),
        1,
        1,
    );
    b.reads_image(rows, 2);
    let act = Instr::Act {
        stream: 16,
        ty: ElemType::I8,
    };
    let act = b.repeated(plane2(MxmQueue::Activation), 43, act, 1, 1);
    b.takes(act, [0], 2, made_by(rows));
    b.takes(
        act,
        [2],
        2,
        Source::Dispatch {
            site: iw,
            first: 0,
            step: 0,
        },
    );
    let out = b.at(plane2(MxmQueue::Accumulate), 56, Instr::Out { d: 0 });
    b.takes(out, [4], 1, made_by(act));
    let acc = b.at(plane2(MxmQueue::Accumulate), 57, Instr::Acc { s: 20, d: 0 });
    b.takes(
        acc,
        [4],
        1,
        Source::Dispatch {
            site: act,
            first: 1,
            step: 0,
        },
    );
    let mut writes = Vec::new();
    for byte in 0..4 {
        let s = [21, 22, 23, 25][usize::from(byte)];
        b.image(East, s, 0, 1, 0);
        let part = b.fetch(East, s, 57 - to_port(s), e(20 + byte), 0);
        b.takes(acc, [byte], 1, made_by(part));
        writes.push(b.keep(East, 40 + byte, 96, w(byte), 0, out));
    }
    for byte in 0..4 {
        writes.push(b.keep(East, 36 + byte, 98, w(byte), 0, acc));
    }
    b.output(
        ElemType::I32,
        (40..44).map(|s| run_of(East, s, 0, 1)).collect(),
        &writes[..4],
    );
    b.output(
        ElemType::I32,
        (36..40).map(|s| run_of(East, s, 0, 1)).collect(),
        &writes[4..],
    );
    b.program.outputs[1].name = "z".into();
    Matrix {
        build: b,
        lw,
        iw,
        act,
        acc,
        writes,
    }
}

/// Cycles from a read in slice `s` until an SXM operation may take its outward stream: at SR_11 after 11 − g, 4 more.
pub fn to_sxm(s: u8) -> u64 {
    15 - u64::from(s / 4)
}

/// A map of lanes as the two bytes of an SG2.
pub fn lane_map(source: impl Fn(u16) -> u16) -> [Vec<u8>; 2] {
    [0, 1].map(|byte| {
        (0..320)
            .map(|lane| source(lane).to_le_bytes()[byte])
            .collect()
    })
}

/// A map of words: superlane k goes to word `source(k)`.
pub fn word_map(source: impl Fn(u16) -> u16) -> Vec<u8> {
    let mut bytes = vec![0; 320];
    for k in 0..20u16 {
        bytes[16 * usize::from(k)..][..2].copy_from_slice(&source(k).to_le_bytes());
    }
    bytes
}

/// Sites of the exchange program.
pub struct Exchange {
    pub build: Build,
    pub shift: Site,
    pub permute: Site,
    pub distribute: Site,
    pub transpose: Site,
}

/// One trip through each kind of SXM unit of the East, operations at 20, written by E43 (takes SR_11) as they return:
/// distribute 20+2+4 = 26, shift by one lane 20+4+4 = 28, transpose 28, permute 20+22+4 = 46.
pub fn exchange_program(map: [Vec<u8>; 2]) -> Exchange {
    let mut b = Build::default();
    for s in 0..16 {
        b.image(East, s, 0, 1, s);
    }
    // Streams 0…15 from E0…E15; map of the permutor on 16, 17, of the distributor on 18.
    let sources: Vec<_> = (0..16)
        .map(|s| b.fetch(East, s, 20 - to_sxm(s), e(s), 0))
        .collect();
    let [low, high] = map;
    b.image_bytes(East, 17, 0, low);
    b.image_bytes(East, 18, 0, high);
    b.image(East, 19, 0, 1, 3);
    let maps: Vec<_> = (17..20)
        .map(|s| b.fetch(East, s, 20 - to_sxm(s), e(s - 1), 0))
        .collect();

    let back = SxmMode::Back;
    let sxm = |unit| Unit::Sxm(East, unit);
    let shift = b.at(
        sxm(SxmUnit::ShiftUp),
        20,
        Instr::Shift {
            src: 0,
            w: 1,
            n: 1,
            dst: 0,
            mode: back,
        },
    );
    b.takes(shift, [0], 1, made_by(sources[0]));
    let permute = Instr::Permute {
        src: 4,
        w: 1,
        map: 16,
        dst: 4,
        mode: back,
    };
    let permute = b.at(sxm(SxmUnit::Permutor), 20, permute);
    b.takes(permute, [0], 1, made_by(sources[4]));
    b.takes(permute, [4], 1, made_by(maps[0]));
    b.takes(permute, [5], 1, made_by(maps[1]));
    let distribute = Instr::Distribute {
        mask: 0b10,
        map: 18,
        dst: 8,
        mode: back,
    };
    let distribute = b.at(sxm(SxmUnit::Distributor(1)), 20, distribute);
    b.takes(distribute, [1], 1, made_by(sources[9]));
    b.takes(distribute, [8], 1, made_by(maps[2]));
    let transpose = Instr::Transpose {
        src: 0,
        dst: 16,
        mode: back,
    };
    let transpose = b.at(sxm(SxmUnit::Transposer(0)), 20, transpose);
    for (s, &source) in sources.iter().enumerate() {
        b.takes(transpose, [s as u8], 1, made_by(source));
    }
    b.keep(East, 43, 26, w(9), 0, distribute);
    b.keep(East, 43, 28, w(0), 1, shift);
    b.keep(East, 42, 28, w(31), 1, transpose);
    b.keep(East, 43, 46, w(4), 2, permute);
    Exchange {
        build: b,
        shift,
        permute,
        distribute,
        transpose,
    }
}

/// A word scattered over two words of E4, gathered again by superlane, and written to E8.
pub fn gather_program() -> Build {
    let mut b = Build::default();
    b.image(East, 0, 0, 1, 7);
    b.image_bytes(East, 1, 0, word_map(|k| 30 + k % 2));
    // Group 0 drives SR_1 at 1; E4 (group 1) takes it in that cycle.
    let value = b.fetch(East, 0, 0, e(0), 0);
    let map = b.fetch(East, 1, 0, e(1), 0);
    let put = b.at(Unit::Mem(East, 4), 1, scatter(e(0), 1, e(1)));
    b.takes(put, [2], 1, made_by(value));
    b.takes(put, [3], 1, made_by(map));
    let map = b.fetch(East, 1, 6, e(1), 0);
    let get = b.at(Unit::Mem(East, 4), 7, gather(e(9), 1, e(1)));
    b.takes(get, [1], 1, made_by(map));
    b.takes(get, 4..24, 1, made_by(put));
    // SR_2 at 8, taken by E8 (group 2).
    b.keep(East, 8, 8, e(9), 0, get);
    b
}

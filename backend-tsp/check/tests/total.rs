//! The checker is total: programs of arbitrary fields give violations, never a panic.

mod build;

use build::*;
use tspc_program::*;

/// A small generator of numbers; the seed is the test's only input.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// Mostly small, now and then wild.
    fn byte(&mut self, small: u64) -> u8 {
        if self.roll(20) == 0 {
            self.roll(256) as u8
        } else {
            self.roll(small) as u8
        }
    }

    fn word(&mut self, small: u64) -> u16 {
        if self.roll(40) == 0 {
            self.roll(65_536) as u16
        } else {
            self.roll(small) as u16
        }
    }

    fn stream(&mut self) -> Stream {
        Stream {
            dir: [Eastward, Westward][self.roll(2) as usize],
            id: self.byte(32),
        }
    }

    fn part(&mut self) -> Option<MemPart> {
        let access = match self.roll(4) {
            0 => return None,
            1 => MemAccess::Mapped {
                bank: self.byte(2),
                map: self.stream(),
            },
            _ => MemAccess::Direct {
                addr: self.word(64),
                step: (self.word(3) as i16).wrapping_sub(1),
            },
        };
        Some(MemPart {
            stream: self.stream(),
            access,
        })
    }

    fn ty(&mut self) -> ElemType {
        ElemType::ALL[self.roll(6) as usize]
    }

    fn half(&mut self) -> Option<u8> {
        (self.roll(3) == 0).then(|| self.byte(2))
    }

    fn operand(&mut self) -> Operand {
        if self.roll(6) == 0 {
            Operand::Imm
        } else {
            Operand::Stream {
                stream: self.stream(),
                ty: self.ty(),
            }
        }
    }

    fn mode(&mut self) -> SxmMode {
        [SxmMode::Back, SxmMode::On][self.roll(2) as usize]
    }

    fn instr(&mut self, unit: Unit) -> Instr {
        if self.roll(50) == 0 {
            return Instr::Drop;
        }
        match (self.roll(6), unit) {
            (0, _) => Instr::Nop { n: self.word(20) },
            (1, _) => Instr::Repeat {
                n: self.word(5).min(300),
                d: self.word(3),
            },
            (_, Unit::Mem(..)) => Instr::Mem {
                read: self.part(),
                write: self.part(),
            },
            (_, Unit::Alu(_)) => Instr::Alu(AluInstr {
                op: AluOp::ALL[self.roll(AluOp::ALL.len() as u64) as usize],
                a: self.operand(),
                b: (self.roll(2) == 0).then(|| self.operand()),
                imm: 0,
                result: self.stream(),
                ty: self.ty(),
                mode: [ResultMode::Mesh, ResultMode::Out][self.roll(2) as usize],
            }),
            (k, Unit::Mxm(_, _, MxmQueue::Weight)) if k < 5 => Instr::Lw {
                j: self.byte(20),
                step: (self.byte(3) as i8).wrapping_sub(1),
                b: self.byte(2).wrapping_mul(16),
                f16: self.half(),
            },
            (_, Unit::Mxm(_, _, MxmQueue::Weight)) => Instr::Iw {
                n: self.byte(41),
                f16: self.half(),
            },
            (_, Unit::Mxm(_, _, MxmQueue::Activation)) => Instr::Act {
                stream: self.byte(32),
                ty: self.ty(),
            },
            (2, Unit::Mxm(..)) => Instr::Drop,
            (3, Unit::Mxm(..)) => Instr::Out {
                d: self.byte(32) & 0xFC,
            },
            (_, Unit::Mxm(..)) => Instr::Acc {
                s: self.byte(32) & 0xFC,
                d: self.byte(32) & 0xFC,
            },
            (_, Unit::Sxm(_, SxmUnit::Distributor(_))) => Instr::Distribute {
                mask: self.byte(256),
                map: self.byte(32),
                dst: self.byte(32) & 0xF8,
                mode: self.mode(),
            },
            (_, Unit::Sxm(_, SxmUnit::Transposer(_))) => Instr::Transpose {
                src: self.byte(32) & 0x10,
                dst: self.byte(32) & 0x10,
                mode: self.mode(),
            },
            (_, Unit::Sxm(_, SxmUnit::Permutor)) => Instr::Permute {
                src: self.byte(28),
                w: self.byte(4),
                map: self.byte(32) & 0xFE,
                dst: self.byte(28),
                mode: self.mode(),
            },
            (_, Unit::Sxm(..)) => {
                let n = self.word(319);
                Instr::Shift {
                    src: self.byte(28),
                    w: self.byte(4),
                    n,
                    dst: self.byte(28),
                    mode: self.mode(),
                }
            }
        }
    }

    fn site(&mut self) -> Site {
        Site {
            queue: QueueId::new(self.roll(144) as usize).unwrap(),
            index: self.roll(4) as u32,
        }
    }

    fn a_use(&mut self) -> Use {
        let consumer = match self.roll(8) {
            0 => Consumer::Output {
                entry: self.byte(2).into(),
                run: self.byte(2).into(),
            },
            _ => Consumer::Instr(self.site()),
        };
        let source = match self.roll(5) {
            0 => Source::Image {
                word: self.word(64),
                step: (self.word(3) as i16).wrapping_sub(1),
            },
            1 => Source::Clock {
                cycle: self.word(50).into(),
            },
            _ => Source::Dispatch {
                site: self.site(),
                first: self.word(2).into(),
                step: self.word(3) as i32 - 1,
            },
        };
        Use {
            consumer,
            slot: if matches!(source, Source::Clock { .. }) {
                INSTALL_TIME
            } else {
                self.byte(8)
            },
            first: self.word(2).into(),
            count: self.word(3).into(),
            source,
            loc: 0,
        }
    }
}

/// `strict`: leave out what the structural rules refuse, so that the program is followed in time.
fn arbitrary(seed: u64, strict: bool) -> Program {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
    let mut b = Build::default();
    b.image(East, 3, 0, 64, 1);
    b.output(ElemType::I8, vec![run_of(East, 5, 0, 4)], &[]);
    for queue in QueueId::all() {
        for _ in 0..dice.roll(6) {
            let instr = dice.instr(queue.unit());
            b.program.queues[queue.index()].push(instr);
            if strict && !structural(&b.program) {
                b.program.queues[queue.index()].pop();
            }
        }
    }
    for _ in 0..20 {
        let record = dice.a_use();
        b.program.uses.push(record);
        if strict && !structural(&b.program) {
            b.program.uses.pop();
        }
    }
    b.program
}

fn structural(program: &Program) -> bool {
    // A short look: only the structural rules stop the checker before it counts dispatches.
    let report = report(program);
    report.dispatches > 0 || report.total == 0
}

#[test]
fn arbitrary_programs_do_not_panic() {
    for seed in 0..300 {
        report(&arbitrary(seed, false));
    }
}

#[test]
fn arbitrary_programs_are_followed_without_panic() {
    let mut followed = 0;
    for seed in 0..2 {
        followed += u64::from(report(&arbitrary(seed, true)).dispatches > 0);
    }
    assert_eq!(followed, 2);
}

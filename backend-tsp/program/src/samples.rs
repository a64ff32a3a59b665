//! Programs for the tests: well-formed, without sense.

use crate::instr::*;
use crate::program::*;
use crate::unit::*;
use crate::validate::has_slot;

/// A generator of numbers, the same in every run (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    /// Less than `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn number(&mut self, least: i64, most: i64) -> i64 {
        least + self.below((most - least + 1) as u64) as i64
    }

    fn stream(&mut self, align: u8) -> Stream {
        Stream {
            dir: self.pick(&[Direction::West, Direction::East]),
            id: self.group(align),
        }
    }

    fn group(&mut self, align: u8) -> u8 {
        align * self.below(32 / u64::from(align)) as u8
    }

    /// Width and first stream inside an aligned four.
    fn inside_four(&mut self, w: u8) -> u8 {
        self.group(4) + self.below(5 - u64::from(w)) as u8
    }

    fn part(&mut self) -> MemPart {
        let access = match self.below(2) {
            0 => MemAccess::Direct {
                addr: self.below(8192) as u16,
                step: self.number(-4096, 4095) as i16,
            },
            _ => MemAccess::Mapped {
                bank: self.below(2) as u8,
                map: self.stream(1),
            },
        };
        MemPart {
            stream: self.stream(1),
            access,
        }
    }

    fn operand(&mut self) -> Operand {
        let ty = self.pick(&ElemType::ALL);
        Operand::Stream {
            stream: self.stream(ty.bytes()),
            ty,
        }
    }

    fn alu(&mut self) -> AluInstr {
        let op = self.pick(AluOp::ALL);
        let mut operands = [
            Some(self.operand()),
            (op.arity() == 2).then(|| self.operand()),
        ];
        let immediate = self.below(3) as usize;
        let mut imm = 0;
        if let Some(Some(operand)) = operands.get_mut(immediate) {
            *operand = Operand::Imm;
            imm = self.below(1 << 32) as u32;
        }
        let ty = self.pick(&ElemType::ALL);
        let [a, b] = operands;
        AluInstr {
            op,
            a: a.unwrap(),
            b,
            imm,
            result: self.stream(ty.bytes()),
            ty,
            mode: self.pick(&[ResultMode::Mesh, ResultMode::Out]),
        }
    }

    /// An instruction of the unit; `None` for reserved queues.
    fn instr(&mut self, unit: Unit) -> Option<Instr> {
        let mode = self.pick(&[SxmMode::Back, SxmMode::On]);
        let w = 1 + self.below(4) as u8;
        let f16 = matches!(unit, Unit::Mxm(_, 0, _))
            .then(|| self.below(3) as u8)
            .filter(|p| *p < 2);
        let groups = if f16.is_some() { 40 } else { 20 };
        Some(match unit {
            Unit::Alu(_) => Instr::Alu(self.alu()),
            Unit::Mem(..) => {
                let parts = 1 + self.below(3);
                Instr::Mem {
                    read: (parts & 1 != 0).then(|| self.part()),
                    write: (parts & 2 != 0).then(|| self.part()),
                }
            }
            Unit::Mxm(_, _, MxmQueue::Weight) => match self.below(2) {
                0 => Instr::Lw {
                    j: self.below(groups) as u8,
                    step: self.number(-128, 127) as i8,
                    b: self.group(16),
                    f16,
                },
                _ => Instr::Iw {
                    n: 1 + self.below(groups) as u8,
                    f16,
                },
            },
            Unit::Mxm(_, plane, MxmQueue::Activation) => {
                let ty = self
                    .pick(&[ElemType::I8, ElemType::U8, ElemType::F16][..3 - usize::from(plane)]);
                Instr::Act {
                    stream: self.group(ty.bytes()),
                    ty,
                }
            }
            Unit::Mxm(_, _, MxmQueue::Accumulate) => match self.below(3) {
                0 => Instr::Out { d: self.group(4) },
                1 => Instr::Acc {
                    s: self.group(4),
                    d: self.group(4),
                },
                _ => Instr::Drop,
            },
            Unit::Sxm(_, SxmUnit::Distributor(_)) => Instr::Distribute {
                mask: 1 + self.below(255) as u8,
                map: self.group(1),
                dst: self.group(8),
                mode,
            },
            Unit::Sxm(_, SxmUnit::Transposer(_)) => Instr::Transpose {
                src: self.group(16),
                dst: self.group(16),
                mode,
            },
            Unit::Sxm(_, SxmUnit::Permutor) => Instr::Permute {
                src: self.inside_four(w),
                w,
                map: self.group(2),
                dst: self.inside_four(w),
                mode,
            },
            Unit::Sxm(_, SxmUnit::ShiftUp | SxmUnit::ShiftDown) => Instr::Shift {
                src: self.inside_four(w),
                w,
                n: 1 + self.below(319) as u16,
                dst: self.inside_four(w),
                mode,
            },
            Unit::Sxm(_, SxmUnit::Reserved(_)) => return None,
        })
    }

    fn queue(&mut self, unit: Unit) -> Vec<Instr> {
        let mut queue = Vec::new();
        for _ in 0..self.below(6) {
            if self.below(2) == 0 {
                queue.push(Instr::Nop {
                    n: 1 + self.below(65_535) as u16,
                });
            }
            let Some(instr) = self.instr(unit) else {
                return Vec::new();
            };
            queue.push(instr);
            if self.below(2) == 0 {
                let n = 1 + self.below(40) as u16;
                queue.push(Instr::Repeat {
                    n,
                    d: 1 + self.below(65_535) as u16,
                });
            }
        }
        queue
    }
}

/// A well-formed program; other seeds, other programs.
pub fn program(seed: u64) -> Program {
    let mut g = Numbers(seed);
    let queues: Vec<_> = QueueId::all().map(|queue| g.queue(queue.unit())).collect();
    let word = |g: &mut Numbers| match g.below(4) {
        0 => vec![g.below(256) as u8; 320],
        1 => (0..320u16).map(|i| (i + 3) as u8).collect(),
        2 => (0..320).map(|i| if i < 7 { i as u8 } else { 0 }).collect(),
        _ => (0..320).map(|_| g.below(256) as u8).collect::<Vec<_>>(),
    };
    let segment = |g: &mut Numbers, slice| ImageSegment {
        hemi: Hemisphere::West,
        slice,
        addr: 0x1000 + g.below(4000) as u16,
        bytes: (0..1 + g.below(5))
            .flat_map(|_| word(g).repeat(1 + (slice % 3) as usize))
            .collect(),
    };
    let image = (0..4).map(|slice| segment(&mut g, slice)).collect();
    let run = |slice, addr, step, count| WordRun {
        hemi: Hemisphere::East,
        slice,
        addr,
        step,
        count,
    };
    let input = IoEntry {
        name: "input \"ids\";\n é".into(),
        elem: ElemType::I16,
        rows: 4,
        cols: 330,
        tiles: vec![
            IoTile {
                lanes: (0..320)
                    .map(|lane| if lane < 16 { Some(7) } else { Some(lane) })
                    .collect(),
                planes: vec![
                    vec![run(0, 16, -4, 4)],
                    vec![run(1, 0x1FFF, -1, 3), run(2, 0, 0, 1)],
                ],
            },
            IoTile {
                lanes: (0..320)
                    .map(|lane| (lane % 32 == 5).then(|| 320 + lane / 32))
                    .collect(),
                planes: vec![vec![run(3, 0, 1, 4)], vec![run(4, 0, 1, 4)]],
            },
        ],
    };
    let output = IoEntry {
        name: "y".into(),
        elem: ElemType::I8,
        rows: 2,
        cols: 320,
        tiles: vec![IoTile {
            lanes: (0..320).map(|lane| Some(319 - lane)).collect(),
            planes: vec![vec![run(5, 9, 2, 2)]],
        }],
    };
    let mut program = Program {
        machine: "a machine".into(),
        machine_hash: format!("{:016x}", g.below(u64::MAX)),
        queues,
        image,
        inputs: vec![input],
        outputs: vec![output],
        uses: Vec::new(),
        locations: vec!["encoder/layer.0".into(), "a \\ \"b\"".into()],
    };
    program.uses = uses(&mut g, &program);
    program
}

/// For each slot that exists: records with plain and with odd sources.
fn uses(g: &mut Numbers, program: &Program) -> Vec<Use> {
    let sites: Vec<(Site, u32)> = QueueId::all()
        .flat_map(|queue| {
            crate::dispatches(&program.queues[queue.index()])
                .map(move |d| {
                    (
                        Site {
                            queue,
                            index: d.index as u32,
                        },
                        d.iterations(),
                    )
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut uses = vec![Use {
        consumer: Consumer::Output { entry: 0, run: 0 },
        slot: 0,
        first: 0,
        count: 2,
        source: Source::Image {
            word: 8190,
            step: 1,
        },
        loc: 1,
    }];
    for &(site, iterations) in &sites {
        let (source, made) = sites[g.below(sites.len() as u64) as usize];
        let first = g.below(iterations.into()) as u32;
        let count = (iterations - first).min(made);
        let source = match g.below(3) {
            0 => Source::Image {
                word: g.below(4096) as u16,
                step: g.below(3) as i16,
            },
            1 => Source::Dispatch {
                site: source,
                first: made - 1,
                step: if count == 1 { 5 } else { 0 },
            },
            _ => Source::Dispatch {
                site: source,
                first: made - count,
                step: 1,
            },
        };
        let loc = g.below(2) as u32;
        let instr = &program.queues[site.queue.index()][site.index as usize];
        for slot in (0..=255).filter(|&slot| has_slot(instr, slot)) {
            let clock = Source::Clock {
                cycle: u64::from(first) << 33,
            };
            uses.push(Use {
                consumer: Consumer::Instr(site),
                slot,
                first,
                count,
                source: if slot == INSTALL_TIME { clock } else { source },
                loc,
            });
        }
    }
    uses
}

//! Every small change of an accepted program's cycles, streams, addresses, units or instructions is rejected, with
//! `uses` left alone.
//!
//! Beside every word of the image and of an input there are others, so that a changed address finds a word too.

mod build;

use std::collections::BTreeSet;

use build::*;
use tspc_program::*;

/// Every variant of `instr` with one field changed; fields that change data only (shift amounts, operations) stay.
fn changed(instr: &Instr) -> Vec<Instr> {
    let mut all = Vec::new();
    match *instr {
        Instr::Nop { n } => all.extend([Instr::Nop { n: n + 1 }, Instr::Nop { n: n - 1 }]),
        Instr::Repeat { n, d } => {
            all.extend([
                Instr::Repeat { n: n - 1, d },
                Instr::Repeat { n: n + 1, d },
                Instr::Repeat { n, d: d + 1 },
            ]);
        }
        Instr::Mem { read, write } => {
            all.extend(read.iter().flat_map(parts).map(|p| Instr::Mem {
                read: Some(p),
                write,
            }));
            all.extend(write.iter().flat_map(parts).map(|p| Instr::Mem {
                read,
                write: Some(p),
            }));
        }
        Instr::Alu(alu) => {
            all.extend(streams(alu.result).map(|result| Instr::Alu(AluInstr { result, ..alu })));
            if let Operand::Stream { stream, ty } = alu.a {
                let operand = |stream| Operand::Stream { stream, ty };
                all.extend(streams(stream).map(|s| {
                    Instr::Alu(AluInstr {
                        a: operand(s),
                        ..alu
                    })
                }));
            }
            let mode = match alu.mode {
                ResultMode::Mesh => ResultMode::Out,
                ResultMode::Out => ResultMode::Mesh,
            };
            all.push(Instr::Alu(AluInstr { mode, ..alu }));
        }
        Instr::Lw { j, step, b, f16 } => all.extend([
            Instr::Lw {
                j: j + 1,
                step,
                b,
                f16,
            },
            Instr::Lw {
                j,
                step: step + 1,
                b,
                f16,
            },
            Instr::Lw {
                j,
                step,
                b: 16 - b,
                f16,
            },
            Instr::Lw {
                j,
                step,
                b,
                f16: if f16.is_none() { Some(0) } else { None },
            },
        ]),
        Instr::Iw { n, f16 } => all.push(Instr::Iw { n: n - 1, f16 }),
        Instr::Act { stream, ty } => all.push(Instr::Act {
            stream: stream + 1,
            ty,
        }),
        Instr::Out { d } => all.extend([
            Instr::Out { d: d + 4 },
            Instr::Acc { s: 20, d },
            Instr::Drop,
        ]),
        Instr::Acc { s, d } => {
            all.extend([
                Instr::Acc { s: s + 4, d },
                Instr::Acc { s, d: d + 4 },
                Instr::Out { d },
            ]);
        }
        Instr::Drop => {}
        Instr::Distribute {
            mask,
            map,
            dst,
            mode,
        } => all.extend([
            Instr::Distribute {
                mask: mask << 1,
                map,
                dst,
                mode,
            },
            Instr::Distribute {
                mask,
                map: map + 1,
                dst,
                mode,
            },
            Instr::Distribute {
                mask,
                map,
                dst: dst + 8,
                mode,
            },
            Instr::Distribute {
                mask,
                map,
                dst,
                mode: SxmMode::On,
            },
        ]),
        Instr::Transpose { src, dst, mode } => all.extend([
            Instr::Transpose {
                src: 16 - src,
                dst,
                mode,
            },
            Instr::Transpose {
                src,
                dst: 16 - dst,
                mode,
            },
            Instr::Transpose {
                src,
                dst,
                mode: SxmMode::On,
            },
        ]),
        Instr::Permute {
            src,
            w,
            map,
            dst,
            mode,
        } => all.extend([
            Instr::Permute {
                src: src + 1,
                w,
                map,
                dst,
                mode,
            },
            Instr::Permute {
                src,
                w: w + 1,
                map,
                dst,
                mode,
            },
            Instr::Permute {
                src,
                w,
                map: map + 2,
                dst,
                mode,
            },
            Instr::Permute {
                src,
                w,
                map,
                dst: dst + 1,
                mode,
            },
            Instr::Permute {
                src,
                w,
                map,
                dst,
                mode: SxmMode::On,
            },
        ]),
        Instr::Shift {
            src,
            w,
            n,
            dst,
            mode,
        } => all.extend([
            Instr::Shift {
                src: src + 1,
                w,
                n,
                dst,
                mode,
            },
            Instr::Shift {
                src,
                w: w + 1,
                n,
                dst,
                mode,
            },
            Instr::Shift {
                src,
                w,
                n: n + 16,
                dst,
                mode,
            },
            Instr::Shift {
                src,
                w,
                n,
                dst: dst + 1,
                mode,
            },
            Instr::Shift {
                src,
                w,
                n,
                dst,
                mode: SxmMode::On,
            },
        ]),
    }
    all
}

fn streams(stream: Stream) -> impl Iterator<Item = Stream> {
    [
        Stream {
            id: (stream.id + 1) % 32,
            ..stream
        },
        Stream {
            dir: stream.dir.reverse(),
            ..stream
        },
    ]
    .into_iter()
}

fn parts(part: &MemPart) -> Vec<MemPart> {
    let mut all: Vec<_> = streams(part.stream)
        .map(|stream| MemPart { stream, ..*part })
        .collect();
    match part.access {
        MemAccess::Direct { addr, step } => {
            let other = [direct(addr + 1, step), direct(addr ^ 4096, step)];
            all.extend(other.map(|access| MemPart { access, ..*part }));
            if step != 0 {
                all.push(MemPart {
                    access: direct(addr, step + 1),
                    ..*part
                });
            }
        }
        MemAccess::Mapped { bank, map } => {
            let other = MemAccess::Mapped {
                bank: 1 - bank,
                map,
            };
            all.push(MemPart {
                access: other,
                ..*part
            });
            let maps = streams(map).map(|map| MemPart {
                access: MemAccess::Mapped { bank, map },
                ..*part
            });
            all.extend(maps);
        }
    }
    all
}

/// With the words after those that the host writes, and those of the other bank, in the image too.
fn crowded(program: &Program) -> Program {
    let segments = program
        .image
        .iter()
        .map(|s| (s.hemi, s.slice, s.addr, s.bytes.len() / LANES));
    let runs = program.inputs.iter().flat_map(|x| x.runs());
    let runs = runs.map(|r| (r.hemi, r.slice, r.addr, r.count as usize));
    let there: BTreeSet<_> = segments
        .chain(runs)
        .flat_map(|(hemi, slice, addr, n)| (addr..).take(n).map(move |word| (hemi, slice, word)))
        .collect();
    let beside = |&(hemi, slice, word)| [(hemi, slice, word + 1), (hemi, slice, word ^ 4096)];
    let beside: BTreeSet<_> = there.iter().flat_map(beside).collect();
    let mut program = program.clone();
    let more = beside
        .difference(&there)
        .map(|&(hemi, slice, addr)| ImageSegment {
            hemi,
            slice,
            addr,
            bytes: vec![1; LANES],
        });
    program.image.extend(more);
    program
}

fn assert_all_rejected(name: &str, program: &Program) {
    let program = &crowded(program);
    assert!(report(program).accepted(), "{name}");
    let mut count = 0;
    let mut reject = |mutant: &Program, what: String| {
        count += 1;
        assert!(!report(mutant).accepted(), "{name}: {what} is accepted");
    };
    for queue in QueueId::all() {
        let q = queue.index();
        for (i, instr) in program.queues[q].iter().enumerate() {
            for other in changed(instr) {
                let mut mutant = program.clone();
                mutant.queues[q][i] = other;
                reject(&mutant, format!("{queue}[{i}]: {instr:?} as {other:?}"));
            }
            let mut mutant = program.clone();
            mutant.queues[q].remove(i);
            reject(&mutant, format!("{queue}[{i}]: without {instr:?}"));
        }
        if let Some(next) = QueueId::new(q + 1)
            && program.queues[q] != program.queues[q + 1]
        {
            let mut mutant = program.clone();
            mutant.queues.swap(q, q + 1);
            reject(&mutant, format!("{queue} and {next} exchanged"));
        }
    }
    assert!(count > 20, "{name}: {count} mutants only");
}

#[test]
fn of_the_copy() {
    assert_all_rejected("copy", &copy_program().build.program);
}

#[test]
fn of_the_matrix_product() {
    assert_all_rejected("matrix", &matrix_program().build.program);
}

#[test]
fn of_the_exchange() {
    assert_all_rejected(
        "exchange",
        &kept(exchange_program(lane_map(|l| 319 - l)).build).program,
    );
}

#[test]
fn of_gather_and_scatter() {
    assert_all_rejected("gather", &kept(gather_program()).program);
}

/// With every word that is written by a single write as an output, since nobody else reads them.
fn kept(mut b: Build) -> Build {
    let mut writes = Vec::new();
    for queue in QueueId::all() {
        let Unit::Mem(hemi, slice) = queue.unit() else {
            continue;
        };
        for (index, instr) in b.program.queues[queue.index()].iter().enumerate() {
            if let Instr::Mem {
                write:
                    Some(MemPart {
                        access: MemAccess::Direct { addr, .. },
                        ..
                    }),
                ..
            } = instr
            {
                let run = run_of(hemi, slice, *addr, 1);
                writes.push((
                    run,
                    Site {
                        queue,
                        index: index as u32,
                    },
                ));
            }
        }
    }
    for (i, (run, site)) in writes.into_iter().enumerate() {
        b.output(ElemType::I8, vec![run], &[site]);
        b.program.outputs[i].name = format!("y{i}");
    }
    b
}

//! Templates are replayed on a mesh of moving wires, with names in place of numbers, rows back to back.

use std::collections::BTreeMap;

use super::*;
use tspc_program::AluOp::*;
use tspc_program::Direction::{East, West};
use tspc_program::ElemType::*;

fn node(op: AluOp, args: &[Arg], ty: ElemType) -> Node {
    let imm = if args.contains(&Arg::Imm) {
        0x3F80_0000
    } else {
        0
    };
    Node {
        op,
        args: args.to_vec(),
        imm,
        ty,
    }
}

/// The expression that a node stands for, in row `row`.
fn expression(chain: &Chain, arg: Arg, row: i32) -> String {
    match arg {
        Arg::Imm => "imm".into(),
        Arg::Input(i) => format!("x{i}[{row}]"),
        Arg::Node(n) => {
            let node = &chain.nodes[n];
            let args: Vec<String> = node
                .args
                .iter()
                .map(|a| expression(chain, *a, row))
                .collect();
            format!("{}({})", node.op.name(), args.join(","))
        }
    }
}

/// Moves bytes along wires cycle by cycle and checks that each ALU finds its operands and each output leaves.
fn replay(chain: &Chain, template: &Template, machine: &Machine) {
    const ROWS: i32 = 7;
    // (direction, byte stream, column in the order of the direction, cycle) -> byte k of an expression.
    let mut wires: BTreeMap<(Direction, u8, u8, i32), (String, u8)> = BTreeMap::new();
    let hop = machine.vxm_column_hop as i32;
    let entry = machine.vxm_entry as i32;
    let mut events: Vec<(i32, usize, i32)> = Vec::new();
    for (o, op) in template.ops.iter().enumerate() {
        for row in 0..ROWS {
            events.push((op.time + row, o, row));
        }
    }
    events.sort();
    // Entries first, then results in order of dispatch; a result replaces what would have been there, from its
    // first column on, and is replaced in turn only further on.
    let mut puts: Vec<(i32, Stream, u8, u8, String)> = Vec::new();
    for (i, input) in template.inputs.iter().enumerate() {
        assert_eq!(input.stream.dir, chain.inputs[i].dir);
        for row in 0..ROWS {
            puts.push((
                input.entry_time + row + entry,
                input.stream,
                0,
                chain.inputs[i].ty.bytes(),
                format!("x{i}[{row}]"),
            ));
        }
    }
    let lay = |wires: &mut BTreeMap<_, _>,
               (t, stream, column, bytes, text): &(i32, Stream, u8, u8, String)| {
        for k in 0..*bytes {
            for c in *column..4 {
                let at = t + hop * i32::from(c - column);
                wires.insert((stream.dir, stream.id + k, c, at), (text.clone(), k));
            }
        }
    };
    puts.iter().for_each(|p| lay(&mut wires, p));
    let mut used = std::collections::BTreeSet::new();
    let mut outs: BTreeMap<(usize, i32), String> = BTreeMap::new();
    for (t, o, row) in events {
        let op = &template.ops[o];
        assert!(used.insert((op.alu, t)), "one operation a cycle");
        let (r, c) = (op.alu / 4, op.alu % 4);
        let reaches = |id: u8| (0..4).any(|k| (2 * r + k) % 8 == id / 4);
        let mut texts = Vec::new();
        let mut dirs = Vec::new();
        for operand in std::iter::once(&op.a).chain(op.b.as_ref()) {
            let Operand::Value { stream, ty, .. } = operand else {
                texts.push("imm".to_string());
                continue;
            };
            assert!(reaches(stream.id) && stream.id % ty.bytes() == 0);
            dirs.push(*stream);
            let column = if stream.dir == East { c } else { 3 - c };
            let bytes: Vec<_> = (0..ty.bytes())
                .map(|k| {
                    wires
                        .get(&(stream.dir, stream.id + k, column, t))
                        .cloned()
                        .unwrap_or_else(|| panic!("{op:?} finds nothing"))
                })
                .collect();
            assert!(
                bytes
                    .iter()
                    .enumerate()
                    .all(|(k, b)| b.0 == bytes[0].0 && b.1 as usize == k),
                "{op:?}: {bytes:?}"
            );
            texts.push(bytes[0].0.clone());
        }
        if let [a, b] = dirs[..] {
            assert!(
                a.dir == b.dir || a.id / 4 != b.id / 4,
                "one wire number in opposite directions"
            );
        }
        if transcendental(op.op) {
            assert!(machine.vxm_large_alus.contains(&u32::from(op.alu)));
        }
        // Copies are transparent in the expressions.
        let text = if op.op == Copy {
            texts[0].clone()
        } else {
            format!("{}({})", op.op.name(), texts.join(","))
        };
        let latency = if transcendental(op.op) {
            machine.vxm_latency_transcendental
        } else {
            machine.vxm_latency
        } as i32;
        assert!(reaches(op.result.id) && op.result.id.is_multiple_of(op.ty.bytes()));
        match op.mode {
            ResultMode::Out => {
                outs.insert((o, row), text);
            }
            ResultMode::Mesh => {
                let column = if op.result.dir == East { c } else { 3 - c };
                assert!(column < 3, "no mesh result in the last column");
                lay(
                    &mut wires,
                    &(t + latency, op.result, column + 1, op.ty.bytes(), text),
                );
            }
        }
    }
    let mut leaving = std::collections::BTreeSet::new();
    for (output, placed) in chain.outputs.iter().zip(&template.outputs) {
        assert_eq!(placed.stream.dir, output.dir);
        for k in 0..chain.nodes[output.node].ty.bytes() {
            assert!(
                leaving.insert(placed.stream.byte(k)),
                "outputs share a stream"
            );
        }
        for row in 0..ROWS {
            let want = expression(chain, Arg::Node(output.node), row).replace("copy", "");
            let got = outs[&(placed.op, row)].clone();
            assert_eq!(strip(&got), strip(&want));
        }
    }
}

fn strip(text: &str) -> String {
    // Without copies an expression has the same letters up to the parentheses that they leave.
    text.chars().filter(|c| !"()".contains(*c)).collect()
}

fn placed(chain: &Chain) -> Vec<Template> {
    let machine = Machine::tsp_v1();
    let templates = place(chain, &machine, 4).unwrap_or_else(|e| panic!("{e}"));
    templates.iter().for_each(|t| replay(chain, t, &machine));
    templates
}

fn input(ty: ElemType, dir: Direction) -> Input {
    Input { ty, dir }
}

/// cvt, scale, bias, cvt i8.
fn requantise() -> Chain {
    Chain {
        inputs: vec![input(I32, East), input(F32, West), input(F32, West)],
        nodes: vec![
            node(Convert, &[Arg::Input(0)], F32),
            node(Mul, &[Arg::Node(0), Arg::Input(1)], F32),
            node(Add, &[Arg::Node(1), Arg::Input(2)], F32),
            node(Convert, &[Arg::Node(2)], I8),
        ],
        outputs: vec![Output { node: 3, dir: West }],
    }
}

#[test]
fn requantise_fits_beside_another() {
    let templates = placed(&requantise());
    let alus = |t: &Template| t.ops.iter().fold(0u32, |m, o| m | 1 << o.alu);
    assert_eq!(alus(&templates[0]) & alus(&templates[1]), 0);
    // Then some on a single row each, which leave the other three to others.
    let row = |t: &Template| t.ops[0].alu / 4;
    let alone = |t: &&Template| t.ops.iter().all(|o| o.alu / 4 == row(t));
    assert!(templates.iter().filter(alone).count() >= 2);
}

#[test]
fn softmax_chain() {
    placed(&Chain {
        inputs: vec![input(F32, East), input(F32, East)],
        nodes: vec![
            node(Sub, &[Arg::Input(0), Arg::Input(1)], F32),
            node(Exp, &[Arg::Node(0)], F32),
            node(Mul, &[Arg::Node(1), Arg::Imm], F32),
            node(Convert, &[Arg::Node(2)], I8),
        ],
        outputs: vec![Output { node: 3, dir: East }, Output { node: 3, dir: West }],
    });
}

#[test]
fn residual_with_three_outputs() {
    placed(&Chain {
        inputs: vec![
            input(I32, East),
            input(F32, West),
            input(F32, West),
            input(F32, West),
        ],
        nodes: vec![
            node(Convert, &[Arg::Input(0)], F32),
            node(Mul, &[Arg::Node(0), Arg::Input(1)], F32),
            node(Add, &[Arg::Node(1), Arg::Input(2)], F32),
            node(Add, &[Arg::Node(2), Arg::Input(3)], F32),
            node(Convert, &[Arg::Node(3)], F16),
            node(Mul, &[Arg::Node(3), Arg::Imm], F32),
            node(Mul, &[Arg::Node(5), Arg::Node(5)], F32),
            node(Convert, &[Arg::Node(6)], F16),
        ],
        outputs: vec![
            Output { node: 3, dir: East },
            Output { node: 4, dir: East },
            Output { node: 7, dir: East },
        ],
    });
}

#[test]
fn layer_norm_statistics() {
    placed(&Chain {
        inputs: vec![input(F32, East), input(F32, West)],
        nodes: vec![
            node(Mul, &[Arg::Input(0), Arg::Imm], F32),
            node(Mul, &[Arg::Input(1), Arg::Imm], F32),
            node(Mul, &[Arg::Node(0), Arg::Node(0)], F32),
            node(Sub, &[Arg::Node(1), Arg::Node(2)], F32),
            node(Max, &[Arg::Node(3), Arg::Imm], F32),
            node(Add, &[Arg::Node(4), Arg::Imm], F32),
            node(Rsqrt, &[Arg::Node(5)], F32),
        ],
        outputs: vec![Output { node: 0, dir: East }, Output { node: 6, dir: West }],
    });
}

#[test]
fn layer_norm_application() {
    placed(&Chain {
        inputs: vec![
            input(F32, East),
            input(F32, East),
            input(F32, East),
            input(F32, West),
            input(F32, West),
            input(F32, West),
        ],
        nodes: vec![
            node(Sub, &[Arg::Input(0), Arg::Input(1)], F32),
            node(Mul, &[Arg::Node(0), Arg::Input(2)], F32),
            node(Mul, &[Arg::Node(1), Arg::Input(3)], F32),
            node(Add, &[Arg::Node(2), Arg::Input(4)], F32),
            node(Mul, &[Arg::Node(3), Arg::Input(5)], F32),
            node(Convert, &[Arg::Node(4)], I8),
        ],
        outputs: vec![Output { node: 3, dir: East }, Output { node: 5, dir: West }],
    });
}

#[test]
fn context_division() {
    placed(&Chain {
        inputs: vec![input(I32, East), input(I32, West), input(F32, West)],
        nodes: vec![
            node(Convert, &[Arg::Input(0)], F32),
            node(Convert, &[Arg::Input(1)], F32),
            node(Rsqrt, &[Arg::Node(1)], F32),
            node(Mul, &[Arg::Node(2), Arg::Node(2)], F32),
            node(Mul, &[Arg::Node(0), Arg::Node(3)], F32),
            node(Mul, &[Arg::Node(4), Arg::Input(2)], F32),
            node(Convert, &[Arg::Node(5)], I8),
        ],
        outputs: vec![Output { node: 6, dir: East }],
    });
}

/// Thirteen operations and the copies that carry x: the mapping notes say it fits.
#[test]
fn gelu_with_bias_and_offset() {
    let x = Arg::Node(2);
    let templates = placed(&Chain {
        inputs: vec![input(I32, East), input(F32, West), input(F32, West)],
        nodes: vec![
            node(Convert, &[Arg::Input(0)], F32),
            node(Mul, &[Arg::Node(0), Arg::Input(1)], F32),
            node(Add, &[Arg::Node(1), Arg::Input(2)], F32),
            node(Mul, &[x, x], F32),
            node(Mul, &[Arg::Node(3), Arg::Imm], F32),
            node(Add, &[Arg::Node(4), Arg::Imm], F32),
            node(Mul, &[Arg::Node(5), x], F32),
            node(Tanh, &[Arg::Node(6)], F32),
            node(Add, &[Arg::Node(7), Arg::Imm], F32),
            node(Mul, &[Arg::Node(8), x], F32),
            node(Mul, &[Arg::Node(9), Arg::Imm], F32),
            node(Add, &[Arg::Node(10), Arg::Imm], F32),
            node(Convert, &[Arg::Node(11)], U8),
        ],
        outputs: vec![Output {
            node: 12,
            dir: East,
        }],
    });
    assert!(templates[0].ops.len() <= 16);
}

#[test]
fn refusals_say_why() {
    let machine = Machine::tsp_v1();
    let long = |op: AluOp, n: usize| Chain {
        inputs: vec![input(F32, East)],
        nodes: (0..n)
            .map(|i| {
                node(
                    op,
                    &[if i == 0 {
                        Arg::Input(0)
                    } else {
                        Arg::Node(i - 1)
                    }],
                    F32,
                )
            })
            .collect(),
        outputs: vec![Output {
            node: n - 1,
            dir: East,
        }],
    };
    assert_eq!(
        place(&long(Neg, 17), &machine, 1),
        Err(Refusal::TooMany(17, 16))
    );
    assert_eq!(
        place(&long(Exp, 9), &machine, 1),
        Err(Refusal::TooManyLarge(9, 8))
    );
    let none = Machine::named("tsp-v1-pessimistic").unwrap().unwrap();
    let mut chain = long(Mul, 1);
    chain.nodes[0].args.push(Arg::Imm);
    assert_eq!(place(&chain, &none, 1), Err(Refusal::Immediates));
}

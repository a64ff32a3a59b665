//! The builder, facts, and the generated modules under the verifier.

mod generate;

use tspc_ir::rewrite::without_dead_ops;
use tspc_ir::text::{parse, print};
use tspc_ir::{Attr, Builder, Elem, Kind, Module, Opcode, Type, Value, verify};

fn f32s(shape: &[usize]) -> Type {
    Type::new(Kind::Tensor, shape, Elem::F32).unwrap()
}

#[test]
fn a_module_is_built_and_every_op_has_a_place() {
    let mut b = Builder::new("m");
    let x = b.input("x", f32s(&[2, 3]));
    let loc = b.locs().path("encoder/layer/0");
    let y = b.one(Opcode::TensorSoftmax, &[x], &[], loc).unwrap();
    b.build(
        Opcode::TensorReturn,
        &[y],
        &[("names", Attr::Strs(vec!["y".into()]))],
        loc,
    )
    .unwrap();
    let m = b.finish();
    assert_eq!(verify(&m), Ok(()));
    assert_eq!(m.outputs(), [("y", y)]);
    assert_eq!(m.place(m.body_ops()[0]).at, "encoder/layer/0");
}

#[test]
fn refusals_say_why_and_leave_the_module_alone() {
    let mut b = Builder::new("m");
    let x = b.input("x", f32s(&[2, 3]));
    let loc = b.locs().path("ffn");
    let before = print(b.module());
    let d = b.one(Opcode::TensorMatmul, &[x, x], &[], loc).unwrap_err();
    insta::assert_snapshot!(d.to_string(), @r"
    error: tensor.matmul: contraction dimensions differ: 3 and 2
     --> ffn
      |
      | tensor.matmul(%0: tensor<2x3xf32>, %0: tensor<2x3xf32>)
      | ^^^^^^^^^^^^^
    ");
    let mut other = Builder::new("o");
    other.input("a", f32s(&[1]));
    let foreign: Value = other.input("b", f32s(&[1]));
    let refused: Vec<String> = [
        b.one(Opcode::TensorExp, &[foreign], &[], loc),
        b.one(Opcode::TensorExp, &[], &[], loc),
        b.one(Opcode::TensorGelu, &[x], &[], loc),
        b.one(
            Opcode::TensorGelu,
            &[x],
            &[("form", Attr::Sym("cubic"))],
            loc,
        ),
        b.one(Opcode::StreamPipeline, &[], &[], loc),
        b.one(Opcode::StreamTranspose, &[x], &[], loc),
    ]
    .into_iter()
    .map(|r| r.unwrap_err().message)
    .collect();
    assert_eq!(
        refused,
        [
            "tensor.exp: %1 is not a value of this module",
            "tensor.exp: takes 1 operands, has 0",
            "tensor.gelu: attribute form is missing",
            "tensor.gelu: attribute form must be erf | tanh",
            "stream.pipeline: the op needs a region",
            "stream.transpose: tensor<2x3xf32> is no operand of the stream dialect",
        ]
    );
    assert_eq!(print(b.module()), before);
}

#[test]
fn a_refused_pipeline_leaves_the_module_alone() {
    let mut b = Builder::new("m");
    let x = b.input("x", Type::new(Kind::Stream, [2, 3], Elem::F32).unwrap());
    let loc = b.locs().path("a");
    let exp = [("op", Attr::Sym("exp")), ("elem", Attr::Elem(Elem::F32))];
    let bad = [("op", Attr::Sym("exp")), ("elem", Attr::Elem(Elem::I8))];
    let refused = b.pipeline(&[x], loc, |b, args| {
        let y = b.one(Opcode::StreamAlu, args, &exp, loc)?;
        Ok(vec![b.one(Opcode::StreamAlu, &[y], &bad, loc)?])
    });
    assert_eq!(
        refused.unwrap_err().message,
        "stream.alu: exp does not take f32 to i8"
    );
    let y = b
        .pipeline(&[x], loc, |b, args| {
            Ok(vec![b.one(Opcode::StreamAlu, args, &exp, loc)?])
        })
        .unwrap();
    b.build(
        Opcode::StreamReturn,
        &y,
        &[("names", Attr::Strs(vec!["y".into()]))],
        loc,
    )
    .unwrap();
    assert_eq!(verify(&b.finish()), Ok(()));
}

/// The vector sizes of the language are those of the machine file.
#[test]
fn sizes_are_those_of_the_machine() {
    let machine = tspc_machine::Machine::tsp_v1();
    assert_eq!(
        tspc_ir::infer::LANES,
        (machine.superlanes * machine.lanes_per_superlane) as usize
    );
    assert_eq!(tspc_ir::infer::K_F16, machine.mxm_k_f16 as usize);
}

#[test]
fn a_fact_has_one_owner() {
    let lines = "%0 = tsp.image() {value = dense<1x1xi8>[1], byte = 0} : mem<1xi8>";
    let mut m: Module = parse(
        "f",
        &format!("module @m() {{\n{lines}\n}}\n"),
        &Default::default(),
    )
    .unwrap();
    let op = m.body_ops()[0];
    assert_eq!(m.set_fact(op, "slice", 7), Ok(()));
    assert_eq!(m.set_fact(op, "hemisphere", Attr::Sym("west")), Ok(()));
    assert_eq!(
        m.set_fact(op, "slice", 8),
        Err("slice of op0 was decided before".into())
    );
    assert_eq!(
        m.set_fact(op, "byte", 1),
        Err("tsp.image has no fact byte".into())
    );
    assert_eq!(
        m.set_fact(op, "bank", Attr::Bool(true)),
        Err("bank must be integer".into())
    );
    assert_eq!(verify(&m), Ok(()));
    let text = print(&m);
    assert!(
        text.contains("byte = 0, hemisphere = west, slice = 7}"),
        "{text}"
    );
    assert_eq!(parse("f", &text, &Default::default()).unwrap(), m);
}

/// All rules hold for generated modules, but the one on `tsp.act`, which the generator does not know.
#[test]
fn generated_modules_verify_and_copy() {
    for seed in 0..100 {
        let m = generate::module(seed);
        let errors = verify(&m).err().unwrap_or_default();
        assert!(
            errors.iter().all(|e| e.message.starts_with("tsp.act")),
            "{errors:?}"
        );
        let lean = without_dead_ops(&m).unwrap();
        assert!(lean.body_ops().len() <= m.body_ops().len());
        assert_eq!(without_dead_ops(&lean).unwrap(), lean, "seed {seed}");
    }
}

//! Constants that the compiler computes, and their form as streams.

use tspc_ir::eval::{Array, Arrays, evaluate as run};
use tspc_ir::{Attr, Builder, ConstData, Diagnostic, Kind, Opcode, Type};

use crate::egraph::language::Node;

/// The value of an operation on constants, as `tensor.*` defines it.
pub fn evaluate(node: &Node, operands: &[Array]) -> Result<Array, String> {
    let opcode = match node {
        Node::Add(_) => Opcode::TensorAdd,
        Node::Sub(_) => Opcode::TensorSub,
        Node::Mul(_) => Opcode::TensorMul,
        Node::Max(_) => Opcode::TensorMax,
        Node::Min(_) => Opcode::TensorMin,
        Node::Neg(_) => Opcode::TensorNeg,
        Node::Rsqrt(_) => Opcode::TensorRsqrt,
        Node::Transpose(_) => Opcode::TensorTranspose,
        _ => return Err("no constants of this kind are computed".into()),
    };
    let mut attrs = Vec::new();
    if opcode == Opcode::TensorTranspose {
        let n = operands[0].shape.len();
        if n < 2 {
            return Ok(operands[0].clone());
        }
        let mut perm: Vec<usize> = (0..n).collect();
        perm.swap(n - 2, n - 1);
        attrs.push(("perm", Attr::sizes(&perm)));
    }
    let mut inputs = Arrays::new();
    let mut builder = Builder::new("constant");
    let mut values = Vec::new();
    for (i, array) in operands.iter().enumerate() {
        let ty = Type::new(Kind::Tensor, array.shape.clone(), array.data.elem())?;
        values.push(builder.input(i.to_string(), ty));
        inputs.insert(i.to_string(), array.clone());
    }
    let mut computed = || -> Result<Array, Diagnostic> {
        let loc = builder.locs().path("constant");
        let y = builder.one(opcode, &values, &attrs, loc)?;
        let names = [("names", Attr::Strs(vec!["y".into()]))];
        builder.build(Opcode::TensorReturn, &[y], &names, loc)?;
        let mut outputs = run(builder.module(), &inputs)?;
        Ok(outputs.remove("y").expect("the output is named"))
    };
    computed().map_err(|d| d.message)
}

/// An array as rows of this many lanes: a vector is one row, and one lane meets all.
pub fn rows(array: &Array, lanes: usize) -> Result<ConstData, String> {
    let mut shape = array.shape.clone();
    while shape.len() < 2 {
        shape.insert(0, 1);
    }
    let own = shape.last().copied().unwrap_or(1);
    if own == lanes {
        return Array::new(shape, array.data.clone())?.to_const();
    }
    if own != 1 {
        return Err(format!("{own} lanes do not meet {lanes}"));
    }
    let rows = array.data.len();
    if let Some(last) = shape.last_mut() {
        *last = lanes;
    }
    let at: Vec<usize> = (0..rows * lanes).map(|i| i / lanes).collect();
    Array::new(shape, array.data.gather(&at))?.to_const()
}

//! Terms: their leaves, their e-graph and their value.

use egg::{Id, Language, RecExpr};
use tspc_ir::eval::{Array, Data};
use tspc_ir::{Elem, Kind, Type, types};
use tspc_passes::egraph::facts::{Graph, LeafFacts, Region, Role};
use tspc_passes::egraph::language::{Leaf, Node};
use tspc_passes::egraph::value;

/// Leaves from a text such as `f32 2x3, constant f32 3 within 8, scale f32 3`: role, type, bound of random values; a
/// scale is a constant that is not negative.
pub fn leaves(text: &str) -> Vec<(LeafFacts, f32)> {
    let items = text.split(',').map(str::trim).filter(|t| !t.is_empty());
    items
        .map(|item| {
            let words: Vec<&str> = item.split(' ').collect();
            let (role, words) = match words[0] {
                "constant" | "scale" => (Role::Constant, &words[1..]),
                "input" => (Role::Input, &words[1..]),
                _ => (Role::Computed, &words[..]),
            };
            let (elem, shape, bound) = match words {
                [elem, shape] => (elem, shape, 2.0),
                [elem, shape, "within", bound] => (elem, shape, bound.parse().unwrap()),
                _ => panic!("{item}"),
            };
            let shape: Vec<usize> = shape.split('x').map(|d| d.parse().unwrap()).collect();
            let elem = types::elem_from_name(elem).unwrap();
            let ty = Type::new(Kind::Tensor, shape, elem).unwrap();
            let leaf = LeafFacts {
                ty,
                role,
                non_negative: item.starts_with("scale"),
            };
            (leaf, bound)
        })
        .collect()
}

/// The e-graph of a term over leaves, and the term's class.
pub fn graph(leaves: &[(LeafFacts, f32)], term: &RecExpr<Node>) -> (Graph, Id) {
    let mut graph = Graph::new(Region::new(leaves.iter().map(|(l, _)| l.clone()).collect()));
    let root = graph.add_expr(term);
    graph.rebuild();
    assert_eq!(graph.analysis.unsound, None, "{term}");
    (graph, root)
}

/// A leaf's values: where there are 256 bytes or more, every one of them; else random ones (SplitMix64).
pub fn values(leaf: &LeafFacts, bound: f32, seed: u64) -> Array {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let count = leaf.ty.elements();
    let data = match leaf.ty.elem {
        Elem::I8 if count >= 256 => Data::I8((0..count).map(|i| i as u8 as i8).collect()),
        Elem::I8 => Data::I8((0..count).map(|_| next() as i8).collect()),
        elem => {
            let numbers = (0..count).map(|_| (next() % 20_001) as f32 / 10_000.0 - 1.0);
            let signed = |x: f32| if leaf.non_negative { x.abs() } else { x };
            Data::F32(numbers.map(|x| signed(x) * bound).collect()).convert(elem)
        }
    };
    Array::new(leaf.ty.shape.clone(), data).unwrap()
}

/// The value of a term.
pub fn value(term: &RecExpr<Node>, leaves: &[Array]) -> Array {
    let mut known: Vec<Array> = Vec::new();
    for node in term.as_ref() {
        let operands = node
            .children()
            .iter()
            .map(|&c| known[usize::from(c)].clone());
        let operands: Vec<Array> = operands.collect();
        let array = match (node, value::number(node)) {
            (Node::Leaf(Leaf(i)), _) => leaves[*i].clone(),
            (_, Some(number)) => number,
            _ => value::value(node, &operands).unwrap_or_else(|e| panic!("{term}: {e}")),
        };
        known.push(array);
    }
    known.pop().unwrap()
}

//! What a node costs, in cycles of the whole chip: the work on its unit divided by the units, and a trip through the
//! MXM where the chain breaks. All numbers come from the machine file; a node that the chip does not have costs
//! nothing that can be paid.

use egg::{Id, Language};
use tspc_ir::{Elem, Type};
use tspc_machine::Numbers;

use super::facts::{Facts, Graph, count};
use super::language::{Node, Scalar};

/// Sizes, throughputs and latencies.
#[derive(Clone, Debug)]
pub struct Cost {
    lanes: u64,
    k_f16: u64,
    planes: u64,
    alus: u64,
    /// From an operand's read to its result in memory, over the MXM and once over the VXM.
    trip: u64,
}

impl Cost {
    /// The costs of a machine.
    pub fn new(machine: &Numbers) -> Cost {
        let hop = machine.sr_columns + machine.mxm_port_delay + machine.vxm_entry;
        let mxm = machine.mxm_act_to_accumulate + machine.mxm_accumulate_to_result;
        Cost {
            lanes: u64::from(machine.superlanes * machine.lanes_per_superlane),
            k_f16: u64::from(machine.mxm_k_f16),
            planes: u64::from(2 * machine.mxm_planes),
            alus: u64::from(machine.vxm_alus),
            trip: u64::from(hop + mxm),
        }
    }

    /// Cycles of a node; `None`: the chip has no such operation.
    pub fn of(&self, graph: &Graph, node: &Node) -> Option<u64> {
        match graph.analysis.is_replaced(node) {
            true => None,
            false => self.of_form(graph, node),
        }
    }

    /// The same, also of a node that has another in its place.
    pub fn of_form(&self, graph: &Graph, node: &Node) -> Option<u64> {
        let facts = |id: &Id| &graph[*id].data;
        // What is constant is computed by the compiler.
        let children = node.children();
        if children.iter().all(|id| facts(id).constant) {
            return Some(0);
        }
        // The widest operand has the shape of the result.
        let alu = |operands: &[Id], operations: u64| {
            let types = operands.iter().map(|id| &facts(id).ty);
            types
                .max_by_key(|ty| ty.elements())
                .map(|ty| self.vxm(ty, operations))
        };
        match node {
            Node::Count(_) | Node::Scalar(_) | Node::Leaf(_) => Some(0),
            Node::Heads(_) | Node::Merge(_) => Some(0),
            // A vector is read for fewer lanes than it has; from another lane on they would have to move.
            Node::Lanes([_, start, _]) => (count(graph, *start) == Some(0)).then_some(0),
            Node::Add(x) | Node::Sub(x) | Node::Mul(x) | Node::Max(x) | Node::Min(x) => alu(x, 1),
            Node::Neg(x) | Node::Exp(x) | Node::Tanh(x) | Node::Rsqrt(x) => alu(x, 1),
            Node::CastF16(x) | Node::CastF32(x) => alu(x, 1),
            Node::Recip([x]) | Node::Dequantize([x, _]) => alu(&[*x], 2),
            Node::Quantize([x, _, o]) => {
                let shifted = facts(o).scalar != Some(Scalar::from(0.0));
                alu(&[*x], 2 + u64::from(shifted))
            }
            Node::Pass([x, w]) => Some(self.pass(&facts(x).ty, rows(&facts(w).ty)) + self.trip),
            Node::LaneSum([x]) => Some(self.pass(&facts(x).ty, 1) + self.trip),
            // A tree of halves: as many rows again as there are, a trip to memory per level.
            Node::MaxRows([x]) => {
                let ty = &facts(x).ty;
                let levels = u64::from(rows(ty).next_power_of_two().trailing_zeros());
                Some(self.vxm(ty, 1) + levels * self.trip)
            }
            Node::Transpose([x]) => self.transpose(facts(x)),
            Node::Matmul(_)
            | Node::Div(_)
            | Node::Erf(_)
            | Node::Sqrt(_)
            | Node::SumLast(_)
            | Node::MaxLast(_)
            | Node::GeluErf(_)
            | Node::GeluTanh(_)
            | Node::GeluSigmoid(_)
            | Node::Softmax(_)
            | Node::Mean(_)
            | Node::Variance(_)
            | Node::Split(_)
            | Node::Join(_)
            | Node::Swap(_)
            | Node::LayerNorm(_) => None,
        }
    }

    fn vxm(&self, ty: &Type, operations: u64) -> u64 {
        (vectors(ty, self.lanes) * operations).div_ceil(self.alus)
    }

    /// A pass of `x` through `columns` columns.
    fn pass(&self, x: &Type, columns: u64) -> u64 {
        let batches: u64 = x.lead(2).iter().map(|&d| d as u64).product();
        // An fp16 unit takes 160 lanes a cycle and holds two planes (machine.md, MXM).
        let (k, planes) = match x.elem {
            Elem::F16 => (self.k_f16, self.planes / 2),
            _ => (self.lanes, self.planes),
        };
        let tiles = columns.div_ceil(self.lanes) * (x.last() as u64).div_ceil(k);
        (batches * rows(x) * tiles).div_ceil(planes)
    }

    fn transpose(&self, x: &Facts) -> Option<u64> {
        let vector = x.ty.rank() < 2 || x.ty.last() == 1 || rows(&x.ty) == 1;
        if x.input && vector {
            return Some(0);
        }
        // The MXM transposes by a pass of the identity; it is exact in the types that it multiplies.
        let swapped = Type {
            shape: [x.ty.lead(2), &[x.ty.last(), x.ty.last()]].concat(),
            ..x.ty.clone()
        };
        matches!(x.ty.elem, Elem::I8 | Elem::F16)
            .then(|| self.pass(&swapped, rows(&x.ty)) + self.trip)
    }
}

/// Rows of a matrix; 1 of a vector.
fn rows(ty: &Type) -> u64 {
    let n = ty.shape.len();
    n.checked_sub(2).map_or(1, |i| ty.shape[i] as u64)
}

/// Vectors of at most `lanes` lanes.
fn vectors(ty: &Type, lanes: u64) -> u64 {
    let lead: u64 = ty.lead(1).iter().map(|&d| d as u64).product();
    lead * (ty.last() as u64).div_ceil(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egraph::facts::tests::graph;
    use tspc_machine::Machine;

    /// 12 + 9 + 5 cycles on the way, 13 + 40 in the MXM.
    const TRIP: u64 = 79;

    fn cost(leaves: &str, term: &str) -> Option<u64> {
        let (graph, [root]) = graph(leaves, [term]);
        let node = graph[root].iter().next().unwrap();
        Cost::new(&Machine::tsp_v1()).of(&graph, node)
    }

    #[test]
    fn operations_take_vectors_by_alus() {
        let leaves = "f32 64x640, f32 1x640, f32 64x1, i32 64x640";
        for (term, cycles) in [
            ("(add v0 v0)", 8),
            ("(mul v1 v0)", 8),
            ("(sub v0 v2)", 8),
            ("(exp v2)", 4),
            ("(recip v2)", 8),
            ("(quantize v0 0.5 0.0)", 16),
            ("(quantize v0 0.5 1.0)", 24),
            ("(dequantize v3 0.5)", 16),
            ("(cast-f16 v0)", 8),
        ] {
            assert_eq!(cost(leaves, term), Some(cycles), "{term}");
        }
    }

    #[test]
    fn products_take_tiles_by_planes_and_a_trip() {
        let leaves = "i8 128x768, i8 768x768, f16 128x768, f16 768x768, i8 12x128x64, i8 12x128x64";
        for (term, cycles) in [
            ("(pass v0 v1)", 128 * 9 / 4),
            ("(pass v2 v3)", 128 * 15 / 2),
            ("(pass v4 v5)", 12 * 128 / 4),
            ("(lane-sum v0)", 128 * 3 / 4),
            ("(lane-sum v2)", 128 * 5 / 2),
        ] {
            assert_eq!(cost(leaves, term), Some(cycles + TRIP), "{term}");
        }
    }

    #[test]
    fn maxima_over_rows_are_trees() {
        assert_eq!(cost("f32 100x320", "(max-rows v0)"), Some(7 + 7 * TRIP));
    }

    #[test]
    fn layout_is_free_but_for_transpositions_of_computed_values() {
        let leaves = "i8 16x32, f32 16x32, constant f32 16x32, input f32 1x32, input f32 16x32";
        for (term, cycles) in [
            ("(heads v0 2)", Some(0)),
            ("(t v0)", Some(32 / 4 + TRIP)),
            ("(t v1)", None),
            ("(t v2)", Some(0)),
            ("(t v3)", Some(0)),
            ("(t v4)", None),
        ] {
            assert_eq!(cost(leaves, term), cycles, "{term}");
        }
    }

    #[test]
    fn constants_are_computed_before() {
        let leaves = "constant f32 16x32, constant f32 32x16";
        for term in ["(mul v0 2.0)", "(matmul v0 v1)", "(erf v0)", "v0", "0.5"] {
            assert_eq!(cost(leaves, term), Some(0), "{term}");
        }
    }

    #[test]
    fn what_the_chip_lacks_costs_nothing_that_can_be_paid() {
        let leaves = "f32 16x32, f32 32x16";
        for term in [
            "(matmul v0 v1)",
            "(div v0 v0)",
            "(erf v0)",
            "(sum-last v0)",
            "(gelu-tanh v0)",
        ] {
            assert_eq!(cost(leaves, term), None, "{term}");
        }
    }
}

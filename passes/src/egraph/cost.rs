//! What a node costs, in cycles of the whole chip by unit: the work on a unit divided by the units that there are, and
//! a trip through the MXM where the chain breaks. All numbers come from the machine file; a node that the chip does
//! not have costs nothing that can be paid.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use egg::{Id, Language};
use tspc_ir::{Elem, Type};
use tspc_machine::Numbers;

use super::decode::moments;
use super::decode::terms::maximum_tree;
use super::facts::{Facts, Graph, count};
use super::language::{Node, Scalar};

/// Cycles by unit. The SXM has no part: no form uses it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cycles {
    /// The planes multiply.
    pub mxm: u64,
    /// The ALUs work.
    pub vxm: u64,
    /// Memory fills the outward streams with what passes take: rows and what is installed.
    pub mem: u64,
    /// Nobody works: a value is on its way.
    pub latency: u64,
}

/// What costs are compared by: cycles that nothing hides, then traffic.
pub type Rank = (u64, u64);

impl Cycles {
    /// Cycles that nothing hides. A sum, not the busiest unit: within a region each operation waits for the one
    /// before it, so that units take turns, and a sum of nodes is what extraction can bound. Reading goes on beside
    /// all of it and does not count.
    pub fn total(&self) -> u64 {
        let all = [self.mxm, self.vxm, self.latency];
        all.into_iter().fold(0, u64::saturating_add)
    }

    /// The order of costs: of two that take as long, the one that moves less.
    pub fn rank(&self) -> Rank {
        (self.total(), self.mem)
    }

    /// The parts with their names.
    pub fn parts(&self) -> [(&'static str, u64); 4] {
        let Cycles {
            mxm,
            vxm,
            mem,
            latency,
        } = *self;
        [
            ("MXM", mxm),
            ("VXM", vxm),
            ("latency", latency),
            ("MEM", mem),
        ]
    }

    fn each(self, other: Cycles, of: fn(u64, u64) -> u64) -> Cycles {
        Cycles {
            mxm: of(self.mxm, other.mxm),
            vxm: of(self.vxm, other.vxm),
            mem: of(self.mem, other.mem),
            latency: of(self.latency, other.latency),
        }
    }
}

impl Add for Cycles {
    type Output = Cycles;
    fn add(self, other: Cycles) -> Cycles {
        self.each(other, u64::saturating_add)
    }
}

impl Sum for Cycles {
    fn sum<I: Iterator<Item = Cycles>>(all: I) -> Cycles {
        all.fold(Cycles::default(), Cycles::add)
    }
}

/// The total, and the parts that it has.
impl fmt::Display for Cycles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cycles", self.total())?;
        let parts = self.parts().into_iter().filter(|(_, n)| *n > 0);
        let parts: Vec<String> = parts.map(|(unit, n)| format!("{unit} {n}")).collect();
        match parts.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", parts.join(", ")),
        }
    }
}

/// Sizes, throughputs and latencies.
#[derive(Clone, Debug)]
pub struct Cost {
    lanes: u64,
    k_f16: u64,
    planes: u64,
    alus: u64,
    /// Outward, in both hemispheres.
    streams: u64,
    /// From an operand's read to its result in memory, over the MXM and once over the VXM.
    trip: u64,
}

/// Cycles from an operand's read to its result in memory, over the MXM and once over the VXM.
pub fn trip(machine: &Numbers) -> u64 {
    let hop = machine.sr_columns + machine.mxm_port_delay + machine.vxm_entry;
    let mxm = machine.mxm_act_to_accumulate + machine.mxm_accumulate_to_result;
    u64::from(hop + mxm)
}

impl Cost {
    /// The costs of a machine.
    pub fn new(machine: &Numbers) -> Cost {
        Cost {
            lanes: u64::from(machine.superlanes * machine.lanes_per_superlane),
            k_f16: u64::from(machine.mxm_k_f16),
            planes: u64::from(2 * machine.mxm_planes),
            alus: u64::from(machine.vxm_alus),
            trip: trip(machine),
            streams: u64::from(2 * machine.streams_per_direction),
        }
    }

    /// Cycles of a node; `None`: the chip has no such operation.
    pub fn of(&self, graph: &Graph, node: &Node) -> Option<Cycles> {
        match graph.analysis.is_replaced(node) {
            true => None,
            false => self.of_form(graph, node),
        }
    }

    /// The same, also of a node that has another in its place.
    pub fn of_form(&self, graph: &Graph, node: &Node) -> Option<Cycles> {
        let facts = |id: &Id| &graph[*id].data;
        // What is constant is computed by the compiler.
        let children = node.children();
        if children.iter().all(|id| facts(id).constant) {
            return Some(Cycles::default());
        }
        // The widest operand has the shape of the result.
        let alu = |operands: &[Id], operations: u64| {
            let types = operands.iter().map(|id| &facts(id).ty);
            types
                .max_by_key(|ty| ty.elements())
                .map(|ty| self.vxm(ty, operations))
        };
        match node {
            Node::Count(_) | Node::Scalar(_) | Node::Leaf(_) => Some(Cycles::default()),
            Node::Heads(_) | Node::Merge(_) => Some(Cycles::default()),
            // A vector is read for fewer lanes than it has; from another lane on they would have to move.
            Node::Lanes([_, start, _]) => (count(graph, *start) == Ok(0)).then(Cycles::default),
            Node::Add(x) | Node::Sub(x) | Node::Mul(x) | Node::Max(x) | Node::Min(x) => alu(x, 1),
            Node::Neg(x) | Node::Exp(x) | Node::Tanh(x) | Node::Rsqrt(x) => alu(x, 1),
            Node::CastF16(x) | Node::CastF32(x) => alu(x, 1),
            Node::Recip([x]) => alu(&[*x], 2),
            Node::Dequantize([x, s]) => alu(&[*x], 1 + u64::from(!facts(s).is_one())),
            Node::Quantize([x, r, o]) => {
                let shifted = facts(o).scalar != Some(Scalar::from(0.0));
                let scaled = !facts(r).is_one();
                alu(&[*x], 1 + u64::from(scaled) + u64::from(shifted))
            }
            Node::Pass([x, w]) => Some(self.pass(&facts(x).ty, rows(&facts(w).ty))),
            Node::LaneSum([x]) => Some(self.pass(&facts(x).ty, 1)),
            Node::Moment([x, _, n]) => {
                // Tiles are added up; then each byte passes ones, and a chain puts the sums together.
                let power = count(graph, *n).ok()?;
                let (ty, bytes) = (&facts(x).ty, u64::from(moments::bytes(power)));
                let tile = Type {
                    shape: [ty.lead(1), &[ty.last().min(self.lanes as usize)]].concat(),
                    elem: Elem::I8,
                    ..ty.clone()
                };
                let pass = self.pass(&tile, 1);
                let passes = Cycles {
                    mxm: bytes * pass.mxm,
                    mem: bytes * pass.mem,
                    ..pass
                };
                Some(self.vxm(ty, power as u64) + self.vxm(&tile, 2 + 2 * bytes) + passes)
            }
            // A tree: as many operations as there are rows, a trip to memory per level.
            Node::MaxRows([x]) => {
                let ty = &facts(x).ty;
                let (levels, _) = maximum_tree(rows(ty) as usize);
                Some(Cycles {
                    mem: self.read(vectors(ty, self.lanes), ty.elem),
                    latency: u64::from(levels) * self.trip,
                    ..self.vxm(ty, 1)
                })
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
            | Node::Bounded(_)
            | Node::Split(_)
            | Node::Join(_)
            | Node::Swap(_)
            | Node::LayerNorm(_) => None,
        }
    }

    fn vxm(&self, ty: &Type, operations: u64) -> Cycles {
        Cycles {
            vxm: (vectors(ty, self.lanes) * operations).div_ceil(self.alus),
            ..Cycles::default()
        }
    }

    /// A pass of `x` through `columns` columns, and the way there and back.
    fn pass(&self, x: &Type, columns: u64) -> Cycles {
        let batches: u64 = x.lead(2).iter().map(|&d| d as u64).product();
        // An fp16 unit takes 160 lanes a cycle and holds two planes (machine.md, MXM).
        let (k, planes) = match x.elem {
            Elem::F16 => (self.k_f16, self.planes / 2),
            _ => (self.lanes, self.planes),
        };
        let k_tiles = (x.last() as u64).div_ceil(k);
        let tiles = columns.div_ceil(self.lanes) * k_tiles;
        // Planes beside each other take the same rows; what is installed is a vector for each column of a K tile.
        let read = batches * k_tiles * (rows(x) + columns);
        Cycles {
            mxm: (batches * rows(x) * tiles).div_ceil(planes),
            mem: self.read(read, x.elem),
            latency: self.trip,
            vxm: 0,
        }
    }

    /// Cycles in which this many vectors leave memory.
    fn read(&self, vectors: u64, elem: Elem) -> u64 {
        (vectors * elem.bytes() as u64).div_ceil(self.streams)
    }

    fn transpose(&self, x: &Facts) -> Option<Cycles> {
        let vector = x.ty.rank() < 2 || x.ty.last() == 1 || rows(&x.ty) == 1;
        if x.input && vector {
            return Some(Cycles::default());
        }
        // The MXM transposes by a pass of the identity; it is exact in the types that it multiplies.
        let swapped = Type {
            shape: [x.ty.lead(2), &[x.ty.last(), x.ty.last()]].concat(),
            ..x.ty.clone()
        };
        matches!(x.ty.elem, Elem::I8 | Elem::F16).then(|| self.pass(&swapped, rows(&x.ty)))
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

    fn cycles(leaves: &str, term: &str) -> Option<Cycles> {
        let (graph, [root]) = graph(leaves, [term]);
        let node = graph[root].iter().next().unwrap();
        Cost::new(&Machine::tsp_v1()).of(&graph, node)
    }

    fn cost(leaves: &str, term: &str) -> Option<u64> {
        cycles(leaves, term).map(|c| c.total())
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
            ("(quantize v0 1.0 1.0)", 16),
            ("(dequantize v3 0.5)", 16),
            ("(dequantize v3 1.0)", 8),
            ("(cast-f16 v0)", 8),
        ] {
            assert_eq!(cost(leaves, term), Some(cycles), "{term}");
        }
    }

    #[test]
    fn products_take_tiles_by_planes_and_a_trip() {
        let leaves = "i8 128x768, i8 768x768, f16 128x768, f16 768x768, i8 12x128x64, i8 12x128x64, f32 128x768, constant f32 1";
        for (term, cycles) in [
            ("(pass v0 v1)", 128 * 9 / 4),
            ("(pass v2 v3)", 128 * 15 / 2),
            ("(pass v4 v5)", 12 * 128 / 4),
            ("(lane-sum v0)", 128 * 3 / 4),
            ("(lane-sum v2)", 128 * 5 / 2),
            ("(moment v6 v7 1)", 24 + 3 * 128 / 4 + 64),
            ("(moment v6 v7 2)", 48 + 4 * 128 / 4 + 80),
        ] {
            assert_eq!(cost(leaves, term), Some(cycles + TRIP), "{term}");
        }
    }

    #[test]
    fn parts_are_named_and_traffic_only_breaks_ties() {
        let leaves = "i8 128x768, i8 768x768, f32 100x320";
        let pass = cycles(leaves, "(pass v0 v1)").unwrap();
        let of = Cycles {
            mxm: 288,
            vxm: 0,
            mem: 3 * (128 + 768) / 64,
            latency: TRIP,
        };
        assert_eq!(pass, of);
        let text = "367 cycles (MXM 288, latency 79, MEM 42)";
        assert_eq!(pass.to_string(), text);
        assert_eq!(Cycles::default().to_string(), "0 cycles");
        let tree = cycles(leaves, "(max-rows v2)").unwrap();
        assert_eq!((tree.mxm, tree.vxm, tree.mem), (0, 7, 7));
        let less = Cycles { mem: 41, ..pass };
        assert!(less.rank() < pass.rank() && less.total() == pass.total());
        let longer = Cycles { vxm: 1, ..less };
        assert!(longer.rank() > pass.rank());
        let both = [pass, tree].into_iter().sum::<Cycles>();
        assert_eq!(both.total(), pass.total() + tree.total());
    }

    #[test]
    fn maxima_over_rows_are_trees() {
        assert_eq!(cost("f32 100x320", "(max-rows v0)"), Some(7 + 4 * TRIP));
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

//! Outlier channels in several lanes (OCS, Zhao et al. 2019; numerics.md 3.3): which values, and how many lanes each.
//!
//! K is padded to whole vectors anyway, so an outlier may take lanes that would hold nothing. Each of the n lanes of a
//! channel is quantised as an n-th of it, and the int8 scale of the product is that much finer. Values that meet lane
//! by lane are of one class and have one layout; a class is split if a linear int8 site takes one of its values, if
//! whatever makes them can make lanes twice, and if its last vector has lanes to spare.
//! What it may not know: how lanes are quantised.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tspc_ir::Opcode::{
    TensorAdd, TensorDiv, TensorErf, TensorExp, TensorGelu, TensorMatmul, TensorMax, TensorMin,
    TensorMul, TensorNeg, TensorReduce, TensorRsqrt, TensorSqrt, TensorSub, TensorTanh,
};
use tspc_ir::{ConstData, Entity, Module, Op, Opcode, Value};
use tspc_machine::Machine;

/// The channel of every lane of a value: all channels in their order, then further copies of some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    lanes: Vec<usize>,
    copies: Vec<usize>,
}

impl Layout {
    /// Every channel in one lane.
    pub fn plain(channels: usize) -> Layout {
        Layout::new(vec![1; channels])
    }

    /// Of channels with so many lanes each.
    pub fn new(copies: Vec<usize>) -> Layout {
        let mut lanes: Vec<usize> = (0..copies.len()).collect();
        let further = |(channel, &n): (usize, &usize)| std::iter::repeat_n(channel, n - 1);
        lanes.extend(copies.iter().enumerate().flat_map(further));
        Layout { lanes, copies }
    }

    /// The layout of `width` lanes with the smallest scale: the next lane goes to the channel whose lanes are greatest.
    fn fitting(magnitudes: &[f64], width: usize) -> Layout {
        let mut copies = vec![1; magnitudes.len()];
        for _ in magnitudes.len()..width {
            let lane = |k: &usize| magnitudes[*k] / copies[*k] as f64;
            // Of equals the first, whatever a NaN would be.
            let most = (0..copies.len())
                .rev()
                .max_by(|a, b| lane(a).total_cmp(&lane(b)));
            if let Some(k) = most {
                copies[k] += 1;
            }
        }
        Layout::new(copies)
    }

    /// The channel of every lane.
    pub fn lanes(&self) -> &[usize] {
        &self.lanes
    }

    /// The channels.
    pub fn channels(&self) -> usize {
        self.copies.len()
    }

    /// Of every lane, which of how many copies it is.
    pub fn copies(&self) -> Vec<(usize, usize)> {
        let mut seen = vec![0; self.channels()];
        let lane = |&channel: &usize| {
            seen[channel] += 1;
            (seen[channel] - 1, self.copies[channel])
        };
        self.lanes.iter().map(lane).collect()
    }

    /// Rows of as many elements as there are channels, as rows of lanes.
    pub fn gather<T: Copy>(&self, rows: &[T]) -> Vec<T> {
        let row = |row: &[T]| self.lanes.iter().map(|&c| row[c]).collect::<Vec<T>>();
        rows.chunks_exact(self.channels()).flat_map(row).collect()
    }
}

/// A product's demand on the layout of its activations: how far each channel reaches, in units of the product.
pub struct Demand {
    /// The activations.
    pub value: Value,
    /// Of each channel, the greatest activation times the greatest weight: what its lanes share, wherever the scale
    /// migrates.
    pub magnitudes: Vec<f64>,
}

/// How many lanes of a vector a value may fill.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Lanes of a vector.
    pub vector: usize,
    /// Lanes of a superlane, of which widths are multiples.
    pub superlane: usize,
}

impl Room {
    /// On a machine.
    pub fn of(machine: &Machine) -> Room {
        Room {
            vector: (machine.superlanes * machine.lanes_per_superlane) as usize,
            superlane: machine.lanes_per_superlane as usize,
        }
    }

    /// The lanes that these channels may fill without another vector, and without more than a quarter beyond them: as
    /// many whole superlanes in each vector, so that vectors can be added up.
    fn width(self, channels: usize) -> usize {
        let vectors = channels.div_ceil(self.vector);
        let most = (vectors * self.vector).min(channels + channels / 4);
        let unit = vectors * self.superlane;
        (most / unit * unit).max(channels)
    }
}

/// Layouts of the values that are split.
pub type Layouts = BTreeMap<Value, Rc<Layout>>;

/// The layouts of a module whose int8 products demand these.
pub fn layouts(module: &Module, demands: &[Demand], room: Room) -> Layouts {
    let classes = Classes::new(module);
    let wanted = wanted(module, demands, &classes);
    let fixed: BTreeSet<usize> = wanted
        .iter()
        .filter(|&&v| !repeatable(module, v))
        .map(|&v| classes.of(v))
        .collect();
    let mut reach: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for Demand { value, magnitudes } in demands {
        // Scales of products are compared by what they would be if all channels reached alike.
        let mean = magnitudes.iter().sum::<f64>() / magnitudes.len() as f64;
        if mean > 0.0 {
            let all = reach.entry(classes.of(*value)).or_default();
            all.resize(magnitudes.len(), 0.0);
            let both = all.iter_mut().zip(magnitudes);
            both.for_each(|(a, m)| *a = a.max(m / mean));
        }
    }
    let mut by_class: BTreeMap<usize, Rc<Layout>> = BTreeMap::new();
    for (class, magnitudes) in reach {
        let width = room.width(magnitudes.len());
        if width > magnitudes.len() && !fixed.contains(&class) {
            by_class.insert(class, Rc::new(Layout::fitting(&magnitudes, width)));
        }
    }
    let layout = |v: Value| Some((v, by_class.get(&classes.of(v))?.clone()));
    wanted.into_iter().filter_map(layout).collect()
}

/// The values of which more lanes are wanted: what int8 products take, whatever else leaves their classes but for being
/// summed, so that all that is made of one value is tiled alike, and what these are made of lane by lane.
fn wanted(module: &Module, demands: &[Demand], classes: &Classes) -> BTreeSet<Value> {
    let demanded: BTreeSet<usize> = demands.iter().map(|d| classes.of(d.value)).collect();
    let leaves = |op: Op| !lane_wise(module[op].opcode) && module[op].opcode != TensorReduce;
    let taken = |op: Op| {
        module[op]
            .operands
            .iter()
            .copied()
            .filter(move |_| leaves(op))
    };
    let ops = module.body_ops().iter();
    let mut wanted: BTreeSet<Value> = ops
        .flat_map(|&op| taken(op))
        .filter(|&v| constant(module, v).is_none() && demanded.contains(&classes.of(v)))
        .collect();
    for &op in module.body_ops().iter().rev() {
        let data = &module[op];
        if lane_wise(data.opcode) && wanted.contains(&data.results[0]) {
            wanted.extend(met(module, op));
        }
    }
    wanted
}

/// The computed operands that an operation takes lane by lane.
fn met(module: &Module, op: Op) -> impl Iterator<Item = Value> {
    let data = &module[op];
    let lanes = module.ty(data.results[0]).last();
    let operands = data.operands.iter().copied();
    operands.filter(move |&v| {
        lanes > 1 && module.ty(v).last() == lanes && constant(module, v).is_none()
    })
}

fn constant(module: &Module, v: Value) -> Option<&ConstData> {
    module.constant(module.def_op(v)?)
}

/// Whether some lanes of a value can be made twice: by the host, by more columns of a matrix, or out of more lanes.
fn repeatable(module: &Module, v: Value) -> bool {
    let made = |op: Op| {
        let data = &module[op];
        match data.opcode {
            TensorMatmul => {
                let w = data.operands[1];
                constant(module, w).is_some() && module.ty(w).rank() == 2
            }
            opcode => lane_wise(opcode),
        }
    };
    module.ty(v).rank() == 2 && module.def_op(v).is_none_or(made)
}

/// Whether lanes of the results depend on the same lanes of the operands and on nothing else.
pub fn lane_wise(opcode: Opcode) -> bool {
    matches!(
        opcode,
        TensorAdd
            | TensorSub
            | TensorMul
            | TensorDiv
            | TensorMax
            | TensorMin
            | TensorNeg
            | TensorExp
            | TensorTanh
            | TensorErf
            | TensorSqrt
            | TensorRsqrt
            | TensorGelu
    )
}

/// Values that meet lane by lane.
struct Classes {
    /// Per value, one nearer to the one that stands for its class.
    parent: Vec<usize>,
}

impl Classes {
    fn new(module: &Module) -> Classes {
        let mut classes = Classes {
            parent: (0..module.values().count()).collect(),
        };
        for &op in module.body_ops() {
            if lane_wise(module[op].opcode) {
                for v in met(module, op) {
                    classes.join(v, module[op].results[0]);
                }
            }
        }
        classes
    }

    fn of(&self, value: Value) -> usize {
        self.find(value.index())
    }

    fn find(&self, mut value: usize) -> usize {
        while self.parent[value] != value {
            value = self.parent[value];
        }
        value
    }

    /// The smaller number stands for both.
    fn join(&mut self, a: Value, b: Value) {
        let (a, b) = (self.of(a), self.of(b));
        self.parent[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tspc_ir::text::parse;

    const ROOM: Room = Room {
        vector: 20,
        superlane: 2,
    };

    #[test]
    fn widths_fill_the_last_vector_by_whole_superlanes() {
        let room = Room::of(&Machine::tsp_v1());
        for (channels, width) in [
            (384, 480), // A quarter more, of 256 spare lanes.
            (768, 960), // All of the last vector.
            (1536, 1600),
            (3072, 3200),
            (320, 320), // Nothing is spare.
            (640, 640),
            (32, 32),   // A quarter is less than a superlane.
            (448, 544), // 2 · 272; 560 would be 2 · 280.
            (1000, 1216),
            (100, 112),
            (1, 1),
        ] {
            assert_eq!(room.width(channels), width, "{channels}");
        }
    }

    #[test]
    fn the_scale_is_the_smallest_that_fits() {
        let magnitudes = [1.0, 9.0, 0.5, 4.0, 2.0, 2.0];
        let needed = |s: f64| {
            magnitudes
                .iter()
                .map(|m| (m / s).ceil() as usize)
                .sum::<usize>()
        };
        for width in 6..40 {
            let layout = Layout::fitting(&magnitudes, width);
            assert_eq!(layout.lanes().len(), width);
            let lane = |(m, &n): (&f64, &usize)| m / n as f64;
            let scale = magnitudes
                .iter()
                .zip(&layout.copies)
                .map(lane)
                .fold(0.0, f64::max);
            // A little less of a scale needs more lanes.
            assert!(
                needed(scale) <= width && needed(0.999 * scale) > width,
                "{width}"
            );
        }
        assert_eq!(Layout::fitting(&magnitudes, 9).copies, [1, 3, 1, 2, 1, 1]);
    }

    #[test]
    fn the_first_lanes_are_the_channels() {
        let layout = Layout::new(vec![1, 3, 2]);
        assert_eq!(layout.lanes(), [0, 1, 2, 1, 1, 2]);
        let copies = [(0, 1), (0, 3), (0, 2), (1, 3), (2, 3), (1, 2)];
        assert_eq!(layout.copies(), copies);
        assert_eq!(
            layout.gather(&[7, 8, 9, 4, 5, 6]),
            [7, 8, 9, 8, 8, 9, 4, 5, 6, 5, 5, 6]
        );
    }

    fn module(body: &str) -> Module {
        let text = format!(
            "module @m(%0 \"x\": tensor<3x8xf32>, %1 \"s\": tensor<3x1xf32>) {{\n{body}\n}}"
        );
        parse("s", &text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
    }

    /// The names of values that are split if `demanded` is.
    fn split(module: &Module, demanded: &str, magnitudes: &[f64]) -> Vec<String> {
        let value = |(v, _): (Value, _)| (v.to_string() == demanded).then_some(v);
        let demand = Demand {
            value: module.values().find_map(value).unwrap(),
            magnitudes: magnitudes.to_vec(),
        };
        let layouts = layouts(module, &[demand], ROOM);
        layouts.keys().map(ToString::to_string).collect()
    }

    const OUTLIER: [f64; 8] = [1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0];

    #[test]
    fn what_meets_lane_by_lane_is_split_as_far_as_it_is_wanted() {
        let module = module(
            r#"%2 = tensor.constant() {value = dense<8xf32>[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]} : tensor<8xf32>
            %3 = tensor.sub(%0, %1) : tensor<3x8xf32>
            %4 = tensor.mul(%3, %3) : tensor<3x8xf32>
            %5 = tensor.reduce(%4) {kind = sum, axis = 1} : tensor<3x1xf32>
            %6 = tensor.mul(%3, %5) : tensor<3x8xf32>
            %7 = tensor.add(%6, %2) : tensor<3x8xf32>
            %8 = tensor.exp(%7) : tensor<3x8xf32>
            %9 = tensor.neg(%8) : tensor<3x8xf32>
            tensor.return(%8) {names = ["y"]}"#,
        );
        // Neither the square, which is summed, nor what leads nowhere, nor rows of one lane; but what is returned.
        let wanted = ["%0", "%3", "%6", "%7", "%8"];
        assert_eq!(split(&module, "%7", &OUTLIER), wanted);
        assert!(split(&module, "%7", &[0.0; 8]).is_empty());
    }

    #[test]
    fn what_cannot_make_lanes_twice_is_not_split() {
        let made = |by: &str| {
            let body = format!(
                "%2 = tensor.constant() {{value = dense<8x8xf32>[{}]}} : tensor<8x8xf32>
                %3 = {by}
                %4 = tensor.neg(%3) : tensor<3x8xf32>
                tensor.return(%4) {{names = [\"y\"]}}",
                ["1.0"; 64].join(", ")
            );
            split(&module(&body), "%4", &OUTLIER)
        };
        assert_eq!(
            made("tensor.matmul(%0, %2) : tensor<3x8xf32>"),
            ["%3", "%4"]
        );
        assert!(made("tensor.softmax(%0) : tensor<3x8xf32>").is_empty());
        assert!(made("tensor.reshape(%0) {shape = [3, 8]} : tensor<3x8xf32>").is_empty());
    }
}

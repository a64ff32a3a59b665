//! Ranges: the least and greatest value of every channel of the operands of all products, and how large the rows of
//! normalised values get, from evaluations.
//!
//! They are kept by the number of the product, or of the normalised value, in the canonical fp32 module. Nothing in them depends on
//! the sequence length, so ranges from short texts serve a module for long ones.

use super::site::{Kind, Root, sites};
use super::statistics::{energy, greater, normalised};
use std::collections::BTreeMap;
use tspc_ir::eval::{Array, Arrays, evaluate_with};
use tspc_ir::{Diagnostic, Module, Place, Value};

/// The range of each channel, or one range.
#[derive(Clone, PartialEq, Debug)]
pub struct Range {
    /// The least values.
    pub low: Vec<f32>,
    /// The greatest values.
    pub high: Vec<f32>,
}

impl Range {
    fn empty(channels: usize) -> Range {
        Range {
            low: vec![f32::INFINITY; channels],
            high: vec![f32::NEG_INFINITY; channels],
        }
    }

    fn widen(&mut self, channel: usize, low: f32, high: f32) {
        // A NaN stays, so that it is refused when the range is used.
        let pick = |to: &mut f32, x: f32, beyond: bool| {
            if beyond || x.is_nan() {
                *to = x;
            }
        };
        let (least, most) = (self.low[channel], self.high[channel]);
        pick(&mut self.low[channel], low, low < least);
        pick(&mut self.high[channel], high, high > most);
    }

    /// The greatest magnitude of each channel.
    pub fn magnitudes(&self) -> Vec<f64> {
        let each = self.low.iter().zip(&self.high);
        each.map(|(l, h)| f64::from(l.abs().max(h.abs()))).collect()
    }

    fn is_finite(&self) -> bool {
        self.low.iter().chain(&self.high).all(|x| x.is_finite())
    }
}

/// The ranges of both operands of every product; of a constant matrix none.
#[derive(Clone, PartialEq, Debug)]
pub struct Ranges {
    products: Vec<[Option<Range>; 2]>,
    /// By normalised value, the greatest sum of the squares of a row.
    energies: Vec<f32>,
}

impl Ranges {
    /// The ranges that these inputs of a canonical fp32 module give.
    pub fn observe(module: &Module, inputs: &Arrays) -> Result<Ranges, Diagnostic> {
        let values = normalised(module);
        let mut ranges = Ranges {
            products: Vec::new(),
            energies: vec![0.0; values.len()],
        };
        let mut watched: BTreeMap<Value, Vec<(usize, usize)>> = BTreeMap::new();
        for (number, site) in sites(module).iter().enumerate() {
            let [left, right] = &site.roots;
            let of = |root: &Root| Some(Range::empty(root.channels));
            watched.entry(left.value).or_default().push((number, 0));
            ranges.products.push(match site.kind {
                Kind::Linear => [of(left), None],
                Kind::Attention => {
                    watched.entry(right.value).or_default().push((number, 1));
                    [of(left), of(right)]
                }
            });
        }
        let mut see = |value: Value, array: &Array| {
            if let Ok(number) = values.binary_search(&value) {
                let most = &mut ranges.energies[number];
                *most = greater(*most, energy(array));
            }
            for &(number, operand) in watched.get(&value).into_iter().flatten() {
                if let (Some(range), Ok(x)) =
                    (&mut ranges.products[number][operand], array.data.f32s())
                {
                    let channels = range.low.len();
                    x.iter()
                        .enumerate()
                        .for_each(|(i, &x)| range.widen(i % channels, x, x));
                }
            }
        };
        evaluate_with(module, inputs, &mut see)?;
        for (name, value) in module.inputs() {
            if let Some(array) = inputs.get(name) {
                see(value, array);
            }
        }
        Ok(ranges)
    }

    /// Widens the ranges by those of another evaluation. An error if they are of another model.
    pub fn merge(&mut self, other: &Ranges) -> Result<(), Diagnostic> {
        let width = |r: &Option<Range>| r.as_ref().map(|r| r.low.len());
        let shape =
            |r: &Ranges| -> Vec<_> { r.products.iter().map(|p| p.each_ref().map(width)).collect() };
        if shape(self) != shape(other) || self.energies.len() != other.energies.len() {
            return Err(mismatch("ranges of another model cannot be merged"));
        }
        let both = self
            .products
            .iter_mut()
            .flatten()
            .zip(other.products.iter().flatten());
        for (to, from) in both {
            if let (Some(to), Some(from)) = (to, from) {
                for (channel, (&low, &high)) in from.low.iter().zip(&from.high).enumerate() {
                    to.widen(channel, low, high);
                }
            }
        }
        for (to, &from) in self.energies.iter_mut().zip(&other.energies) {
            *to = greater(*to, from);
        }
        Ok(())
    }

    /// The energies of so many normalised values; of rows of zeros, 1.
    pub(super) fn energies(&self, count: usize) -> Result<Vec<f32>, Diagnostic> {
        if self.energies.len() != count {
            return Err(mismatch(format!(
                "the ranges are of a module of {} normalised values, this one has {count}",
                self.energies.len()
            )));
        }
        match self.energies.iter().position(|e| !e.is_finite()) {
            Some(number) => Err(mismatch(format!(
                "the rows of normalised value {number} are not finite"
            ))),
            None => {
                let positive = |&e: &f32| if e > 0.0 { e } else { 1.0 };
                Ok(self.energies.iter().map(positive).collect())
            }
        }
    }

    /// The number of products.
    pub fn products(&self) -> usize {
        self.products.len()
    }

    /// The range of the operand of a product, for this root.
    pub(super) fn of(
        &self,
        product: usize,
        operand: usize,
        root: &Root,
    ) -> Result<&Range, Diagnostic> {
        let found = self.products.get(product).and_then(|p| p[operand].as_ref());
        match found {
            Some(range) if range.low.len() != root.channels => Err(mismatch(format!(
                "the ranges of product {product} have {} channels, the module has {}",
                range.low.len(),
                root.channels
            ))),
            Some(range) if !range.is_finite() => Err(mismatch(format!(
                "the ranges of product {product} are not finite"
            ))),
            Some(range) => Ok(range),
            None => Err(mismatch(format!(
                "there are no ranges of product {product}"
            ))),
        }
    }
}

fn mismatch(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(message, Place::named("ranges"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tspc_ir::text::parse;

    /// Channels 2, heads 1, any number of rows.
    fn module(rows: usize, width: usize) -> Module {
        let text = format!(
            r#"module @m(%0 "x": tensor<{rows}x{width}xf32>) {{
            %1 = tensor.neg(%0) : tensor<{rows}x{width}xf32>
            %2 = tensor.transpose(%1) {{perm = [1, 0]}} : tensor<{width}x{rows}xf32>
            %3 = tensor.matmul(%0, %2) : tensor<{rows}x{rows}xf32>
            %4 = tensor.reshape(%3) {{shape = [1, {rows}, {rows}]}} : tensor<1x{rows}x{rows}xf32>
            %5 = tensor.exp(%4) : tensor<1x{rows}x{rows}xf32>
            %6 = tensor.matmul(%5, %0) : tensor<1x{rows}x{width}xf32>
            tensor.return(%6) {{names = ["y"]}}
        }}"#
        );
        parse("r", &text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
    }

    fn observe(width: usize, x: &[f32]) -> Ranges {
        let rows = x.len() / width;
        let x = Array::f32s([rows, width], x.to_vec()).unwrap();
        Ranges::observe(&module(rows, width), &[("x".to_string(), x)].into())
            .unwrap_or_else(|d| panic!("{d}"))
    }

    #[test]
    fn channels_of_matrices_and_one_range_of_the_rest() {
        let ranges = observe(2, &[1.0, -2.0, 0.5, 0.0, -1.0, 0.25]);
        assert_eq!(ranges.products(), 2);
        let [left, right] = &ranges.products[0];
        let left = left.as_ref().unwrap();
        assert_eq!(
            (&left.low[..], &left.high[..]),
            (&[-1.0, -2.0][..], &[1.0, 0.25][..])
        );
        assert_eq!(left.magnitudes(), [1.0, 2.0]);
        assert_eq!(
            right.as_ref().unwrap().high,
            [1.0, 2.0],
            "below the transpose"
        );
        assert_eq!(ranges.products[1][0].as_ref().unwrap().low.len(), 1);
    }

    #[test]
    fn evaluations_of_other_lengths_merge() {
        let mut a = observe(2, &[1.0, -2.0]);
        let b = observe(2, &[0.5, 3.0, 0.75, 0.0]);
        a.merge(&b).unwrap();
        let range = a.products[1][1].as_ref().unwrap();
        assert_eq!(
            (&range.low[..], &range.high[..]),
            (&[0.5, -2.0][..], &[1.0, 3.0][..])
        );
        let error = a.merge(&observe(3, &[1.0, 2.0, 3.0])).unwrap_err();
        assert_eq!(error.message, "ranges of another model cannot be merged");
    }

    #[test]
    fn ranges_that_do_not_fit_are_refused() {
        let ranges = observe(2, &[1.0, f32::NAN]);
        let sites = sites(&module(1, 2));
        let root = &sites[1].roots[1];
        let error = |ranges: &Ranges, product, root: &Root| {
            ranges.of(product, 1, root).unwrap_err().message
        };
        assert_eq!(
            error(&ranges, 1, root),
            "the ranges of product 1 are not finite"
        );
        assert_eq!(error(&ranges, 2, root), "there are no ranges of product 2");
        let other = Root {
            channels: 5,
            ..root.clone()
        };
        assert_eq!(
            error(&ranges, 1, &other),
            "the ranges of product 1 have 2 channels, the module has 5"
        );
    }
}

//! What is to be done with each site, and in how many lanes values are computed.

use super::split::{Demand, Layout, Layouts, Room, layouts};
use super::{Format, Kind, Migrate, Range, Ranges, Site, scale};
use std::collections::BTreeMap;
use std::rc::Rc;
use tspc_ir::eval::Data;
use tspc_ir::{Diagnostic, Module, Place, Value};

/// Exponents of migration by structure, chosen on held-out calibration texts of the trained model (the example
/// `cosines`).
///
/// Activations on one side of 0 (after GELU) have the heaviest outliers, and a zero point besides.
const ONE_SIDED: f64 = 0.8;
/// Into a wider space: after the LayerNorm of attention, outliers of 30 times the bulk.
const WIDENING: f64 = 0.6;
/// All others.
const PLAIN: f64 = 0.5;
/// The same of activations whose outliers have several lanes: less is left to migrate.
const SPLIT_ONE_SIDED: f64 = 0.5;
const SPLIT: f64 = 0.3;

/// What is to be done with each site, by its number.
pub struct Plan<'c> {
    pub module: &'c Module,
    pub sites: Vec<Site>,
    pub formats: Vec<Format>,
    pub migrate: Vec<Migrate>,
    pub ranges: Option<&'c Ranges>,
    /// How large the rows of values get whose lanes are summed in fixed point.
    pub energies: BTreeMap<Value, f32>,
    /// Of values that are split.
    pub layouts: Layouts,
}

impl Plan<'_> {
    pub fn check(&self) -> Result<(), Diagnostic> {
        let refuse = |message: String| Err(Diagnostic::new(message, Place::named("ranges")));
        let int8 = self.formats.contains(&Format::Int8);
        match self.ranges {
            None if int8 => refuse("int8 needs ranges of the operands: calibrate first".into()),
            Some(ranges) if int8 && ranges.products() != self.sites.len() => refuse(format!(
                "the ranges are of a module of {} products, this one has {}",
                ranges.products(),
                self.sites.len()
            )),
            _ => Ok(()),
        }
    }

    /// Gives the outliers of int8 activations several lanes.
    pub fn split(&mut self, room: Room) -> Result<(), Diagnostic> {
        let mut demands = Vec::new();
        for (number, site) in self.sites.iter().enumerate() {
            if site.kind == Kind::Linear && self.formats[number] == Format::Int8 {
                let group = self.group(number)?;
                let weights = self.row_maxima(&group);
                let reach = self.range(number, 0)?.magnitudes();
                demands.push(Demand {
                    value: site.roots[0].value,
                    magnitudes: reach.iter().zip(weights).map(|(x, w)| x * w).collect(),
                });
            }
        }
        self.layouts = layouts(self.module, &demands, room);
        Ok(())
    }

    /// The layout of a value.
    pub fn layout(&self, value: Value) -> Rc<Layout> {
        let split = self.layouts.get(&value).cloned();
        split.unwrap_or_else(|| Rc::new(Layout::plain(self.module.ty(value).last())))
    }

    /// The range of an operand of a site.
    pub fn range(&self, site: usize, operand: usize) -> Result<&Range, Diagnostic> {
        let none = || Diagnostic::new("there are no ranges", Place::named("ranges"));
        self.ranges
            .ok_or_else(none)?
            .of(site, operand, &self.sites[site].roots[operand])
    }

    /// The exponent of migration of a site.
    pub fn alpha(&self, site: usize) -> Result<f64, Diagnostic> {
        let range: &Range = match self.migrate[site] {
            Migrate::Fixed(alpha) => return Ok(alpha),
            Migrate::Auto => self.range(site, 0)?,
        };
        let [x, w] = self.sites[site].roots.each_ref().map(|r| r.value);
        let widens = self.module.ty(w).last() > self.module.ty(x).last();
        let split = self.layouts.contains_key(&x);
        Ok(match (split, scale::one_sided(range)) {
            (true, true) => SPLIT_ONE_SIDED,
            (true, false) => SPLIT,
            (false, true) => ONE_SIDED,
            (false, false) if widens => WIDENING,
            (false, false) => PLAIN,
        })
    }

    /// The int8 sites of the same input and exponent: they share its quantisation.
    pub fn group(&self, site: usize) -> Result<Vec<usize>, Diagnostic> {
        let (x, alpha) = (self.sites[site].roots[0].value, self.alpha(site)?.to_bits());
        let mut group = Vec::new();
        for (other, data) in self.sites.iter().enumerate() {
            let same = data.kind == Kind::Linear
                && data.roots[0].value == x
                && self.formats[other] == Format::Int8;
            if same && self.alpha(other)?.to_bits() == alpha {
                group.push(other);
            }
        }
        Ok(group)
    }

    /// The greatest weight magnitude of each input channel over these sites.
    pub fn row_maxima(&self, group: &[usize]) -> Vec<f64> {
        let mut greatest: Vec<f64> = Vec::new();
        for &site in group {
            let w = self.sites[site].roots[1].value;
            let constant = self
                .module
                .def_op(w)
                .and_then(|op| self.module.constant(op));
            let Some(Data::F32(matrix)) = constant.map(Data::from_const) else {
                continue;
            };
            let maxima = scale::row_maxima(&matrix, self.module.ty(w).last());
            greatest.resize(maxima.len(), 0.0);
            let both = greatest.iter_mut().zip(maxima);
            both.for_each(|(g, m)| *g = g.max(m));
        }
        greatest
    }
}

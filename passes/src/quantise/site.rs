//! Sites: the products that quantisation changes, and settings for all of them and for some.
//!
//! A site is a `tensor.matmul` of f32. *Linear*: its right operand is a constant matrix. *Attention*: all others.
//! An operand has a root: for attention the value of two dimensions below its views, so that what is quantised is
//! the plain [tokens, channels] value that a product gives, else the operand itself.

use std::str::FromStr;
use tspc_ir::Opcode::{TensorMatmul, TensorReshape, TensorTranspose};
use tspc_ir::{Diagnostic, Elem, Module, Op, Place, Value};

/// What a product multiplies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Activations by a constant matrix.
    Linear,
    /// Two computed operands.
    Attention,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Linear => "linear",
            Kind::Attention => "attention",
        }
    }
}

/// Where an operand is quantised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Root {
    /// The value.
    pub value: Value,
    /// The views from it to the operand.
    pub views: Vec<Op>,
    /// Channels with ranges of their own, as many as the last dimension; 1: one range for all, because the last
    /// dimension is no channel (probabilities over keys).
    pub channels: usize,
    /// Heads: runs of channels that the views make the batch dimension; 1 if they do not.
    pub heads: usize,
}

/// A product.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// The op.
    pub op: Op,
    /// What it multiplies.
    pub kind: Kind,
    /// Its places in the model.
    pub paths: Vec<String>,
    /// Of both operands; of a linear site the second is the matrix.
    pub roots: [Root; 2],
}

/// All sites, in the order of the body.
pub fn sites(module: &Module) -> Vec<Site> {
    let is_f32 = |&v: &Value| module.ty(v).elem == Elem::F32;
    let product = |op: &&Op| {
        let data = &module[**op];
        data.opcode == TensorMatmul && data.operands.iter().all(is_f32)
    };
    module
        .body_ops()
        .iter()
        .filter(product)
        .map(|&op| site(module, op))
        .collect()
}

fn site(module: &Module, op: Op) -> Site {
    let data = &module[op];
    let (a, b) = (data.operands[0], data.operands[1]);
    let constant = |v| {
        module
            .def_op(v)
            .is_some_and(|op| module.constant(op).is_some())
    };
    let kind = match constant(b) && !constant(a) && module.ty(b).rank() == 2 {
        true => Kind::Linear,
        false => Kind::Attention,
    };
    let roots = [a, b].map(|v| match kind {
        Kind::Linear => Root {
            value: v,
            views: Vec::new(),
            channels: module.ty(v).last(),
            heads: 1,
        },
        Kind::Attention => root(module, v),
    });
    let paths = module.locs().leaves(data.loc);
    Site {
        op,
        kind,
        paths,
        roots,
    }
}

/// The root of an operand of attention: the deepest value of two dimensions, if there is one.
fn root(module: &Module, operand: Value) -> Root {
    let mut chain = vec![operand];
    let mut views = Vec::new();
    while let Some(op) = chain.last().and_then(|&v| module.def_op(v))
        && matches!(module[op].opcode, TensorReshape | TensorTranspose)
    {
        views.push(op);
        chain.push(module[op].operands[0]);
    }
    let Some(depth) = chain.iter().rposition(|&v| module.ty(v).rank() == 2) else {
        return Root {
            value: operand,
            views: Vec::new(),
            channels: 1,
            heads: 1,
        };
    };
    let (value, views) = (
        chain[depth],
        views.into_iter().take(depth).rev().collect::<Vec<_>>(),
    );
    Root {
        value,
        channels: module.ty(value).last(),
        heads: heads(module, value, &views).unwrap_or(1),
        views,
    }
}

/// The heads, if the views are [rows, channels] → [rows, heads, width] → [heads, …].
fn heads(module: &Module, root: Value, views: &[Op]) -> Option<usize> {
    let &[split, turn] = views else { return None };
    let result = |op: Op| module.ty(module[op].results[0]);
    let &[rows, heads, _] = &result(split).shape[..] else {
        return None;
    };
    let perm = module[turn].attrs.sizes("perm").ok()?;
    let right = module[split].opcode == TensorReshape && rows == module.ty(root).shape[0];
    (right && perm.first() == Some(&1)).then_some(heads)
}

/// A setting for all sites and others for some, later ones winning: `int8`, `int8,attention=fp16,layer.0=int8`.
/// `attention` and `linear` name all sites of the kind; other names are runs of segments of a site's path.
#[derive(Clone, PartialEq, Debug)]
pub struct PerSite<T> {
    default: T,
    overrides: Vec<(String, T)>,
}

impl<T: Copy + FromStr<Err = String>> PerSite<T> {
    /// Reads a setting.
    pub fn parse(text: &str) -> Result<PerSite<T>, Diagnostic> {
        let refuse = |why: String| Diagnostic::new(why, Place::named(format!("setting {text:?}")));
        let mut items = text.split(',').map(str::trim);
        let first = items.next().unwrap_or_default();
        let default = first.parse().map_err(refuse)?;
        let mut overrides = Vec::new();
        for item in items {
            let (name, value) = item
                .split_once('=')
                .ok_or_else(|| refuse(format!("{item:?} should be SITE=VALUE")))?;
            overrides.push((name.to_string(), value.parse().map_err(refuse)?));
        }
        Ok(PerSite { default, overrides })
    }

    /// Whether some site may have this setting.
    pub fn has(&self, value: T) -> bool
    where
        T: PartialEq,
    {
        self.default == value || self.overrides.iter().any(|(_, own)| *own == value)
    }

    /// The setting of every site. An error if a name matches no site.
    pub fn resolve(&self, sites: &[Site]) -> Result<Vec<T>, Diagnostic> {
        let mut settings = vec![self.default; sites.len()];
        for (name, value) in &self.overrides {
            let mut found = false;
            for (setting, site) in settings.iter_mut().zip(sites) {
                if matches(site, name) {
                    (*setting, found) = (*value, true);
                }
            }
            if !found {
                let message = format!("no product is called {name:?}; there are {}", names(sites));
                return Err(Diagnostic::new(message, Place::named("setting")));
            }
        }
        Ok(settings)
    }
}

fn matches(site: &Site, name: &str) -> bool {
    if [Kind::Linear, Kind::Attention]
        .iter()
        .any(|k| k.name() == name)
    {
        return site.kind.name() == name;
    }
    let name: Vec<&str> = name.split('.').collect();
    site.paths.iter().any(|path| {
        let segments: Vec<&str> = path.split('.').collect();
        segments.windows(name.len()).any(|run| run == name)
    })
}

/// What sites can be called; of many, the first.
fn names(sites: &[Site]) -> String {
    const SHOWN: usize = 16;
    let mut names: Vec<&str> = Vec::new();
    for kind in [Kind::Linear, Kind::Attention] {
        if sites.iter().any(|s| s.kind == kind) {
            names.push(kind.name());
        }
    }
    for path in sites.iter().flat_map(|s| &s.paths) {
        if !names.contains(&path.as_str()) {
            names.push(path);
        }
    }
    match names.len() {
        0 => "none".into(),
        n if n > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantise::{Format, Precision};
    use tspc_ir::text::parse;

    fn module() -> Module {
        let text = r#"module @m(%0 "x": tensor<4x6xf32>) {
            %1 = tensor.constant() {value = dense<6x2xf32>[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]} : tensor<6x2xf32>
            %2 = tensor.matmul(%0, %1) : tensor<4x2xf32> loc("layer.0.output.dense")
            %3 = tensor.reshape(%0) {shape = [4, 3, 2]} : tensor<4x3x2xf32>
            %4 = tensor.transpose(%3) {perm = [1, 0, 2]} : tensor<3x4x2xf32>
            %5 = tensor.transpose(%3) {perm = [0, 2, 1]} : tensor<4x2x3xf32>
            %6 = tensor.transpose(%3) {perm = [1, 2, 0]} : tensor<3x2x4xf32>
            %7 = tensor.matmul(%4, %6) : tensor<3x4x4xf32> loc("layer.0.scores")
            %8 = tensor.exp(%7) : tensor<3x4x4xf32>
            %9 = tensor.matmul(%8, %4) : tensor<3x4x2xf32> loc("layer.10.context")
            %10 = tensor.matmul(%5, %3) : tensor<4x2x2xf32> loc("layer.10.other")
            tensor.return(%2, %9, %10) {names = ["a", "b", "c"]}
        }"#;
        parse("s", text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
    }

    #[test]
    fn roots_lie_below_the_views_that_make_heads() {
        let module = module();
        let x = module.inputs().next().unwrap().1;
        let sites = sites(&module);
        let kinds: Vec<Kind> = sites.iter().map(|s| s.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Linear,
                Kind::Attention,
                Kind::Attention,
                Kind::Attention
            ]
        );
        let roots = |i: usize| {
            sites[i]
                .roots
                .each_ref()
                .map(|r| (r.value == x, r.channels, r.heads))
        };
        assert_eq!(roots(0), [(true, 6, 1), (false, 2, 1)]);
        assert_eq!(roots(1), [(true, 6, 3), (true, 6, 3)]);
        assert_eq!(roots(2), [(false, 1, 1), (true, 6, 3)]);
        assert_eq!(
            roots(3),
            [(true, 6, 1), (true, 6, 1)],
            "the rows stay in front"
        );
    }

    fn resolve(text: &str) -> Result<String, String> {
        let resolved = Precision::parse(text).and_then(|p| p.resolve(&sites(&module())));
        let letter = |f: &Format| if *f == Format::Int8 { 'i' } else { 'f' };
        resolved
            .map(|all| all.iter().map(letter).collect())
            .map_err(|d| d.message)
    }

    #[test]
    fn names_are_kinds_or_runs_of_segments_and_later_ones_win() {
        assert_eq!(resolve("int8").unwrap(), "iiii");
        assert_eq!(resolve("int8,attention=fp16").unwrap(), "ifff");
        assert_eq!(resolve("fp16, linear=int8").unwrap(), "ifff");
        assert_eq!(resolve("int8,output.dense=fp16").unwrap(), "fiii");
        assert_eq!(
            resolve("int8,layer.1=fp16").unwrap_err(),
            "no product is called \"layer.1\"; there are linear, attention, layer.0.output.dense, layer.0.scores, layer.10.context, layer.10.other"
        );
        assert_eq!(
            resolve("int8,attention=fp16,layer.10=int8").unwrap(),
            "ifii"
        );
    }

    #[test]
    fn malformed_settings_are_refused() {
        assert_eq!(
            resolve("int4").unwrap_err(),
            "\"int4\" should be int8 or fp16"
        );
        assert_eq!(resolve("").unwrap_err(), "\"\" should be int8 or fp16");
        assert_eq!(
            resolve("int8,scores").unwrap_err(),
            "\"scores\" should be SITE=VALUE"
        );
        assert_eq!(
            resolve("int8,scores=x").unwrap_err(),
            "\"x\" should be int8 or fp16"
        );
        assert!(resolve("int8,=fp16").is_err());
        assert!(resolve("int8,dense.output=fp16").is_err());
    }
}

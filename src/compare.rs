//! Where the levels of a compilation differ on one input.
//!
//! `stream.*`, `tsp.*` and the simulator must agree bit for bit. The fp32 and the quantised module differ by what
//! quantisation rounds; how much is shown for each named tensor, and for the worst the places.

use std::collections::BTreeMap;
use std::fmt::Write;

use tspc_frontend_bert::Model;

use crate::compiler::{self, Compiled, Error, inputs, reshaped};
use crate::ir::eval::{Array, Arrays, evaluate, evaluate_with};
use crate::ir::{Elem, Module, Value};
use crate::machine::Machine;

/// Places shown of a difference.
const SHOWN: usize = 10;

/// What was found.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Whether the levels that must agree do.
    pub equal: bool,
    /// The report.
    pub text: String,
}

/// Compares the levels on these tokens.
pub fn levels(
    model: &Model,
    compiled: &Compiled,
    machine: &Machine,
    ids: &[u32],
) -> Result<Comparison, Error> {
    let rows = compiled
        .tensor
        .inputs()
        .next()
        .map_or(0, |(_, v)| compiled.tensor.ty(v).shape[0]);
    let given = inputs(model, ids, rows)?;
    let streamed = reshaped(&compiled.stream, &given)?;
    let stream = evaluate(&compiled.stream, &streamed)?;
    let tsp = evaluate(compiled.tsp.module(), &streamed)?;
    let inference = compiler::infer(model, &compiled.program, machine, ids, &mut |_, _| {})
        .map_err(|e| e.to_string())?;
    let simulated = |name: &String, array: &Array| -> Vec<u32> {
        let bytes = inference.outcome.outputs.get(name);
        let size = array.data.elem().bytes();
        let element = |b: &[u8]| b.iter().rev().fold(0, |x, &b| x << 8 | u32::from(b));
        bytes
            .into_iter()
            .flat_map(|b| b.chunks_exact(size).map(element))
            .collect()
    };
    let mut text = String::new();
    let mut equal = true;
    for (name, want) in &stream {
        let bits = want.data.lanes(0..want.data.len());
        let other = tsp.get(name).map(|a| a.data.lanes(0..a.data.len()));
        for (level, got) in [
            ("tsp.*", other.unwrap_or_default()),
            ("simulator", simulated(name, want)),
        ] {
            equal &= same(&mut text, name, level, want, &bits, &got);
        }
    }
    named(&mut text, compiled, &given, ids.len())?;
    Ok(Comparison { equal, text })
}

/// Says whether a level has the bits of `stream.*`, and where not: row, lane, both values.
fn same(
    text: &mut String,
    name: &str,
    level: &str,
    array: &Array,
    want: &[u32],
    got: &[u32],
) -> bool {
    let lanes = array.last();
    let differ: Vec<usize> = (0..want.len().max(got.len()))
        .filter(|&i| want.get(i) != got.get(i))
        .collect();
    let verdict = match differ.len() {
        0 => "bit for bit".to_string(),
        n => format!("{n} of {} elements differ", want.len()),
    };
    let _ = writeln!(text, "  {name}: {level} = stream.*: {verdict}");
    for &i in differ.iter().take(SHOWN) {
        let show = |bits: Option<&u32>| match bits {
            Some(&b) if array.data.elem() == Elem::F32 => format!("{:?}", f32::from_bits(b)),
            Some(b) => format!("{b:#x}"),
            None => "nothing".to_string(),
        };
        let _ = writeln!(
            text,
            "    row {} lane {}: stream.* {}, {level} {}",
            i / lanes,
            i % lanes,
            show(want.get(i)),
            show(got.get(i))
        );
    }
    differ.is_empty()
}

/// What a named tensor of two levels differs by.
struct Difference {
    path: String,
    shape: Vec<usize>,
    /// Largest difference, over the largest magnitude.
    relative: f64,
    at: usize,
    want: f32,
    got: f32,
}

/// The last fp32 value that each path of the model computes, in order of appearance.
fn by_path(module: &Module, inputs: &Arrays) -> Result<Vec<(String, Array)>, Error> {
    let mut last: BTreeMap<String, (usize, Array)> = BTreeMap::new();
    let mut order = 0;
    evaluate_with(module, inputs, &mut |value: Value, array: &Array| {
        let op = module.def_op(value);
        let constant = op.is_some_and(|op| module[op].operands.is_empty());
        if let (Some(op), false) = (op, constant || array.data.elem() != Elem::F32) {
            let path = module.locs().describe(module[op].loc);
            let path = path.split(" (").next().unwrap_or(&path).to_string();
            order += 1;
            let first = last.get(&path).map_or(order, |(first, _)| *first);
            last.insert(path, (first, array.clone()));
        }
    })?;
    let mut all: Vec<(usize, String, Array)> = last
        .into_iter()
        .map(|(path, (order, array))| (order, path, array))
        .collect();
    all.sort_by_key(|(order, ..)| *order);
    Ok(all.into_iter().map(|(_, path, array)| (path, array)).collect())
}

/// Compares fp32 with quantised `tensor.*` by the paths of the model, on valid tokens.
fn named(
    text: &mut String,
    compiled: &Compiled,
    inputs: &Arrays,
    tokens: usize,
) -> Result<(), Error> {
    let exact = by_path(&compiled.tensor, inputs)?;
    let rounded: BTreeMap<String, Array> =
        by_path(&compiled.quantised, inputs)?.into_iter().collect();
    let mut found = Vec::new();
    for (path, want) in exact {
        let Some(got) = rounded.get(&path).filter(|a| a.shape == want.shape) else {
            continue;
        };
        let (Ok(w), Ok(g)) = (want.data.f32s(), got.data.f32s()) else {
            continue;
        };
        let valid = match want.shape.len() {
            2 => tokens * want.last(),
            _ => w.len(),
        };
        let (w, g) = (&w[..valid.min(w.len())], &g[..valid.min(g.len())]);
        let most = w.iter().fold(0f64, |m, x| m.max(f64::from(x.abs())));
        let apart = |i: &usize| (f64::from(w[*i]) - f64::from(g[*i])).abs();
        let at = (0..w.len()).max_by(|a, b| apart(a).total_cmp(&apart(b)));
        if let Some(at) = at {
            found.push(Difference {
                path,
                relative: apart(&at) / most.max(f64::MIN_POSITIVE),
                at,
                want: w[at],
                got: g[at],
                shape: want.shape,
            });
        }
    }
    let _ = writeln!(
        text,
        "  fp32 and quantised tensor.*, largest difference over largest magnitude:"
    );
    for d in &found {
        let lanes = d.shape.last().copied().unwrap_or(1);
        let _ = writeln!(
            text,
            "    {:<48} {:>8.2e}  row {} lane {}: {:?}, {:?}",
            d.path,
            d.relative,
            d.at / lanes,
            d.at % lanes,
            d.want,
            d.got
        );
    }
    Ok(())
}

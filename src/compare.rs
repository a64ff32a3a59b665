//! Where the levels of a compilation differ on one input.
//!
//! Tiled `stream.*`, `tsp.*` and the simulator must agree bit for bit. The fp32 and the quantised module differ by what
//! quantisation rounds, the quantised one and `stream.*` by where fp32 values are rounded, which may move an int8 value
//! by one; how much is shown for each named tensor, and the places of the first that differs.

use std::fmt::Write;

use tspc_frontend_bert::Model;

use crate::compiler::{self, Compiled, Error, inputs, reshaped};
use crate::ir::eval::{Array, Arrays, evaluate, evaluate_with};
use crate::ir::{Def, Elem, Module, Op, Opcode, Value};
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
    elem: Elem,
    /// Places that differ, as row, lane and both values; the first ones.
    places: Vec<(usize, usize, f64, f64)>,
    differing: usize,
    /// Largest difference, over the largest magnitude.
    relative: f64,
}

/// An array that an op of a module computes.
struct Named {
    path: String,
    opcode: Opcode,
    array: Array,
}

/// The fp32 and i32 values of a module by the paths of the model, in order.
fn by_path(module: &Module, inputs: &Arrays) -> Result<Vec<Named>, Error> {
    let mut all = Vec::new();
    evaluate_with(module, inputs, &mut |value: Value, array: &Array| {
        let Some(op) = made_by(module, value) else {
            return;
        };
        let wide = matches!(array.data.elem(), Elem::F32 | Elem::I32);
        if module[op].operands.is_empty() || !wide || array.shape.len() < 2 {
            return;
        }
        let path = module.locs().describe(module[op].loc);
        all.push(Named {
            path: path.split(" (").next().unwrap_or(&path).to_string(),
            opcode: module[op].opcode,
            array: array.clone(),
        });
    })?;
    Ok(all)
}

/// The op that makes a value; of a pipeline's result, the operation inside.
fn made_by(module: &Module, value: Value) -> Option<Op> {
    let Def::Result(op, i) = module[value].def else {
        return None;
    };
    let inside = module[op].region.and_then(|r| module[r].ops.last());
    let inner = inside.and_then(|&end| module.def_op(module[end].operands[i]));
    Some(inner.unwrap_or(op))
}

/// The number at a row and a lane, whichever way round the array lies.
fn number(array: &Array, transposed: bool, batch: usize, row: usize, lane: usize) -> f64 {
    let n = array.shape.len();
    let (rows, lanes) = (array.shape[n - 2], array.shape[n - 1]);
    let at = batch * rows * lanes
        + match transposed {
            true => lane * lanes + row,
            false => row * lanes + lane,
        };
    let bits = array.data.lanes(at..at + 1)[0];
    match array.data.elem() {
        Elem::I32 => f64::from(bits.cast_signed()),
        _ => f64::from(f32::from_bits(bits)),
    }
}

/// For each tensor that is the last of its path and type in `a`, how the closest one in `b` of that path, type and
/// shape, perhaps transposed or with further lanes, differs on valid tokens.
fn differences(a: &[Named], b: &[Named], tokens: usize, same_op: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    for (i, want) in a.iter().enumerate() {
        let elem = want.array.data.elem();
        let alike = |n: &&Named| n.path == want.path && n.array.data.elem() == elem;
        if a[i + 1..].iter().any(|n| alike(&n)) {
            continue;
        }
        let fits = |n: &&Named| !same_op || n.opcode == want.opcode;
        let candidates = b.iter().filter(alike).filter(fits);
        let compared = candidates.filter_map(|n| difference(want, n, tokens));
        found.extend(compared.min_by(|x, y| x.relative.total_cmp(&y.relative)));
    }
    found
}

fn difference(want: &Named, got: &Named, tokens: usize) -> Option<Difference> {
    let shape = &want.array.shape;
    let n = shape.len();
    let mut turned = shape.clone();
    turned.swap(n - 2, n - 1);
    let theirs = &got.array.shape;
    // Outlier channels may have further lanes, behind those of the channels.
    let more = theirs.len() == n && theirs[n - 1] > shape[n - 1] && shape[n - 1] > 1;
    let transposed = theirs != shape && !(more && theirs[..n - 1] == shape[..n - 1]);
    if transposed && *theirs != turned {
        return None;
    }
    let (batches, rows, lanes) = (shape[..n - 2].iter().product(), shape[n - 2], shape[n - 1]);
    // Padding has rows of its own, and columns where tokens meet tokens.
    let square = n > 2 && lanes == rows;
    let (rows, lanes) = (
        rows.min(tokens),
        if square { lanes.min(tokens) } else { lanes },
    );
    let mut difference = Difference {
        path: want.path.clone(),
        elem: want.array.data.elem(),
        places: Vec::new(),
        differing: 0,
        relative: 0.0,
    };
    let (mut most, mut apart) = (0f64, 0f64);
    for batch in 0..batches {
        for row in 0..rows {
            for lane in 0..lanes {
                let w = number(&want.array, false, batch, row, lane);
                let g = number(&got.array, transposed, batch, row, lane);
                most = most.max(w.abs());
                if w != g {
                    apart = apart.max((w - g).abs());
                    difference.differing += 1;
                    if difference.places.len() < SHOWN {
                        difference.places.push((batch * rows + row, lane, w, g));
                    }
                }
            }
        }
    }
    difference.relative = apart / most.max(f64::MIN_POSITIVE);
    Some(difference)
}

/// Compares fp32 with quantised `tensor.*`, and that with `stream.*`, by the paths of the model.
fn named(
    text: &mut String,
    compiled: &Compiled,
    inputs: &Arrays,
    tokens: usize,
) -> Result<(), Error> {
    let exact = by_path(&compiled.tensor, inputs)?;
    let rounded = by_path(&compiled.quantised, inputs)?;
    let streamed = reshaped(&compiled.untiled, inputs)?;
    let untiled = by_path(&compiled.untiled, &streamed)?;
    for (title, found) in [
        (
            "fp32 tensor.* and quantised tensor.*",
            differences(&exact, &rounded, tokens, true),
        ),
        (
            "quantised tensor.* and stream.*",
            differences(&rounded, &untiled, tokens, false),
        ),
    ] {
        let _ = writeln!(text, "  {title}: largest difference over largest magnitude");
        for d in &found {
            let _ = writeln!(
                text,
                "    {:<48} {:<4} {:>8.2e}  {} differ",
                d.path,
                d.elem.name(),
                d.relative,
                d.differing
            );
        }
        if let Some(first) = found.iter().find(|d| d.differing > 0) {
            let _ = writeln!(text, "    the first that differs is {}:", first.path);
            for (row, lane, want, got) in &first.places {
                let _ = writeln!(text, "      row {row} lane {lane}: {want:?}, {got:?}");
            }
        }
    }
    Ok(())
}

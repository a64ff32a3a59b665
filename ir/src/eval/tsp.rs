//! The meaning of `tsp.*` without time: buffers of 320-byte words, sequences of 320-lane vectors.

use super::stream::{add_partial, install_f16};
use super::tensor::widen;
use super::{Array, Cell, Data, Evaluator, alu, product};
use crate::entity::{Entity, Op, Value};
use crate::infer::{K_F16, LANES, WriteRun};
use crate::module::OpData;
use crate::ops::Opcode::*;
use crate::types::Elem;
use std::sync::Arc;

const SUPERLANE: usize = 16;

const SUPERLANES: usize = LANES / SUPERLANE;

/// A `mem`: words, of which some superlanes were never written.
#[derive(Clone)]
pub(super) struct Buffer {
    words: Vec<Word>,
}

#[derive(Clone)]
struct Word {
    bytes: [u8; LANES],
    /// Bit k: superlane k was written.
    written: u32,
}

const ALL_WRITTEN: u32 = (1 << SUPERLANES) - 1;

/// Weights, loaded or installed: fp16 or int8 bits, column by column.
#[derive(Clone)]
pub(super) struct Weights {
    /// `None`: int8, K = 320. `Some(p)`: fp16, K = 160 from lane 160p on.
    half: Option<usize>,
    columns: Vec<u16>,
    loaded: Vec<bool>,
}

impl Evaluator<'_> {
    pub(super) fn tsp(&mut self, op: Op) -> Result<(), String> {
        let data = &self.module[op];
        let attrs = &data.attrs;
        match data.opcode {
            TspImage => {
                let c = self
                    .module
                    .constant(op)
                    .ok_or("the constant is not in the pool")?;
                let array = Array {
                    shape: c.shape.clone(),
                    data: Data::from_const(c),
                };
                let columns: Vec<i64> = (0..array.last() as i64).collect();
                let buffer = plane(&array, &columns, attrs.size("byte")?);
                self.set(op, 0, Cell::Buffer(Arc::new(buffer)))
            }
            TspInput => {
                let name = attrs.str("name")?;
                let array = self
                    .inputs
                    .get(name)
                    .ok_or_else(|| format!("input {name} is missing"))?;
                let shape = [attrs.size("rows")?, attrs.size("cols")?];
                if array.shape != shape || array.data.elem() != attrs.elem("elem")? {
                    return Err(format!(
                        "input {name} is {:?} of {}",
                        array.shape,
                        array.data.elem().name()
                    ));
                }
                let buffer = plane(array, &columns(data)?, attrs.size("byte")?);
                self.set(op, 0, Cell::Buffer(Arc::new(buffer)))
            }
            TspOutput => {
                let buffer = self.buffer(data.operands[0])?;
                self.outputs.plane(data, &buffer)
            }
            TspRead => {
                let buffer = self.buffer(data.operands[0])?;
                let mut out = Vec::new();
                for i in 0..attrs.int("count")? {
                    out.extend(
                        buffer.word((attrs.int("start")? + i * attrs.int("step")?) as usize)?,
                    );
                }
                self.give(op, as_i8(out))
            }
            TspGather => {
                let buffer = self.buffer(data.operands[0])?;
                let map = self.bytes(data.operands[1])?;
                let mut out = Vec::with_capacity(map.len());
                for row in map.chunks_exact(LANES) {
                    for (s, lanes) in row.chunks_exact(SUPERLANE).enumerate() {
                        out.extend(buffer.superlane(address(lanes), s)?);
                    }
                }
                self.give(op, as_i8(out))
            }
            TspWrite => {
                let mut buffer = self.target(data, 1)?;
                let x = self.byte_plane(data)?;
                let run = WriteRun::new(attrs, x.len() / LANES)?;
                let rows = x.chunks_exact(LANES).skip(run.first);
                for (i, row) in rows
                    .step_by(run.interval as usize)
                    .take(run.count)
                    .enumerate()
                {
                    let word = attrs.int("start")? + i as i64 * attrs.int("step")?;
                    let word = &mut buffer.words[word as usize];
                    word.bytes.copy_from_slice(row);
                    word.written = ALL_WRITTEN;
                }
                self.set(op, 0, Cell::Buffer(Arc::new(buffer)))
            }
            TspScatter => {
                let mut buffer = self.target(data, 2)?;
                let (x, map) = (self.byte_plane(data)?, self.bytes(data.operands[1])?);
                for (i, lanes) in map.chunks_exact(SUPERLANE).enumerate() {
                    let (s, at) = (i % SUPERLANES, address(lanes));
                    let word = buffer
                        .words
                        .get_mut(at)
                        .ok_or_else(|| format!("the buffer has no word {at}"))?;
                    word.written |= 1 << s;
                    word.bytes[s * SUPERLANE..][..SUPERLANE]
                        .copy_from_slice(&x[i * SUPERLANE..][..SUPERLANE]);
                }
                self.set(op, 0, Cell::Buffer(Arc::new(buffer)))
            }
            TspJoin => {
                let bytes = self.all_bytes(data)?;
                let lane = |i: usize| bytes.iter().rev().fold(0, |x, b| x << 8 | u32::from(b[i]));
                let lanes: Vec<u32> = (0..bytes[0].len()).map(lane).collect();
                self.give(op, Data::from_lanes(attrs.elem("elem")?, &lanes))
            }
            TspConcat => {
                let mut lanes = Vec::new();
                for i in 0..data.operands.len() {
                    let part = &self.operand(data, i)?.data;
                    lanes.extend(part.lanes(0..part.len()));
                }
                let elem = self.operand(data, 0)?.data.elem();
                self.give(op, Data::from_lanes(elem, &lanes))
            }
            TspSplit => {
                let bytes = self.byte_plane(data)?;
                self.give(op, as_i8(bytes))
            }
            TspAlu => {
                let arrays = (0..data.operands.len())
                    .map(|i| self.operand(data, i))
                    .collect::<Result<Vec<_>, _>>()?;
                let lanes: Vec<_> = arrays
                    .iter()
                    .map(|a| (a.data.elem(), a.data.lanes(0..a.data.len())))
                    .collect();
                let lanes: Vec<_> = lanes.iter().map(|(e, l)| (*e, l.as_slice())).collect();
                let out = alu::run(attrs, &lanes)?;
                self.give(op, Data::from_lanes(attrs.elem("elem")?, &out))
            }
            TspLw => {
                let weights = self.lw(data)?;
                self.set(op, 0, Cell::Weights(Arc::new(weights)))
            }
            TspIw => {
                let weights = self.iw(data)?;
                self.set(op, 0, Cell::Weights(Arc::new(weights)))
            }
            TspAct => {
                let out = self.act(data)?;
                self.give(op, out)
            }
            TspAccumulate => {
                let sum = self.operand(data, 0)?;
                let out = match (&sum.data, data.operands.get(1)) {
                    (_, None) => sum.data.clone(),
                    (Data::I32(a), Some(&p)) => match &self.array(p)?.data {
                        Data::I32(p) => add_partial(a, p)?,
                        _ => return Err("the partial sum is not i32".into()),
                    },
                    (other, Some(&p)) => {
                        let pairs = other.f32s()?.iter().zip(self.array(p)?.data.f32s()?);
                        Data::F32(pairs.map(|(a, b)| tspc_num::acc_f32(*a, *b)).collect())
                    }
                };
                self.give(op, out)
            }
            TspDistribute => {
                let map = self.bytes(data.operands[0])?;
                for i in 1..data.operands.len() {
                    let x = self.operand(data, i)?;
                    let lanes = x.data.lanes(0..x.data.len());
                    let lane = |l: usize| match map[l] {
                        m @ 0..16 => lanes[l / SUPERLANE * SUPERLANE + usize::from(m)],
                        _ => 0,
                    };
                    let out: Vec<u32> = (0..lanes.len()).map(lane).collect();
                    let out = Array {
                        shape: x.shape.clone(),
                        data: Data::from_lanes(x.data.elem(), &out),
                    };
                    self.set(op, i - 1, Cell::Array(Arc::new(out)))?;
                }
                Ok(())
            }
            TspTranspose => {
                let x = self.all_bytes(data)?;
                for i in 0..SUPERLANE {
                    let lane = |l: usize| x[l % SUPERLANE][l / SUPERLANE * SUPERLANE + i];
                    let shape = vec![x[0].len() / LANES, LANES];
                    let out = Array {
                        shape,
                        data: as_i8((0..x[0].len()).map(lane).collect()),
                    };
                    self.set(op, i, Cell::Array(Arc::new(out)))?;
                }
                Ok(())
            }
            TspPermute => {
                let (low, high) = (self.bytes(data.operands[1])?, self.bytes(data.operands[2])?);
                let map: Vec<usize> = low
                    .iter()
                    .zip(&high)
                    .map(|(&l, &h)| usize::from(l) | usize::from(h) << 8)
                    .collect();
                let mut at = Vec::with_capacity(map.len());
                for (row, sources) in map.chunks_exact(LANES).enumerate() {
                    let mut seen = [false; LANES];
                    for &s in sources {
                        let taken = seen.get_mut(s).map(|t| std::mem::replace(t, true));
                        if taken != Some(false) {
                            return Err(format!(
                                "the map is no bijection: source lane {s} in row {row}"
                            ));
                        }
                        at.push(row * LANES + s);
                    }
                }
                let out = self.operand(data, 0)?.data.gather(&at);
                self.give(op, out)
            }
            TspShift => {
                let x = &self.operand(data, 0)?.data;
                let (n, up) = (attrs.size("lanes")?, attrs.sym("way")? == "up");
                let lanes = x.lanes(0..x.len());
                let source = |l: usize| {
                    if up {
                        l.checked_sub(n)
                    } else {
                        Some(l + n).filter(|&l| l < LANES)
                    }
                };
                let lane = |i: usize| source(i % LANES).map_or(0, |l| lanes[i / LANES * LANES + l]);
                let out: Vec<u32> = (0..lanes.len()).map(lane).collect();
                let out = Data::from_lanes(x.elem(), &out);
                self.give(op, out)
            }
            _ => Err("not a tsp op".into()),
        }
    }

    fn buffer(&self, v: Value) -> Result<Arc<Buffer>, String> {
        match &self.cells[v.index()] {
            Some(Cell::Buffer(b)) => Ok(b.clone()),
            _ => Err(format!("{v} has no buffer")),
        }
    }

    fn weights(&self, v: Value) -> Result<&Weights, String> {
        match &self.cells[v.index()] {
            Some(Cell::Weights(w)) => Ok(w),
            _ => Err(format!("{v} has no weights")),
        }
    }

    fn bytes(&self, v: Value) -> Result<Vec<u8>, String> {
        match &self.array(v)?.data {
            Data::I8(x) => Ok(x.iter().map(|b| b.cast_unsigned()).collect()),
            Data::U8(x) => Ok(x.clone()),
            other => Err(format!(
                "{v} has elements {}, not bytes",
                other.elem().name()
            )),
        }
    }

    fn all_bytes(&self, data: &OpData) -> Result<Vec<Vec<u8>>, String> {
        data.operands.iter().map(|&v| self.bytes(v)).collect()
    }

    /// The byte of the first operand that attribute `byte` names.
    fn byte_plane(&self, data: &OpData) -> Result<Vec<u8>, String> {
        let x = &self.operand(data, 0)?.data;
        let shift = 8 * data.attrs.size("byte")?;
        Ok(x.lanes(0..x.len())
            .iter()
            .map(|l| (l >> shift) as u8)
            .collect())
    }

    /// The buffer that a write changes, or an empty one.
    fn target(&self, data: &OpData, into: usize) -> Result<Buffer, String> {
        match data.operands.get(into) {
            Some(&v) => Ok((*self.buffer(v)?).clone()),
            None => Ok(Buffer {
                words: vec![
                    Word {
                        bytes: [0; LANES],
                        written: 0
                    };
                    data.attrs.size("words")?
                ],
            }),
        }
    }

    fn lw(&self, data: &OpData) -> Result<Weights, String> {
        let half = data
            .attrs
            .get("half")
            .map(|_| data.attrs.size("half"))
            .transpose()?;
        let streams = self.all_bytes(data)?;
        let (group, step) = (data.attrs.int("group")?, data.attrs.int("step")?);
        let mut w = Weights::empty(half);
        for i in 0..streams[0].len() / LANES {
            let j = (group + i as i64 * step) as usize;
            w.loaded[j] = true;
            for (s, stream) in streams.iter().enumerate() {
                let row = &stream[i * LANES..][..LANES];
                match half {
                    None => {
                        let column = &mut w.columns[(SUPERLANE * j + s) * LANES..][..LANES];
                        column
                            .iter_mut()
                            .zip(row)
                            .for_each(|(c, b)| *c = u16::from(*b));
                    }
                    Some(p) => {
                        let column = &mut w.columns[(8 * j + s / 2) * K_F16..][..K_F16];
                        let row = &row[K_F16 * p..][..K_F16];
                        column
                            .iter_mut()
                            .zip(row)
                            .for_each(|(c, b)| *c |= u16::from(*b) << (8 * (s % 2)));
                    }
                }
            }
        }
        Ok(w)
    }

    fn iw(&self, data: &OpData) -> Result<Weights, String> {
        let n = data.attrs.size("groups")?;
        let mut out = Weights::empty(self.weights(data.operands[0])?.half);
        let size = out.columns.len() / out.loaded.len();
        for &v in &data.operands {
            let load = self.weights(v)?;
            if load.half != out.half {
                return Err("the loads are of different K halves".into());
            }
            for j in (0..n).filter(|&j| load.loaded[j]) {
                out.loaded[j] = true;
                out.columns[j * size..][..size].copy_from_slice(&load.columns[j * size..][..size]);
            }
        }
        match (0..n).find(|&j| !out.loaded[j]) {
            Some(j) => Err(format!("group {j} is not loaded")),
            None => Ok(out),
        }
    }

    fn act(&self, data: &OpData) -> Result<Data, String> {
        let (x, w) = (
            &self.operand(data, 0)?.data,
            self.weights(data.operands[1])?,
        );
        let Some(p) = w.half else {
            let columns: Vec<i16> = w
                .columns
                .iter()
                .map(|&b| i16::from((b as u8).cast_signed()))
                .collect();
            let sums = product::integer(&widen(x, 0, x.len())?, &columns, LANES);
            return Ok(Data::I32(sums.ok_or("the sum overflows i32")?));
        };
        let f32s = |mut lanes: Vec<u32>| {
            tspc_num::convert_lanes(&mut lanes, Elem::F16, Elem::F32);
            lanes.into_iter().map(f32::from_bits).collect::<Vec<f32>>()
        };
        let rows = (0..x.len() / LANES)
            .flat_map(|r| x.lanes(r * LANES + K_F16 * p..r * LANES + K_F16 * (p + 1)));
        let columns = w.columns.iter().map(|&b| u32::from(b)).collect();
        Ok(Data::F32(install_f16(
            &f32s(rows.collect()),
            &f32s(columns),
            K_F16,
            None,
        )))
    }
}

impl Buffer {
    fn get(&self, at: usize, superlanes: u32) -> Result<&Word, String> {
        let word = self
            .words
            .get(at)
            .ok_or_else(|| format!("the buffer has no word {at}"))?;
        match word.written & superlanes == superlanes {
            true => Ok(word),
            false => Err(format!("word {at} was never written")),
        }
    }

    pub(super) fn word(&self, at: usize) -> Result<[u8; LANES], String> {
        Ok(self.get(at, ALL_WRITTEN)?.bytes)
    }

    fn superlane(&self, at: usize, s: usize) -> Result<&[u8], String> {
        Ok(&self.get(at, 1 << s)?.bytes[s * SUPERLANE..][..SUPERLANE])
    }
}

impl Weights {
    fn empty(half: Option<usize>) -> Weights {
        let k = if half.is_some() { K_F16 } else { LANES };
        let groups = if half.is_some() {
            LANES / 8
        } else {
            LANES / 16
        };
        Weights {
            half,
            columns: vec![0; k * LANES],
            loaded: vec![false; groups],
        }
    }
}

fn as_i8(bytes: Vec<u8>) -> Data {
    Data::I8(bytes.into_iter().map(u8::cast_signed).collect())
}

/// The word number in the first two lanes of a superlane's map.
fn address(lanes: &[u8]) -> usize {
    usize::from(lanes[0]) | usize::from(lanes[1]) << 8
}

/// The column of each lane of an input or output tile, −1 for none.
pub(super) fn columns(data: &OpData) -> Result<Vec<i64>, String> {
    if data.attrs.has("columns") {
        return Ok(data.attrs.ints("columns")?.to_vec());
    }
    let first = LANES as i64 * data.attrs.int("tile")?;
    Ok((first..(first + LANES as i64).min(data.attrs.int("cols")?)).collect())
}

/// A byte plane of a matrix, its columns dealt to lanes.
fn plane(array: &Array, columns: &[i64], byte: usize) -> Buffer {
    let cols = array.last();
    let words = (0..array.data.len() / cols).map(|row| {
        let lanes = array.data.lanes(row * cols..(row + 1) * cols);
        let mut bytes = [0; LANES];
        for (b, &c) in bytes.iter_mut().zip(columns) {
            *b = usize::try_from(c).map_or(0, |c| (lanes[c] >> (8 * byte)) as u8);
        }
        Word {
            bytes,
            written: ALL_WRITTEN,
        }
    });
    Buffer {
        words: words.collect(),
    }
}

//! Buffers on demand: each way in which a value is read gets words of its own.
//!
//! A value that streams is stored row by row; one that is installed is striped over sixteen slices, so that sixteen
//! weight columns can be read in a cycle. A chain that needs one buffer twice gets a second copy.

use std::collections::{BTreeMap, BTreeSet};

use tspc_ir as ir;
use tspc_ir::Opcode;
use tspc_program::ElemType;

use super::views::{LANES, View, Window, refuse};
use super::{elem_type, lanes};
use crate::Refusal;
use crate::problem::{Buffer, BufferId, Origin, Piece, Port, Read, Segment, Source, Write};

/// How words are laid out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Layout {
    /// Rows `first`… in order.
    Rows,
    /// Rows dealt to this many stripes.
    Striped(usize),
}

/// What a buffer group holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    root: ir::Value,
    lane: usize,
    lanes: usize,
    repeated: bool,
    /// The only byte of each element that it holds, if not all.
    byte: Option<u8>,
    first: usize,
    count: usize,
    layout: Layout,
    copy: u32,
}

/// The columns of an input that lanes 0, 1, … of a tile hold.
#[derive(Clone)]
enum Columns {
    /// First, count.
    Run(usize, usize),
    /// One column in this many lanes.
    Repeated(usize, usize),
    /// These, in any order.
    Picked(Vec<usize>),
}

/// Copies of narrow constant rows that many chains read; of a single row, each reader has its own.
const CONSTANT_COPIES: u32 = 8;

/// Copies of computed bytes that many chains read.
const NARROW_COPIES: u32 = 4;

/// Copies of wider computed values: each finds its slices when its own first reader has its time.
const WIDE_COPIES: u32 = 2;

/// Streams of a weight load.
const STREAMS: usize = 16;

/// Parts of a written value, each in buffers of its own: a slice does one thing at a time, so rows can be read while
/// others are written only if they lie elsewhere.
const PARTS: usize = 2;

/// Rows below which a part is not worth its instructions.
const LEAST_PART: usize = 8;

/// Rows of a part of a value of so many rows.
fn part(rows: usize) -> usize {
    rows.div_ceil(PARTS).max(LEAST_PART)
}

pub struct Memory<'a> {
    module: &'a ir::Module,
    buffers: Vec<Buffer>,
    groups: BTreeMap<Key, Vec<BufferId>>,
    /// Readers of a key so far.
    turns: BTreeMap<Key, u32>,
    writes: BTreeMap<ir::Value, Vec<Write>>,
    /// Tiles of each input.
    inputs: BTreeMap<ir::Value, Vec<(Columns, Vec<BufferId>)>>,
    /// What the chain under construction reads already.
    taken: BTreeSet<BufferId>,
    /// What the install under construction loads already.
    loading: BTreeSet<BufferId>,
}

impl Columns {
    /// Per lane, the column that it holds.
    fn lanes(&self) -> Vec<Option<u32>> {
        match *self {
            Columns::Run(first, count) => lanes(0, first as u32, count),
            Columns::Repeated(column, count) => (0..LANES)
                .map(|l| (l < count).then_some(column as u32))
                .collect(),
            Columns::Picked(ref columns) => (0..LANES)
                .map(|l| columns.get(l).map(|&c| c as u32))
                .collect(),
        }
    }
}

impl<'a> Memory<'a> {
    pub fn new(module: &'a ir::Module) -> Memory<'a> {
        Memory {
            module,
            buffers: Vec::new(),
            groups: BTreeMap::new(),
            turns: BTreeMap::new(),
            writes: BTreeMap::new(),
            inputs: BTreeMap::new(),
            taken: BTreeSet::new(),
            loading: BTreeSet::new(),
        }
    }

    /// The chain under construction is complete.
    pub fn next_chain(&mut self) {
        self.taken.clear();
    }

    /// The install under construction is complete.
    pub fn next_install(&mut self) {
        self.loading.clear();
    }

    fn is_input(&self, root: ir::Value) -> bool {
        self.module.def_op(root).is_none() || self.gather(root).is_some()
    }

    /// The op that picks lanes of an input, if this is its result.
    fn gather(&self, root: ir::Value) -> Option<ir::Op> {
        let op = self.module.def_op(root)?;
        (self.module[op].opcode == Opcode::StreamGather).then_some(op)
    }

    /// The input that a key names, and the columns of it.
    fn input_columns(&self, key: &Key) -> (ir::Value, Columns) {
        let Some(op) = self.gather(key.root) else {
            let columns = match key.repeated {
                true => Columns::Repeated(key.lane, key.lanes),
                false => Columns::Run(key.lane, key.lanes),
            };
            return (key.root, columns);
        };
        let data = &self.module[op];
        let picked = data.attrs.sizes("lanes").unwrap_or_default();
        let lane = |l: usize| picked[key.lane + if key.repeated { 0 } else { l }];
        let columns = (0..key.lanes).map(lane).collect();
        (data.operands[0], Columns::Picked(columns))
    }

    fn buffer(&mut self, words: u32, origin: Origin) -> BufferId {
        self.buffers.push(Buffer { words, origin });
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// A view as a row run of the chain under construction.
    pub fn rows(&mut self, op: ir::Op, view: &View) -> Result<Source, Refusal> {
        if view.lanes > LANES || self.module.ty(view.root).rank() != 2 {
            let ty = self.module.ty(view.root);
            return Err(refuse(
                self.module,
                op,
                format!("{ty} is not tiled; expected at most {LANES} lanes"),
            ));
        }
        self.lanes_at_zero(op, view)?;
        let last = view.start + view.step * (view.count as i64 - 1);
        let all = self.module.ty(view.root).shape[0];
        // A value that a chain writes has parts; the host fills an input whole.
        let written = view.computed(self.module) && !self.is_input(view.root);
        let (first, length) = match (written, self.is_input(view.root)) {
            (true, _) => (0, part(all)),
            (false, true) => (0, all),
            (false, false) => {
                let first = view.start.min(last) as usize;
                (first, view.start.max(last) as usize - first + 1)
            }
        };
        let key = |part: usize, copy: u32| Key {
            root: view.root,
            lane: view.lane,
            lanes: view.lanes,
            repeated: view.repeated,
            first: first + part * length,
            count: length.min(all - first - part * length),
            byte: view.byte.map(|(byte, _)| byte),
            layout: Layout::Rows,
            copy,
        };
        let part_of = |row: i64| (row as usize - first) / length;
        let (low, high) = (view.start.min(last), view.start.max(last));
        let parts = part_of(low)..=part_of(high);
        let mut copy = self.turn(key(*parts.start(), 0));
        let mut groups: BTreeMap<usize, Vec<BufferId>>;
        loop {
            groups = parts
                .clone()
                .map(|p| (p, self.group(key(p, copy))))
                .collect();
            if !groups.values().flatten().any(|b| self.taken.contains(b)) {
                break;
            }
            copy += 1;
        }
        self.taken.extend(groups.values().flatten());
        // A single row meets all rows.
        let step = if view.count == 1 { 0 } else { view.step as i32 };
        let rows: Vec<i64> = (0..view.count as i64)
            .map(|i| view.start + i * view.step)
            .collect();
        let bytes = usize::from(view.elem(self.module).bytes());
        let bytes = (0..bytes).map(|byte| {
            let mut pieces = Vec::new();
            let mut before = None;
            for (i, &row) in rows.iter().enumerate() {
                let part = part_of(row);
                if before.replace(part) != Some(part) {
                    let read = Read {
                        buffer: groups[&part][byte],
                        start: (row as usize - first - part * length) as u32,
                        step,
                    };
                    pieces.push(Piece {
                        first: i as u32,
                        read,
                    });
                }
            }
            pieces
        });
        Ok(Source {
            ty: view.elem(self.module),
            bytes: bytes.collect(),
        })
    }

    /// Which copy the next reader takes: readers of one slice wait for one another, and a copy costs little where a row is
    /// a constant or narrow.
    fn turn(&mut self, key: Key) -> u32 {
        let ty = self.module.ty(key.root);
        let constant = self.module.def_op(key.root);
        let constant = constant.is_some_and(|op| self.module[op].opcode == Opcode::StreamConstant);
        let bytes = key.byte.map_or(elem_type(ty.elem).bytes(), |_| 1);
        let copies = match bytes {
            _ if self.is_input(key.root) => 1,
            _ if constant && key.count == 1 => u32::MAX,
            _ if constant && key.layout != Layout::Rows => u32::MAX,
            1 | 2 if constant => CONSTANT_COPIES,
            1 => NARROW_COPIES,
            _ => WIDE_COPIES,
        };
        let turn = self.turns.entry(key).or_default();
        *turn += 1;
        (*turn - 1) % copies
    }

    /// Lanes do not move on the way to a reader.
    fn lanes_at_zero(&self, op: ir::Op, view: &View) -> Result<(), Refusal> {
        if view.lane == 0 || !view.computed(self.module) {
            return Ok(());
        }
        let message = format!(
            "takes lanes from {} on of a computed value, whose vectors are stored whole; expected lane 0, or a pass \
             with start and count",
            view.lane
        );
        Err(refuse(self.module, op, message))
    }

    /// Weight columns from the rows of a view: `per` columns a group, from `group` on.
    pub fn columns(
        &mut self,
        op: ir::Op,
        view: &View,
        group: u8,
        per: usize,
    ) -> Result<Vec<Segment>, Refusal> {
        if view.step != 1 || view.lanes > LANES {
            return Err(refuse(
                self.module,
                op,
                "installed rows must be consecutive and have at most 320 lanes",
            ));
        }
        if self.is_input(view.root) {
            return Err(refuse(
                self.module,
                op,
                "an input cannot be installed; pass it through a pipeline first",
            ));
        }
        self.lanes_at_zero(op, view)?;
        let key = Key {
            root: view.root,
            lane: view.lane,
            lanes: view.lanes,
            repeated: view.repeated,
            byte: view.byte.map(|(byte, _)| byte),
            first: view.start as usize,
            count: view.count,
            layout: Layout::Striped(per),
            copy: 0,
        };
        // One load takes no buffer twice.
        let mut copy = self.turn(key);
        let stripes = loop {
            let stripes = self.group(Key { copy, ..key });
            if !stripes.iter().any(|b| self.loading.contains(b)) {
                break stripes;
            }
            copy += 1;
        };
        self.loading.extend(&stripes);
        let (full, rest) = (view.count / per, view.count % per);
        let bytes = STREAMS / per;
        let mut segments = Vec::new();
        if full > 0 {
            let read = |&buffer| Read {
                buffer,
                start: 0,
                step: 1,
            };
            segments.push(Segment {
                group,
                count: full as u8,
                streams: stripes.iter().map(read).collect(),
                window: None,
            });
        }
        if rest > 0 {
            let streams = (0..STREAMS).map(|s| match s / bytes < rest {
                true => Read {
                    buffer: stripes[s],
                    start: full as u32,
                    step: 1,
                },
                false => self.zero(),
            });
            segments.push(Segment {
                group: group + full as u8,
                count: 1,
                streams: streams.collect(),
                window: None,
            });
        }
        Ok(segments)
    }

    /// Columns of zeros after the last column of an install.
    pub fn zero_columns(&mut self, after: &Segment, count: u8) -> Segment {
        Segment {
            group: after.group + after.count,
            count,
            streams: (0..STREAMS).map(|_| self.zero()).collect(),
            window: None,
        }
    }

    /// A word of zeros for a stream of an install, which has its own: a word that all installs read in the same cycles as
    /// all their weights would find no slice.
    fn zero(&mut self) -> Read {
        Read {
            buffer: self.buffer(1, Origin::Constant(vec![0; LANES])),
            start: 0,
            step: 0,
        }
    }

    /// A distributor map for a segment of an install.
    pub fn install_window(&mut self, window: Window) -> Read {
        Read {
            buffer: self.window_map(window),
            start: 0,
            step: 0,
        }
    }

    /// A distributor map that lets these lanes pass, for the chain under construction alone.
    pub fn lane_window(&mut self, window: Window) -> Vec<Piece> {
        vec![Piece::whole(Read {
            buffer: self.window_map(window),
            start: 0,
            step: 0,
        })]
    }

    /// A map that lets `count` lanes from `start` on pass.
    fn window_map(&mut self, (start, count): Window) -> BufferId {
        // Source lane in the same superlane; 16 gives zero.
        let lane = |l: usize| match (start..start + count).contains(&l) {
            true => (l % 16) as u8,
            false => 16,
        };
        self.buffer(1, Origin::Constant((0..LANES).map(lane).collect()))
    }

    /// Buffers for a row run between two chains that no value names.
    pub fn scratch(&mut self, ty: ElemType, rows: u32) -> (Source, Vec<Write>) {
        let length = part(rows as usize) as u32;
        let (mut bytes, mut writes) = (Vec::new(), Vec::new());
        for byte in 0..ty.bytes() {
            let mut pieces = Vec::new();
            for first in (0..rows).step_by(length as usize) {
                let count = length.min(rows - first);
                let buffer = self.buffer(count, Origin::Written);
                self.taken.insert(buffer);
                let read = Read {
                    buffer,
                    start: 0,
                    step: 1,
                };
                pieces.push(Piece { first, read });
                writes.push(Write {
                    output: 0,
                    byte,
                    first,
                    step: 1,
                    count,
                    buffer,
                });
            }
            bytes.push(pieces);
        }
        (Source { ty, bytes }, writes)
    }

    /// The buffers of a value for the host, one a byte, and the lane from which on they hold it.
    pub fn output(&mut self, view: &View) -> Result<(usize, Vec<BufferId>), String> {
        let ty = self.module.ty(view.root);
        if view.step != 1 && view.count > 1 {
            return Err(format!(
                "takes every {}th row, expected consecutive ones",
                view.step
            ));
        }
        if self.is_input(view.root) && view.count != ty.shape[0] {
            return Err(format!(
                "takes {} of the {} rows of an input, expected all",
                view.count, ty.shape[0]
            ));
        }
        if ty.rank() != 2 || view.lanes > LANES {
            return Err(format!("{ty} is not tiled; expected at most {LANES} lanes"));
        }
        let lane = if view.computed(self.module) {
            view.lane
        } else {
            0
        };
        let buffers = self.group(Key {
            root: view.root,
            lane: view.lane,
            lanes: view.lanes,
            repeated: view.repeated,
            byte: view.byte.map(|(byte, _)| byte),
            first: view.start as usize,
            count: view.count,
            layout: Layout::Rows,
            // Never shared with a reader: outputs stay.
            copy: u32::MAX,
        });
        Ok((lane, buffers))
    }

    /// The buffers of a key: per stripe with rows, per byte.
    fn group(&mut self, key: Key) -> Vec<BufferId> {
        if let Some(there) = self.groups.get(&key) {
            return there.clone();
        }
        let ty = self.module.ty(key.root);
        let bytes = match key.byte {
            Some(byte) => byte..byte + 1,
            None => 0..elem_type(ty.elem).bytes(),
        };
        let stripes = match key.layout {
            Layout::Rows => 1,
            Layout::Striped(n) => n,
        };
        let constant = self
            .module
            .def_op(key.root)
            .filter(|&op| self.module[op].opcode == Opcode::StreamConstant);
        let mut group = Vec::new();
        for stripe in 0..stripes.min(key.count.max(1)) {
            let rows: Vec<usize> = (key.first + stripe..key.first + key.count)
                .step_by(stripes)
                .collect();
            for byte in bytes.clone() {
                let origin = match constant {
                    Some(op) => Origin::Constant(self.plane(op, &key, &rows, byte)),
                    None if self.is_input(key.root) => Origin::Input,
                    None => Origin::Written,
                };
                let written = origin == Origin::Written;
                let buffer = self.buffer(rows.len() as u32, origin);
                if written {
                    self.writes.entry(key.root).or_default().push(Write {
                        output: 0,
                        byte,
                        first: rows[0] as u32,
                        step: stripes as u32,
                        count: rows.len() as u32,
                        buffer,
                    });
                }
                group.push(buffer);
            }
        }
        if self.is_input(key.root) {
            let (input, columns) = self.input_columns(&key);
            self.inputs
                .entry(input)
                .or_default()
                .push((columns, group.clone()));
        }
        self.groups.insert(key, group.clone());
        group
    }

    /// One byte plane of rows of a constant.
    fn plane(&self, op: ir::Op, key: &Key, rows: &[usize], byte: u8) -> Vec<u8> {
        let data = self.module.constant(op).expect("a constant has data");
        let columns = self.module.ty(key.root).last();
        let size = usize::from(elem_type(data.elem).bytes());
        let mut plane = vec![0; rows.len() * LANES];
        for (word, row) in plane.chunks_exact_mut(LANES).zip(rows) {
            for (lane, b) in word.iter_mut().enumerate().take(key.lanes) {
                let column = key.lane + if key.repeated { 0 } else { lane };
                *b = data.data[(row * columns + column) * size + usize::from(byte)];
            }
        }
        plane
    }

    /// Writes that the chain that makes a value owes.
    pub fn writes_of(&self, value: ir::Value) -> &[Write] {
        self.writes.get(&value).map_or(&[], Vec::as_slice)
    }

    /// The port of an input of the module; the host fills columns that nobody reads as well.
    pub fn input_port(&mut self, name: String, value: ir::Value) -> Result<Port, Refusal> {
        let ty = self.module.ty(value);
        if ty.rank() != 2 {
            return Err(Refusal {
                location: format!("input {name}"),
                message: format!("{ty} is not tiled; expected rows and lanes"),
            });
        }
        for (lane, lanes) in self.unread(value) {
            self.group(Key {
                root: value,
                lane,
                lanes,
                repeated: false,
                byte: None,
                first: 0,
                count: ty.shape[0],
                layout: Layout::Rows,
                copy: 0,
            });
        }
        let tiles = self.inputs.get(&value).into_iter().flatten();
        Ok(Port {
            name,
            elem: elem_type(ty.elem),
            rows: ty.shape[0] as u32,
            cols: ty.last() as u32,
            tiles: tiles
                .map(|(columns, group)| (columns.lanes(), group.clone()))
                .collect(),
        })
    }

    /// Columns of an input that are in no tile yet, in tiles.
    fn unread(&self, value: ir::Value) -> Vec<(usize, usize)> {
        let mut read = vec![false; self.module.ty(value).last()];
        for (columns, _) in self.inputs.get(&value).into_iter().flatten() {
            match columns {
                Columns::Run(first, count) => read[*first..first + count].fill(true),
                Columns::Repeated(column, _) => read[*column] = true,
                Columns::Picked(columns) => columns.iter().for_each(|&c| read[c] = true),
            }
        }
        let mut tiles: Vec<(usize, usize)> = Vec::new();
        for column in (0..read.len()).filter(|&c| !read[c]) {
            match tiles.last_mut() {
                Some((lane, lanes)) if *lane + *lanes == column && *lanes < LANES => *lanes += 1,
                _ => tiles.push((column, 1)),
            }
        }
        tiles
    }

    /// All buffers.
    pub fn into_buffers(self) -> Vec<Buffer> {
        self.buffers
    }
}

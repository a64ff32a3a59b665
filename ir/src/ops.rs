//! The op table: every op of the three dialects, one entry each.
//!
//! To add an op: an entry here, its case in `infer/`, its case in `eval/`. The compiler names the places.

use crate::attr::AttrKind::{Bool, Const, Elem, F32, Int, Ints, Str, Strs, Sym};
use crate::table::{Arity, AttrDef, Dialect, Form, OpDef, OperandDef, Results, op_table};

/// What the examples of a dialect start from.
pub fn prelude(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Tensor | Dialect::Stream => "",
        Dialect::Tsp => concat!(
            "()\n%0 = tsp.image() {value = dense<1x2xi8>[1, 2], byte = 0} : mem<1xi8>\n",
            "%1 = tsp.read(%0) {start = 0, step = 0, count = 20, interval = 1} : seq<20xi8>\n",
            "%2 = tsp.lw(%1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1)",
            " {group = 0, step = 1} : weights<320x320xi8>\n",
            "%3 = tsp.iw(%2) {groups = 20} : weights<320x320xi8>\n",
            "%4 = tsp.act(%1, %3) : seq<20xi32>\n",
        ),
    }
}

/// Mnemonics of the chip's per-lane operations, as in program listings.
pub const ALU_OPS: &[&str] = &[
    "add", "sub", "mul", "add.sat", "sub.sat", "mul.sat", "add.mod", "sub.mod", "mul.mod", "max",
    "min", "neg", "abs", "cmp.eq", "cmp.ne", "cmp.lt", "cmp.le", "cmp.gt", "cmp.ge", "mask",
    "mask_bar", "and", "or", "xor", "shl", "shr", "relu", "exp", "tanh", "rsqrt", "copy", "cvt",
];

const SIDES: &[&str] = &["west", "east"];

const fn fact(name: &'static str, kind: crate::attr::AttrKind) -> AttrDef {
    AttrDef {
        name,
        kind,
        required: false,
    }
}

const HEMISPHERE: AttrDef = fact("hemisphere", Sym(SIDES));
const SLICE: AttrDef = fact("slice", Int);
const BANK: AttrDef = fact("bank", Int);
const WORD: AttrDef = fact("word", Int);
const PLANE: AttrDef = fact("plane", Int);
const CYCLE: AttrDef = fact("cycle", Int);
const DIR: AttrDef = fact("dir", Sym(SIDES));
const STREAM: AttrDef = fact("stream", Int);
const DST: AttrDef = fact("dst", Int);

// Written by place (hemisphere, slice, bank, plane), schedule (cycle, streams, ALU, mode) and allocate (word).
const NONE: &[AttrDef] = &[];
const BUFFER: &[AttrDef] = &[HEMISPHERE, SLICE, BANK, WORD];
const READ: &[AttrDef] = &[CYCLE, DIR, STREAM];
const WRITE: &[AttrDef] = &[HEMISPHERE, SLICE, BANK, CYCLE, DIR, STREAM, WORD];
const ALU: &[AttrDef] = &[
    CYCLE,
    fact("alu", Int),
    DIR,
    STREAM,
    fact("mode", Sym(&["mesh", "out"])),
];
const MXM: &[AttrDef] = &[HEMISPHERE, PLANE, CYCLE, STREAM, DST];
const SXM: &[AttrDef] = &[
    HEMISPHERE,
    CYCLE,
    fact("unit", Int),
    STREAM,
    fact("map", Int),
    DST,
    fact("mode", Sym(&["back", "on"])),
];

op_table! {
    TensorConstant Tensor "tensor.constant" [] {Req value: Const} NONE One Plain
        "A constant."
        "()\n%0 = tensor.constant() {value = dense<2xf32>[1.0, -0.5]} : tensor<2xf32>";
    TensorMatmul Tensor "tensor.matmul" [a: One, b: One] {} NONE One Plain
        "Product of the last two dimensions, the others broadcast: f32 by f32 or f16 by f16 to f32, i8 or u8 by i8 to i32."
        "(%0 \"a\": tensor<8x2x3xf32>, %1 \"b\": tensor<3x4xf32>)\n%2 = tensor.matmul(%0, %1) : tensor<8x2x4xf32>";
    TensorAdd Tensor "tensor.add" [a: One, b: One] {} NONE One Plain
        "Sum of two f32 or i32 tensors; dimensions broadcast as in numpy; i32 overflow is an error."
        "(%0 \"a\": tensor<2x3xf32>, %1 \"b\": tensor<3xf32>)\n%2 = tensor.add(%0, %1) : tensor<2x3xf32>";
    TensorSub Tensor "tensor.sub" [a: One, b: One] {} NONE One Plain
        "Difference; types and broadcasting as tensor.add."
        "(%0 \"a\": tensor<2x3xf32>, %1 \"b\": tensor<2x1xf32>)\n%2 = tensor.sub(%0, %1) : tensor<2x3xf32>";
    TensorMul Tensor "tensor.mul" [a: One, b: One] {} NONE One Plain
        "Product; types and broadcasting as tensor.add."
        "(%0 \"a\": tensor<2x3xf32>, %1 \"b\": tensor<f32>)\n%2 = tensor.mul(%0, %1) : tensor<2x3xf32>";
    TensorDiv Tensor "tensor.div" [a: One, b: One] {} NONE One Plain
        "Quotient of f32 tensors; broadcasting as tensor.add."
        "(%0 \"a\": tensor<2x3xf32>, %1 \"b\": tensor<f32>)\n%2 = tensor.div(%0, %1) : tensor<2x3xf32>";
    TensorMax Tensor "tensor.max" [a: One, b: One] {} NONE One Plain
        "Maximum, NaN if either is NaN; types and broadcasting as tensor.add."
        "(%0 \"a\": tensor<2x3xf32>, %1 \"b\": tensor<f32>)\n%2 = tensor.max(%0, %1) : tensor<2x3xf32>";
    TensorMin Tensor "tensor.min" [a: One, b: One] {} NONE One Plain
        "Minimum, NaN if either is NaN; types and broadcasting as tensor.add."
        "(%0 \"a\": tensor<2x3xf32>, %1 \"b\": tensor<f32>)\n%2 = tensor.min(%0, %1) : tensor<2x3xf32>";
    TensorNeg Tensor "tensor.neg" [x: One] {} NONE One Plain
        "Negation of f32 or i32; i32 overflow is an error."
        "(%0 \"x\": tensor<3xf32>)\n%1 = tensor.neg(%0) : tensor<3xf32>";
    TensorExp Tensor "tensor.exp" [x: One] {} NONE One Plain
        "e to the x, f32."
        "(%0 \"x\": tensor<3xf32>)\n%1 = tensor.exp(%0) : tensor<3xf32>";
    TensorTanh Tensor "tensor.tanh" [x: One] {} NONE One Plain
        "Hyperbolic tangent, f32."
        "(%0 \"x\": tensor<3xf32>)\n%1 = tensor.tanh(%0) : tensor<3xf32>";
    TensorErf Tensor "tensor.erf" [x: One] {} NONE One Plain
        "Error function, f32."
        "(%0 \"x\": tensor<3xf32>)\n%1 = tensor.erf(%0) : tensor<3xf32>";
    TensorSqrt Tensor "tensor.sqrt" [x: One] {} NONE One Plain
        "Square root, f32."
        "(%0 \"x\": tensor<3xf32>)\n%1 = tensor.sqrt(%0) : tensor<3xf32>";
    TensorRsqrt Tensor "tensor.rsqrt" [x: One] {} NONE One Plain
        "One over the square root, f32."
        "(%0 \"x\": tensor<3xf32>)\n%1 = tensor.rsqrt(%0) : tensor<3xf32>";
    TensorReduce Tensor "tensor.reduce" [x: One] {Req kind: Sym(&["sum", "max"]), Req axis: Int} NONE One Plain
        "Sum or maximum of f32 along one dimension, which stays with size 1."
        "(%0 \"x\": tensor<2x3xf32>)\n%1 = tensor.reduce(%0) {kind = sum, axis = 1} : tensor<2x1xf32>";
    TensorGelu Tensor "tensor.gelu" [x: One] {Req form: Sym(&["erf", "tanh"])} NONE One Plain
        "GELU of f32, exactly (erf) or in the tanh form."
        "(%0 \"x\": tensor<3xf32>)\n%1 = tensor.gelu(%0) {form = erf} : tensor<3xf32>";
    TensorSoftmax Tensor "tensor.softmax" [x: One] {} NONE One Plain
        "Softmax of f32 along the last dimension."
        "(%0 \"x\": tensor<2x3xf32>)\n%1 = tensor.softmax(%0) : tensor<2x3xf32>";
    TensorLayerNorm Tensor "tensor.layer_norm" [x: One, gamma: One, beta: One] {Req eps: F32} NONE One Plain
        "Layer normalisation of f32 along the last dimension, scaled by gamma and shifted by beta."
        "(%0 \"x\": tensor<2x3xf32>, %1 \"g\": tensor<3xf32>, %2 \"b\": tensor<3xf32>)\n%3 = tensor.layer_norm(%0, %1, %2) {eps = 1e-12} : tensor<2x3xf32>";
    TensorTranspose Tensor "tensor.transpose" [x: One] {Req perm: Ints} NONE One Plain
        "Dimension i of the result is dimension `perm[i]` of x."
        "(%0 \"x\": tensor<2x3x4xf32>)\n%1 = tensor.transpose(%0) {perm = [1, 0, 2]} : tensor<3x2x4xf32>";
    TensorReshape Tensor "tensor.reshape" [x: One] {Req shape: Ints} NONE One Plain
        "The same elements in the same order under other dimensions."
        "(%0 \"x\": tensor<2x6xf32>)\n%1 = tensor.reshape(%0) {shape = [2, 2, 3]} : tensor<2x2x3xf32>";
    TensorSlice Tensor "tensor.slice" [x: One] {Req starts: Ints, Req sizes: Ints} NONE One Plain
        "The box of the given sizes at the given starts, one number per dimension."
        "(%0 \"x\": tensor<4x6xf32>)\n%1 = tensor.slice(%0) {starts = [0, 2], sizes = [4, 3]} : tensor<4x3xf32>";
    TensorConcat Tensor "tensor.concat" [parts: Many] {Req axis: Int} NONE One Plain
        "The parts one after the other along one dimension."
        "(%0 \"a\": tensor<2x3xf32>, %1 \"b\": tensor<2x1xf32>)\n%2 = tensor.concat(%0, %1) {axis = 1} : tensor<2x4xf32>";
    TensorGather Tensor "tensor.gather" [x: One] {Req lanes: Ints} NONE One Plain
        "Element i along the last dimension is element lanes[i] of x; any may be named several times."
        "(%0 \"x\": tensor<2x3xf32>)\n%1 = tensor.gather(%0) {lanes = [0, 1, 2, 1]} : tensor<2x4xf32>";
    TensorCast Tensor "tensor.cast" [x: One] {Req elem: Elem} NONE One Plain
        "Conversion as on the chip: to nearest even, saturating to integers, NaN to 0."
        "(%0 \"x\": tensor<3xf32>)\n%1 = tensor.cast(%0) {elem = f16} : tensor<3xf16>";
    TensorQuantize Tensor "tensor.quantize" [x: One, recip_scale: One, offset: One] {Req elem: Elem} NONE One Plain
        "cvt(add(mul(x, recip_scale), offset)) in fp32, in that order, to i8 or u8; scale and offset broadcast."
        "(%0 \"x\": tensor<2x3xf32>, %1 \"r\": tensor<3xf32>, %2 \"o\": tensor<f32>)\n%3 = tensor.quantize(%0, %1, %2) {elem = i8} : tensor<2x3xi8>";
    TensorDequantize Tensor "tensor.dequantize" [q: One, scale: One] {} NONE One Plain
        "f32(q) * scale in fp32; the scale broadcasts."
        "(%0 \"q\": tensor<2x3xi32>, %1 \"s\": tensor<3xf32>)\n%2 = tensor.dequantize(%0, %1) : tensor<2x3xf32>";
    TensorBounded Tensor "tensor.bounded" [x: One, energy: One] {} NONE One Plain
        "x, f32, as it is: where ranges were taken, no row (last dimension) had squares that sum to more than energy, one f32."
        "(%0 \"x\": tensor<2x3xf32>, %1 \"e\": tensor<1xf32>)\n%2 = tensor.bounded(%0, %1) : tensor<2x3xf32>";
    TensorReturn Tensor "tensor.return" [values: Many] {Req names: Strs} NONE Zero Return
        "Ends the module; its operands are the outputs."
        "(%0 \"x\": tensor<3xf32>)\ntensor.return(%0) {names = [\"y\"]}";

    StreamConstant Stream "stream.constant" [] {Req value: Const} NONE One Plain
        "A constant; its last dimension runs over the lanes."
        "()\n%0 = stream.constant() {value = dense<1x2xf32>[1.0, -0.5]} : stream<1x2xf32>";
    StreamRows Stream "stream.rows" [x: One] {Req start: Int, Req count: Int, Req step: Int} NONE One Plain
        "View: rows start, start+step, …, count of them; the step may be negative or zero."
        "(%0 \"x\": stream<8x4xi8>)\n%1 = stream.rows(%0) {start = 7, count = 4, step = -2} : stream<4x4xi8>";
    StreamLanes Stream "stream.lanes" [x: One] {Req start: Int, Req count: Int} NONE One Plain
        "View: count lanes from start on."
        "(%0 \"x\": stream<8x768xi8>)\n%1 = stream.lanes(%0) {start = 640, count = 128} : stream<8x128xi8>";
    StreamWindow Stream "stream.window" [x: One] {Req start: Int, Req count: Int} NONE One Plain
        "View for an install: lanes start to start+count, the others zero."
        "(%0 \"x\": stream<64x128xi8>)\n%1 = stream.window(%0) {start = 64, count = 64} : stream<64x128xi8>";
    StreamGather Stream "stream.gather" [x: One] {Req lanes: Ints} NONE One Plain
        "View of an input: lane i is lane lanes[i] of x; any may be named several times, since the host fills them."
        "(%0 \"x\": stream<8x3xf32>)\n%1 = stream.gather(%0) {lanes = [0, 1, 2, 1]} : stream<8x4xf32>";
    StreamBroadcast Stream "stream.broadcast" [x: One] {Req lanes: Int} NONE One Plain
        "View: the only lane of each row, repeated."
        "(%0 \"x\": stream<8x1xf32>)\n%1 = stream.broadcast(%0) {lanes = 128} : stream<8x128xf32>";
    StreamByte Stream "stream.byte" [x: One] {Req byte: Int} NONE One Plain
        "View: one byte of each i32, little-endian: u8, of the highest one i8; the bytes times 1, 2^8, 2^16 and 2^24 sum to x."
        "(%0 \"x\": stream<8x256xi32>)\n%1 = stream.byte(%0) {byte = 3} : stream<8x256xi8>";
    StreamHeads Stream "stream.heads" [x: One] {Req heads: Int, Req tile: Int} NONE One Plain
        "View: the lanes of each row dealt to heads, which become a batch dimension in front of the rows; tiles of at most `tile` lanes hold whole heads, or parts of one."
        "(%0 \"x\": stream<8x768xi8>)\n%1 = stream.heads(%0) {heads = 12, tile = 320} : stream<12x8x64xi8>";
    StreamMerge Stream "stream.merge" [x: One] {Req tile: Int} NONE One Plain
        "View: the heads side by side in the lanes again; the inverse of stream.heads."
        "(%0 \"x\": stream<12x8x64xi8>)\n%1 = stream.merge(%0) {tile = 320} : stream<8x768xi8>";
    StreamConcat Stream "stream.concat" [parts: Many] {Req axis: Sym(&["rows", "lanes"])} NONE One Plain
        "The parts one after the other along the rows or the lanes."
        "(%0 \"a\": stream<8x320xi8>, %1 \"b\": stream<8x64xi8>)\n%2 = stream.concat(%0, %1) {axis = lanes} : stream<8x384xi8>";
    StreamTranspose Stream "stream.transpose" [x: One] {} NONE One Plain
        "Rows become lanes and lanes rows."
        "(%0 \"x\": stream<8x64xi8>)\n%1 = stream.transpose(%0) : stream<64x8xi8>";
    StreamInstall Stream "stream.install" [w: One] {} NONE One Plain
        "Installs i8 or f16 weights: row n of the stream becomes weight column n."
        "(%0 \"w\": stream<320x64xi8>)\n%1 = stream.install(%0) : weights<64x320xi8>";
    StreamPass Stream "stream.pass" [x: One, weights: One, partial: Opt] {Opt start: Int, Opt count: Int} NONE One Plain
        "Rows times weights, plus a partial sum: i8 or u8 by i8 exact in i32, f16 by f16 to f32 in sums of 160 lanes; with start and count the other lanes of x count as zero."
        "(%0 \"x\": stream<8x64xi8>, %1 \"w\": stream<320x64xi8>)\n%2 = stream.install(%1) : weights<64x320xi8>\n%3 = stream.pass(%0, %2) {start = 0, count = 32} : stream<8x320xi32>";
    StreamPipeline Stream "stream.pipeline" [inputs: Many] {} NONE Many Region
        "Per-lane operations on one row of every input at a time; dimensions in front of the lanes broadcast as in numpy, so a single row meets all rows."
        "(%0 \"x\": stream<8x4xi32>, %1 \"s\": stream<1x4xf32>)\n%6 = stream.pipeline(%0, %1) {\n^bb1(%2: stream<4xi32>, %3: stream<4xf32>):\n  %4 = stream.alu(%2) {op = cvt, elem = f32} : stream<4xf32>\n  %5 = stream.alu(%4, %3) {op = mul, elem = f32} : stream<4xf32>\n  stream.yield(%5)\n} : stream<8x4xf32>";
    StreamAlu Stream "stream.alu" [a: One, b: Opt] {Req op: Sym(ALU_OPS), Opt imm: Int, Opt imm_first: Bool, Req elem: Elem} NONE One Inner
        "One per-lane operation of the chip; the bits of an immediate stand for the second operand, or with imm_first for the first."
        "(%0 \"x\": stream<8x4xf32>)\n%4 = stream.pipeline(%0) {\n^bb1(%1: stream<4xf32>):\n  %2 = stream.alu(%1) {op = mul, imm = 1073741824, elem = f32} : stream<4xf32>\n  %3 = stream.alu(%2) {op = cvt, elem = i8} : stream<4xi8>\n  stream.yield(%3)\n} : stream<8x4xi8>";
    StreamYield Stream "stream.yield" [values: Many] {} NONE Zero Yield
        "Ends a pipeline; its operands are one row of each result."
        "(%0 \"x\": stream<8x4xf32>)\n%2 = stream.pipeline(%0) {\n^bb1(%1: stream<4xf32>):\n  stream.yield(%1)\n} : stream<8x4xf32>";
    StreamReturn Stream "stream.return" [values: Many] {Req names: Strs} NONE Zero Return
        "Ends the module; its operands are the outputs."
        "(%0 \"x\": stream<8x4xf32>)\nstream.return(%0) {names = [\"y\"]}";

    TspImage Tsp "tsp.image" [] {Req value: Const, Req byte: Int} BUFFER One Plain
        "A buffer with one byte plane of a constant matrix, rows in words, present at cycle 0; lanes beyond its columns are zero."
        "%5 = tsp.image() {value = dense<1x2xf32>[1.0, -0.5], byte = 3} : mem<1xi8>";
    TspInput Tsp "tsp.input" [] {Req name: Str, Req elem: Elem, Req rows: Int, Req cols: Int, Req tile: Int, Req byte: Int, Opt columns: Ints} BUFFER One Plain
        "A buffer with one byte plane of a tile of an input; lane l holds column `columns[l]` (-1: zero), by default column 320 tile + l."
        "%5 = tsp.input() {name = \"x\", elem = f32, rows = 8, cols = 768, tile = 2, byte = 0} : mem<8xi8>";
    TspRead Tsp "tsp.read" [mem: One] {Req start: Int, Req step: Int, Req count: Int, Req interval: Int} READ One Plain
        "Reads words start, start+step, … of a buffer, one every interval cycles."
        "%5 = tsp.read(%0) {start = 0, step = 0, count = 8, interval = 1} : seq<8xi8>";
    TspGather Tsp "tsp.gather" [mem: One, map: One] {} READ One Plain
        "Reads per superlane the buffer's word whose number is in lanes 16k and 16k+1 of the map, little-endian."
        "%5 = tsp.gather(%0, %1) : seq<20xi8>";
    TspWrite Tsp "tsp.write" [x: One, into: Opt] {Req byte: Int, Req start: Int, Req step: Int, Req words: Int, Opt first: Int, Opt interval: Int, Opt count: Int} WRITE One Plain
        "Writes one byte plane of the vectors to words start, start+step, … of a buffer, of all vectors or of count of them: first, first+interval, …; the other words are those of into."
        "%5 = tsp.write(%1) {byte = 0, start = 0, step = 1, words = 20} : mem<20xi8>";
    TspScatter Tsp "tsp.scatter" [x: One, map: One, into: Opt] {Req byte: Int, Req words: Int} WRITE One Plain
        "Writes per superlane to the buffer's word whose number is in lanes 16k and 16k+1 of the map, little-endian."
        "%5 = tsp.scatter(%1, %1) {byte = 0, words = 20} : mem<20xi8>";
    TspOutput Tsp "tsp.output" [mem: One] {Req name: Str, Req elem: Elem, Req rows: Int, Req cols: Int, Req tile: Int, Req byte: Int, Opt columns: Ints} NONE Zero Plain
        "The host takes one byte plane of a tile of an output from a buffer; columns as in tsp.input, -1: ignored."
        "tsp.output(%0) {name = \"y\", elem = i8, rows = 1, cols = 2, tile = 0, byte = 0}";
    TspJoin Tsp "tsp.join" [bytes: Many] {Req elem: Elem} NONE One Plain
        "Bookkeeping: byte sequences on an aligned stream group, seen as one sequence of wider elements, little-endian."
        "%5 = tsp.join(%1, %1) {elem = f16} : seq<20xf16>";
    TspConcat Tsp "tsp.concat" [parts: Many] {} NONE One Plain
        "Bookkeeping: sequences on one stream, one after another, seen as one sequence."
        "%5 = tsp.concat(%1, %1) : seq<40xi8>";
    TspSplit Tsp "tsp.split" [x: One] {Req byte: Int} NONE One Plain
        "Bookkeeping: one byte stream of a group."
        "%5 = tsp.split(%1) {byte = 0} : seq<20xi8>";
    TspAlu Tsp "tsp.alu" [a: One, b: Opt] {Req op: Sym(ALU_OPS), Opt imm: Int, Opt imm_first: Bool, Req elem: Elem} ALU One Plain
        "One VXM operation on every vector; immediates as in stream.alu."
        "%5 = tsp.alu(%1) {op = cvt, elem = f32} : seq<20xf32>";
    TspLw Tsp "tsp.lw" [streams: Many] {Req group: Int, Req step: Int, Opt half: Int} MXM One Plain
        "Loads weight groups from 16 byte sequences, vector i into group group + i step; with half: fp16, K lanes 160 half on."
        "%5 = tsp.lw(%1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1) {group = 0, step = 1} : weights<320x320xi8>";
    TspIw Tsp "tsp.iw" [loads: Many] {Req groups: Int} MXM One Plain
        "Installs the first groups that the loads filled; columns beyond them are zero."
        "%5 = tsp.iw(%2) {groups = 20} : weights<320x320xi8>";
    TspAct Tsp "tsp.act" [x: One, weights: One] {} MXM One Plain
        "Streams vectors through installed weights; its result may only meet tsp.accumulate."
        "%5 = tsp.act(%1, %3) : seq<20xi32>";
    TspAccumulate Tsp "tsp.accumulate" [sum: One, partial: Opt] {} MXM One Plain
        "Sends the sums of tsp.act out, a partial sum added to them."
        "%5 = tsp.accumulate(%4) : seq<20xi32>";
    TspDistribute Tsp "tsp.distribute" [lane_map: One, xs: Many] {} SXM Many Plain
        "Within each superlane, lane l of every x takes the source lane that the map names (0 to 15), or zero (16 and above); all bytes of wider elements alike. Byte by byte, the xs are on neighbouring streams."
        "%5, %6 = tsp.distribute(%1, %1, %1) : seq<20xi8>, seq<20xi8>";
    TspTranspose Tsp "tsp.transpose" [streams: Many] {} SXM Many Plain
        "Sixteen byte sequences: lane 16s+j of result i is lane 16s+i of operand j."
        "%5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20 = tsp.transpose(%1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1, %1) : seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>, seq<20xi8>";
    TspPermute Tsp "tsp.permute" [x: One, map_low: One, map_high: One] {} SXM One Plain
        "Lane l takes the source lane that the two map bytes name; the map is a bijection."
        "%5 = tsp.permute(%1, %1, %1) : seq<20xi8>";
    TspShift Tsp "tsp.shift" [x: One] {Req way: Sym(&["up", "down"]), Req lanes: Int} SXM One Plain
        "Lane l takes lane l - lanes (up) or l + lanes (down), zero beyond the edge."
        "%5 = tsp.shift(%1) {way = up, lanes = 16} : seq<20xi8>";
}

//! What type inference refuses, op by op.

use tspc_ir::{ConstPool, Dialect, ops, text::parse};

/// The message for `line` after the arguments and ops of `before`.
fn refusal(before: &str, line: &str) -> String {
    let (args, lines) = before.split_once('\n').unwrap_or((before, ""));
    let text = format!("module @m{args} {{\n{lines}{line}\n}}\n");
    match parse("t", &text, &ConstPool::default()) {
        Ok(_) => panic!("accepted: {line}"),
        Err(d) => d.message,
    }
}

fn check(before: &str, cases: &[(&str, &str)]) {
    for (line, message) in cases {
        let got = refusal(before, line);
        assert!(got.contains(message), "{line}\n  {got}");
    }
}

#[test]
fn tensor_ops_refuse() {
    check(
        "(%0 \"a\": tensor<2x3xf32>, %1 \"b\": tensor<4xf32>, %2 \"i\": tensor<2x3xi32>, %3 \"q\": tensor<3x2xi8>)",
        &[
            (
                "%9 = tensor.add(%0, %1) : tensor<2x3xf32>",
                "shapes [2, 3] and [4] do not broadcast",
            ),
            (
                "%9 = tensor.add(%0, %2) : tensor<2x3xf32>",
                "tensor<2x3xi32> should have elements f32",
            ),
            (
                "%9 = tensor.div(%2, %2) : tensor<2x3xi32>",
                "should have elements f32",
            ),
            (
                "%9 = tensor.matmul(%0, %3) : tensor<2x2xf32>",
                "cannot multiply f32 by i8",
            ),
            (
                "%9 = tensor.matmul(%1, %1) : tensor<2x2xf32>",
                "two dimensions or more",
            ),
            (
                "%9 = tensor.exp(%2) : tensor<2x3xi32>",
                "should have elements f32",
            ),
            (
                "%9 = tensor.reduce(%0) {kind = sum, axis = 2} : tensor<2x3xf32>",
                "no such axis",
            ),
            (
                "%9 = tensor.layer_norm(%0, %1, %1) {eps = 0.0} : tensor<2x3xf32>",
                "should be the last dimension",
            ),
            (
                "%9 = tensor.transpose(%0) {perm = [0, 0]} : tensor<2x3xf32>",
                "should be a permutation",
            ),
            (
                "%9 = tensor.reshape(%0) {shape = [7]} : tensor<7xf32>",
                "has 6 elements, tensor<7xf32> has 7",
            ),
            (
                "%9 = tensor.slice(%0) {starts = [0, 2], sizes = [1, 2]} : tensor<1x2xf32>",
                "should be below 3",
            ),
            (
                "%9 = tensor.slice(%0) {starts = [-1, 0], sizes = [1, 1]} : tensor<1x1xf32>",
                "starts -1 is negative",
            ),
            (
                "%9 = tensor.gather(%0) {lanes = [2, 0, 3]} : tensor<2x3xf32>",
                "tensor<2x3xf32> has no lane 3",
            ),
            (
                "%9 = tensor.gather(%0) {lanes = []} : tensor<2x1xf32>",
                "there are no lanes",
            ),
            (
                "%9 = tensor.concat(%0, %1) {axis = 0} : tensor<3xf32>",
                "does not continue",
            ),
            (
                "%9 = tensor.concat() {axis = 0} : tensor<3xf32>",
                "nothing to concatenate",
            ),
            (
                "%9 = tensor.quantize(%0, %0, %0) {elem = i16} : tensor<2x3xi16>",
                "cannot quantize to i16",
            ),
            (
                "%9 = tensor.quantize(%1, %0, %0) {elem = i8} : tensor<4xi8>",
                "do not broadcast",
            ),
            (
                "%9 = tensor.dequantize(%0, %0) : tensor<2x3xf32>",
                "should have elements i8 or u8 or i32",
            ),
            (
                "%9 = tensor.bounded(%0, %1) : tensor<2x3xf32>",
                "tensor<4xf32> should be one number",
            ),
            ("tensor.return(%0) {names = []}", "0 names for 1 operands"),
            (
                "tensor.return(%0, %1) {names = [\"y\", \"y\"]}",
                "the name \"y\" is given twice",
            ),
        ],
    );
}

#[test]
fn stream_ops_refuse() {
    check(
        "(%0 \"x\": stream<8x6xi8>, %1 \"h\": stream<2x8x3xi8>, %2 \"f\": stream<4x6xf32>)\n\
         %3 = stream.install(%0) : weights<6x8xi8>\n",
        &[
            (
                "%9 = stream.rows(%0) {start = 3, count = 3, step = -2} : stream<3x6xi8>",
                "3 and -1 should be below 8",
            ),
            (
                "%9 = stream.gather(%0) {lanes = [99]} : stream<8x1xi8>",
                "has no lane 99",
            ),
            (
                "%9 = stream.lanes(%0) {start = 4, count = 3} : stream<8x3xi8>",
                "should be below 6",
            ),
            (
                "%9 = stream.heads(%0) {heads = 4, tile = 4} : stream<4x8x1xi8>",
                "6 lanes do not divide into 4 heads",
            ),
            (
                "%9 = stream.heads(%0) {heads = 2, tile = 0} : stream<2x8x3xi8>",
                "at least one lane",
            ),
            (
                "%9 = stream.broadcast(%0) {lanes = 4} : stream<8x4xi8>",
                "x has 6 lanes, should have one",
            ),
            (
                "%9 = stream.window(%0) {start = 4, count = 3} : stream<8x6xi8>",
                "should be below 6",
            ),
            (
                "%9 = stream.window(%0) {start = 4, count = 2} : stream<8x2xi8>",
                "stream<8x6xi8>",
            ),
            (
                "%9 = stream.byte(%0) {byte = 0} : stream<8x6xu8>",
                "should have elements i32",
            ),
            (
                "%9 = stream.heads(%0) {heads = 0, tile = 4} : stream<8x6xi8>",
                "do not divide into 0 heads",
            ),
            (
                "%9 = stream.heads(%1) {heads = 1, tile = 4} : stream<8x6xi8>",
                "has batch dimensions already",
            ),
            (
                "%9 = stream.merge(%0) {tile = 4} : stream<8x6xi8>",
                "not exactly one batch dimension",
            ),
            (
                "%9 = stream.concat(%0, %2) {axis = rows} : stream<12x6xi8>",
                "does not continue",
            ),
            (
                "%9 = stream.install(%2) : weights<6x4xf32>",
                "should have elements i8 or f16",
            ),
            (
                "%9 = stream.transpose(%3) : stream<8x6xi8>",
                "can only meet stream.pass",
            ),
            (
                "%9 = stream.pass(%2, %3) : stream<4x8xi32>",
                "cannot multiply f32 by i8",
            ),
            (
                "%9 = stream.pass(%1, %3) : stream<2x8x8xi32>",
                "does not fit",
            ),
            (
                "%9 = stream.pass(%0, %3, %2) : stream<8x8xi32>",
                "should be stream<8x8xi32>",
            ),
            (
                "%9 = stream.pass(%0, %3) {start = 0} : stream<8x8xi32>",
                "start and count come together",
            ),
            (
                "%9 = stream.pass(%0, %3) {start = 4, count = 4} : stream<8x8xi32>",
                "should be below 6",
            ),
            (
                "%9 = stream.pipeline(%0, %2) {\n^bb1():\n}",
                "the rows of stream<4x6xf32> do not meet [8] rows",
            ),
            (
                "%9 = stream.pipeline() {\n^bb1():\n}",
                "a pipeline needs an input",
            ),
        ],
    );
}

#[test]
fn tsp_ops_refuse() {
    let io = "elem = i8, rows = 1";
    check(
        ops::prelude(Dialect::Tsp),
        &[
            (
                "%9 = tsp.image() {value = dense<1xi8>[1], byte = 0} : mem<1xi8>",
                "should have rows and columns",
            ),
            (
                "%9 = tsp.image() {value = dense<1x1xi8>[1], byte = 1} : mem<1xi8>",
                "i8 has no byte 1",
            ),
            (
                &format!(
                    "%9 = tsp.input() {{name = \"x\", {io}, cols = 320, tile = 1, byte = 0}} : mem<1xi8>"
                ),
                "tile 1 of 1",
            ),
            (
                &format!(
                    "%9 = tsp.input() {{name = \"x\", {io}, cols = 3, tile = 0, byte = 0, columns = [3]}} : mem<1xi8>"
                ),
                "numbers from -1 to 2",
            ),
            (
                "tsp.output(%0) {name = \"y\", elem = i8, rows = 2, cols = 2, tile = 0, byte = 0}",
                "does not hold 2 rows",
            ),
            (
                "%9 = tsp.read(%0) {start = 0, step = 1, count = 2, interval = 1} : seq<2xi8>",
                "should be below 1",
            ),
            (
                "%9 = tsp.read(%0) {start = 0, step = 0, count = 2, interval = 0} : seq<2xi8>",
                "interval is 0",
            ),
            (
                "%9 = tsp.read(%1) {start = 0, step = 0, count = 2, interval = 1} : seq<2xi8>",
                "should be a mem",
            ),
            (
                "%9 = tsp.write(%1) {byte = 0, start = 0, step = 1, words = 19} : mem<19xi8>",
                "should be below 19",
            ),
            (
                "%9 = tsp.write(%1) {byte = 0, start = 0, step = 1, words = 7, first = 2, interval = 3, count = 7} : mem<7xi8>",
                "2 and 20 should be below 20",
            ),
            (
                "%9 = tsp.write(%1) {byte = 0, start = 0, step = 1, words = 1, interval = 0, count = 1} : mem<1xi8>",
                "interval is 0",
            ),
            (
                "%9 = tsp.write(%1, %0) {byte = 0, start = 0, step = 1, words = 20} : mem<20xi8>",
                "the buffer is mem<1xi8>",
            ),
            (
                "%9 = tsp.join(%1, %1) {elem = f32} : seq<20xf32>",
                "2 bytes do not make f32",
            ),
            ("%9 = tsp.concat(%1, %4) : seq<40xi8>", "i32"),
            (
                "%9 = tsp.alu(%1) {op = exp, elem = f32} : seq<20xf32>",
                "exp does not take i8 to f32",
            ),
            (
                "%9 = tsp.lw(%1) {group = 0, step = 1} : weights<320x320xi8>",
                "takes 16 streams, has 1",
            ),
            (
                "%9 = tsp.iw() {groups = 20} : weights<320x320xi8>",
                "needs loads",
            ),
            (
                "%9 = tsp.iw(%2) {groups = 0} : weights<320x320xi8>",
                "groups should be 1 to 20",
            ),
            (
                "%9 = tsp.iw(%2) {groups = 21} : weights<320x320xi8>",
                "groups should be 1 to 20",
            ),
            (
                "%9 = tsp.act(%4, %3) : seq<20xi32>",
                "cannot multiply i32 by i8",
            ),
            (
                "%9 = tsp.accumulate(%4, %1) : seq<20xi32>",
                "the partial sum is seq<20xi8>",
            ),
            (
                "%9, %10, %11 = tsp.distribute(%1, %4, %4, %1) : seq<20xi32>, seq<20xi32>, seq<20xi8>",
                "serves 1 to 8 streams, not 9",
            ),
            (
                "%9 = tsp.distribute(%4, %1) : seq<20xi8>",
                "should have elements i8 or u8",
            ),
            (
                "%9 = tsp.shift(%1) {way = up, lanes = 320} : seq<20xi8>",
                "should be below 320",
            ),
            (
                "%9 = tsp.shift(%1) {way = up, lanes = 0} : seq<20xi8>",
                "lanes is 0",
            ),
        ],
    );
}

//! Modules, and of each two values that are not in one pipeline, or are.

/// GELU, whose argument of erf is divided by this.
pub fn gelu(root: &str) -> String {
    GELU.replace("$root", root)
}

const GELU: &str = r#"module @gelu(%0 "x": tensor<4x2xf32>) {
  %1 = tensor.constant() {value = dense<f32>[$root]} : tensor<f32>
  %2 = tensor.constant() {value = dense<f32>[1.0]} : tensor<f32>
  %3 = tensor.constant() {value = dense<f32>[0.5]} : tensor<f32>
  %4 = tensor.div(%0, %1) : tensor<4x2xf32>
  %5 = tensor.erf(%4) : tensor<4x2xf32>
  %6 = tensor.add(%5, %2) : tensor<4x2xf32>
  %7 = tensor.mul(%0, %6) : tensor<4x2xf32>
  %8 = tensor.mul(%7, %3) : tensor<4x2xf32>
  tensor.return(%8) {names = ["y"]}
}
"#;

/// A chain of operations of one shape.
pub const CHAIN: &str = r#"module @chain(%0 "x": tensor<4x3xf32>) {
  %1 = tensor.tanh(%0) : tensor<4x3xf32>
  %2 = tensor.exp(%1) : tensor<4x3xf32>
  %3 = tensor.tanh(%2) : tensor<4x3xf32>
  %4 = tensor.exp(%3) : tensor<4x3xf32>
  tensor.return(%4) {names = ["y"]}
}
"#;

/// A sum of several inputs.
pub const SUMS: &str = r#"module @sums(%0 "a": tensor<4x3xf32>, %1 "b": tensor<4x3xf32>, %2 "c": tensor<4x3xf32>) {
  %3 = tensor.add(%0, %1) : tensor<4x3xf32>
  %4 = tensor.add(%3, %2) : tensor<4x3xf32>
  tensor.return(%4) {names = ["y"]}
}
"#;

const SOFTMAX: &str = r#"module @softmax(%0 "q": tensor<5x8xf32>, %1 "k": tensor<6x8xf32>) {
  %2 = tensor.cast(%0) {elem = f16} : tensor<5x8xf16>
  %3 = tensor.cast(%1) {elem = f16} : tensor<6x8xf16>
  %4 = tensor.transpose(%3) {perm = [1, 0]} : tensor<8x6xf16>
  %5 = tensor.matmul(%2, %4) : tensor<5x6xf32>
  %6 = tensor.reduce(%5) {kind = max, axis = 1} : tensor<5x1xf32>
  %7 = tensor.sub(%5, %6) : tensor<5x6xf32>
  %8 = tensor.exp(%7) : tensor<5x6xf32>
  %9 = tensor.cast(%8) {elem = f16} : tensor<5x6xf16>
  %10 = tensor.cast(%9) {elem = f32} : tensor<5x6xf32>
  %11 = tensor.reduce(%10) {kind = sum, axis = 1} : tensor<5x1xf32>
  %12 = tensor.div(%10, %11) : tensor<5x6xf32>
  tensor.return(%12) {names = ["p"]}
}
"#;

/// The row sums of an exponential are taken off it.
const SUMMED: &str = r#"module @summed(%0 "x": tensor<4x8xf32>) {
  %1 = tensor.exp(%0) : tensor<4x8xf32>
  %2 = tensor.cast(%1) {elem = f16} : tensor<4x8xf16>
  %3 = tensor.cast(%2) {elem = f32} : tensor<4x8xf32>
  %4 = tensor.reduce(%3) {kind = sum, axis = 1} : tensor<4x1xf32>
  %5 = tensor.sub(%1, %4) : tensor<4x8xf32>
  tensor.return(%5) {names = ["y"]}
}
"#;

const ROW: &str = r#"module @row(%0 "x": tensor<4x8xf32>, %1 "row": tensor<1x8xf32>) {
  %2 = tensor.exp(%1) : tensor<1x8xf32>
  %3 = tensor.add(%0, %2) : tensor<4x8xf32>
  tensor.return(%3) {names = ["y"]}
}
"#;

const APART: &str = r#"module @apart(%0 "x": tensor<4x8xf32>, %1 "y": tensor<4x8xf32>) {
  %2 = tensor.exp(%0) : tensor<4x8xf32>
  %3 = tensor.tanh(%1) : tensor<4x8xf32>
  tensor.return(%2, %3) {names = ["a", "b"]}
}
"#;

const HEADS: &str = r#"module @heads(%0 "x": tensor<4x6xf32>) {
  %1 = tensor.reshape(%0) {shape = [4, 3, 2]} : tensor<4x3x2xf32>
  %2 = tensor.transpose(%1) {perm = [1, 0, 2]} : tensor<3x4x2xf32>
  %3 = tensor.exp(%2) : tensor<3x4x2xf32>
  %4 = tensor.transpose(%3) {perm = [1, 0, 2]} : tensor<4x3x2xf32>
  %5 = tensor.reshape(%4) {shape = [4, 6]} : tensor<4x6xf32>
  tensor.return(%5) {names = ["y"]}
}
"#;

/// A residual stream: the region ends at %1.
const RESIDUAL: &str = r#"module @residual(%0 "x": tensor<4x2xf32>) {
  %1 = tensor.exp(%0) : tensor<4x2xf32>
  %2 = tensor.cast(%1) {elem = f16} : tensor<4x2xf16>
  %3 = tensor.constant() {value = dense<2x2xf16>[0x3c00, 0x4000, 0x4200, 0x4400]} : tensor<2x2xf16>
  %4 = tensor.matmul(%2, %3) : tensor<4x2xf32>
  %5 = tensor.add(%4, %1) : tensor<4x2xf32>
  tensor.return(%5) {names = ["y"]}
}
"#;

/// Scales that differ from lane to lane cannot leave a sum over lanes.
const SCALES: &str = r#"module @scales(%0 "q": tensor<4x2xi8>) {
  %1 = tensor.constant() {value = dense<2xf32>[0.5, 0.25]} : tensor<2xf32>
  %2 = tensor.dequantize(%0, %1) : tensor<4x2xf32>
  %3 = tensor.reduce(%2) {kind = sum, axis = 1} : tensor<4x1xf32>
  tensor.return(%3) {names = ["y"]}
}
"#;

const SCALED: &str = r#"module @scaled(%0 "x": tensor<64x640xf32>) {
  %1 = tensor.constant() {value = dense<f32>[0.5]} : tensor<f32>
  %2 = tensor.constant() {value = dense<1xf32>[8.0]} : tensor<1xf32>
  %3 = tensor.constant() {value = dense<f32>[0.0]} : tensor<f32>
  %4 = tensor.tanh(%0) : tensor<64x640xf32>
  %5 = tensor.mul(%4, %1) : tensor<64x640xf32>
  %6 = tensor.quantize(%5, %2, %3) {elem = i8} : tensor<64x640xi8>
  tensor.return(%6) {names = ["y"]}
}
"#;

const FOLDED: &str = r#"module @folded(%0 "x": tensor<4x3xf32>) {
  %1 = tensor.constant() {value = dense<1x3xf32>[-1.0, 0.0, 1.0]} : tensor<1x3xf32>
  %2 = tensor.exp(%1) : tensor<1x3xf32>
  %3 = tensor.add(%0, %2) : tensor<4x3xf32>
  tensor.return(%3) {names = ["y"]}
}
"#;

/// A cause, a module and two of its values.
pub const CAUSES: &[(&str, &str, [usize; 2])] = &[
    ("together", CHAIN, [1, 4]),
    ("same", CHAIN, [2, 2]),
    ("input", CHAIN, [0, 1]),
    ("constant", FOLDED, [1, 3]),
    ("folded", FOLDED, [2, 3]),
    ("half-of-a-layout", HEADS, [1, 3]),
    ("layout", HEADS, [2, 3]),
    ("pass", SOFTMAX, [5, 12]),
    ("pass-between", SOFTMAX, [8, 12]),
    ("not-ready", SUMMED, [1, 5]),
    ("shape", ROW, [2, 3]),
    ("unrelated", APART, [2, 3]),
    ("regions", RESIDUAL, [1, 5]),
    ("condition", SCALES, [2, 3]),
    ("dearer", SCALED, [5, 6]),
];

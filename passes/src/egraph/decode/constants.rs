//! Constants as streams.

use tspc_ir::ConstData;
use tspc_ir::eval::Array;

use super::plan::with_rows;

/// An array as rows of this many lanes: a vector is one row, and one lane meets all.
pub fn rows(array: &Array, lanes: usize) -> Result<ConstData, String> {
    let mut shape = with_rows(array.shape.clone());
    let own = shape.last().copied().unwrap_or(1);
    if own == lanes {
        return Array::new(shape, array.data.clone())?.to_const();
    }
    if own != 1 {
        return Err(format!("{own} lanes do not meet {lanes}"));
    }
    let rows = array.data.len();
    if let Some(last) = shape.last_mut() {
        *last = lanes;
    }
    let at: Vec<usize> = (0..rows * lanes).map(|i| i / lanes).collect();
    Array::new(shape, array.data.gather(&at))?.to_const()
}

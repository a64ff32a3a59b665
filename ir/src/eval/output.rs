//! Outputs of an evaluation. After [`Outputs::finish`] every element of every output has arrived exactly once.

use super::tsp::{Buffer, columns};
use super::{Array, Arrays, Data};
use crate::module::OpData;
use crate::types::Elem;
use std::collections::BTreeMap;

/// Outputs as they arrive: whole, or by byte planes of tiles.
#[derive(Default)]
pub(super) struct Outputs {
    whole: Arrays,
    parts: BTreeMap<String, Partial>,
}

struct Partial {
    shape: [usize; 2],
    elem: Elem,
    lanes: Vec<u32>,
    /// For each element, the bytes that arrived, as bits.
    seen: Vec<u8>,
}

impl Outputs {
    /// An output of `tensor.return` or `stream.return`.
    pub fn whole(&mut self, name: &str, array: Array) {
        self.whole.insert(name.into(), array);
    }

    /// One byte plane of a tile, from the buffer that `tsp.output` names.
    pub fn plane(&mut self, data: &OpData, buffer: &Buffer) -> Result<(), String> {
        let attrs = &data.attrs;
        let (name, elem, byte) = (attrs.str("name")?, attrs.elem("elem")?, attrs.size("byte")?);
        let shape = [attrs.size("rows")?, attrs.size("cols")?];
        let n = shape[0] * shape[1];
        let fresh = || Partial {
            shape,
            elem,
            lanes: vec![0; n],
            seen: vec![0; n],
        };
        let part = self.parts.entry(name.into()).or_insert_with(fresh);
        if part.shape != shape || part.elem != elem {
            return Err(format!("output {name} was of another type before"));
        }
        for row in 0..shape[0] {
            let word = buffer.word(row)?;
            for (b, &c) in word.into_iter().zip(&columns(data)?) {
                let Ok(c) = usize::try_from(c) else { continue };
                let at = row * shape[1] + c;
                part.lanes[at] |= u32::from(b) << (8 * byte);
                if part.seen[at] & 1 << byte != 0 {
                    return Err(format!("column {c} of output {name} arrives twice"));
                }
                part.seen[at] |= 1 << byte;
            }
        }
        Ok(())
    }

    /// All outputs; an error if part of one never arrived.
    pub fn finish(self) -> Result<Arrays, String> {
        let mut out = self.whole;
        for (name, part) in self.parts {
            let all = (1 << part.elem.bytes()) - 1;
            if let Some(at) = part.seen.iter().position(|&s| s != all) {
                let (row, col) = (at / part.shape[1], at % part.shape[1]);
                return Err(format!(
                    "element ({row}, {col}) of output {name} is never written"
                ));
            }
            let data = Data::from_lanes(part.elem, &part.lanes);
            out.insert(
                name,
                Array {
                    shape: part.shape.to_vec(),
                    data,
                },
            );
        }
        Ok(out)
    }
}

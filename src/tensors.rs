//! Inputs and outputs of programs as safetensors files.
//!
//! After reading, every input of the program is there with its type and shape, and nothing else. May not know where
//! in memory a tensor is.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use crate::program::{ElemType, IoEntry};

/// Tensors by name: little-endian elements, row after row.
pub type Tensors = BTreeMap<String, Vec<u8>>;

/// Reads the tensors that `entries` ask for. The error has everything that is wrong, a line each.
pub fn read(file: &str, bytes: &[u8], entries: &[IoEntry]) -> Result<Tensors, String> {
    let given = SafeTensors::deserialize(bytes).map_err(|e| format!("{file}: {e}"))?;
    let mut tensors = Tensors::new();
    let mut errors = Vec::new();
    for entry in entries {
        match given.tensor(&entry.name) {
            Ok(view) if view.dtype() == dtype(entry.elem) && view.shape() == shape(entry) => {
                tensors.insert(entry.name.clone(), view.data().to_vec());
            }
            Ok(view) => errors.push(format!(
                "{file}: input `{}`: expected {}, found {} {:?}",
                entry.name,
                describe(entry),
                view.dtype(),
                view.shape()
            )),
            Err(_) => errors.push(format!(
                "{file}: input `{}`: expected {}, found no such tensor",
                entry.name,
                describe(entry)
            )),
        }
    }
    let mut unknown: Vec<_> = given.names();
    unknown.retain(|name| entries.iter().all(|entry| entry.name != *name));
    unknown.sort_unstable();
    errors.extend(
        unknown
            .iter()
            .map(|name| format!("{file}: the program has no input `{name}`")),
    );
    if errors.is_empty() {
        Ok(tensors)
    } else {
        Err(errors.join("\n"))
    }
}

/// The bytes of a file with these tensors.
pub fn write(tensors: &Tensors, entries: &[IoEntry]) -> Result<Vec<u8>, String> {
    let mut views = Vec::new();
    for entry in entries {
        let data = tensors
            .get(&entry.name)
            .ok_or_else(|| format!("output `{}` is missing", entry.name))?;
        let view = TensorView::new(dtype(entry.elem), shape(entry), data)
            .map_err(|e| format!("output `{}`: {e}", entry.name))?;
        views.push((entry.name.as_str(), view));
    }
    serialize(views, None).map_err(|e| e.to_string())
}

/// Type and shape in the notation of safetensors, as in `I8 [4, 320]`.
pub fn describe(entry: &IoEntry) -> String {
    format!("{} {:?}", dtype(entry.elem), shape(entry))
}

/// Element `index` as decimal text.
pub fn element(ty: ElemType, data: &[u8], index: usize) -> Option<String> {
    let size = usize::from(ty.bytes());
    let bytes = data.get(index * size..(index + 1) * size)?;
    let bits = bytes.iter().rev().fold(0, |x, &b| x << 8 | u32::from(b));
    Some(match ty {
        ElemType::I8 => (bits as u8).cast_signed().to_string(),
        ElemType::U8 => bits.to_string(),
        ElemType::I16 => (bits as u16).cast_signed().to_string(),
        ElemType::I32 => bits.cast_signed().to_string(),
        ElemType::F16 => format!("{bits:#06x}"),
        ElemType::F32 => format!("{:?}", f32::from_bits(bits)),
    })
}

fn dtype(elem: ElemType) -> Dtype {
    match elem {
        ElemType::I8 => Dtype::I8,
        ElemType::U8 => Dtype::U8,
        ElemType::I16 => Dtype::I16,
        ElemType::I32 => Dtype::I32,
        ElemType::F16 => Dtype::F16,
        ElemType::F32 => Dtype::F32,
    }
}

fn shape(entry: &IoEntry) -> Vec<usize> {
    vec![entry.rows as usize, entry.cols as usize]
}

//! Arrays of the evaluator: typed, row-major elements, and the index arithmetic of views.

use crate::constant::ConstData;
use crate::types::{Elem, Type};
use std::ops::Range;

/// Elements; fp16 as bits.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)] // The names say it.
pub enum Data {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    F16(Vec<u16>),
    F32(Vec<f32>),
}

macro_rules! each {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            Data::I8($v) => $body,
            Data::U8($v) => $body,
            Data::I16($v) => $body,
            Data::I32($v) => $body,
            Data::F16($v) => $body,
            Data::F32($v) => $body,
        }
    };
    ($data:expr, $v:ident => make $body:expr) => {
        match $data {
            Data::I8($v) => Data::I8($body),
            Data::U8($v) => Data::U8($body),
            Data::I16($v) => Data::I16($body),
            Data::I32($v) => Data::I32($body),
            Data::F16($v) => Data::F16($body),
            Data::F32($v) => Data::F32($body),
        }
    };
}

impl Data {
    /// No elements, of this type.
    pub fn empty(elem: Elem) -> Data {
        match elem {
            Elem::I8 => Data::I8(Vec::new()),
            Elem::U8 => Data::U8(Vec::new()),
            Elem::I16 => Data::I16(Vec::new()),
            Elem::I32 => Data::I32(Vec::new()),
            Elem::F16 => Data::F16(Vec::new()),
            Elem::F32 => Data::F32(Vec::new()),
        }
    }

    /// The element type.
    pub fn elem(&self) -> Elem {
        match self {
            Data::I8(_) => Elem::I8,
            Data::U8(_) => Elem::U8,
            Data::I16(_) => Elem::I16,
            Data::I32(_) => Elem::I32,
            Data::F16(_) => Elem::F16,
            Data::F32(_) => Elem::F32,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements at these positions, all of which exist.
    pub fn gather(&self, at: &[usize]) -> Data {
        each!(self, v => make at.iter().map(|&i| v[i]).collect())
    }

    /// Appends a range of elements of the same type; of another type, nothing.
    pub fn extend(&mut self, from: &Data, range: Range<usize>) {
        match (self, from) {
            (Data::I8(to), Data::I8(v)) => to.extend_from_slice(&v[range]),
            (Data::U8(to), Data::U8(v)) => to.extend_from_slice(&v[range]),
            (Data::I16(to), Data::I16(v)) => to.extend_from_slice(&v[range]),
            (Data::I32(to), Data::I32(v)) => to.extend_from_slice(&v[range]),
            (Data::F16(to), Data::F16(v)) => to.extend_from_slice(&v[range]),
            (Data::F32(to), Data::F32(v)) => to.extend_from_slice(&v[range]),
            _ => {}
        }
    }

    /// Elements as the chip's lanes carry them: zero-extended bits.
    pub fn lanes(&self, range: Range<usize>) -> Vec<u32> {
        match self {
            Data::I8(v) => v[range]
                .iter()
                .map(|x| u32::from(x.cast_unsigned()))
                .collect(),
            Data::U8(v) => v[range].iter().map(|&x| u32::from(x)).collect(),
            Data::I16(v) => v[range]
                .iter()
                .map(|x| u32::from(x.cast_unsigned()))
                .collect(),
            Data::I32(v) => v[range].iter().map(|x| x.cast_unsigned()).collect(),
            Data::F16(v) => v[range].iter().map(|&x| u32::from(x)).collect(),
            Data::F32(v) => v[range].iter().map(|x| x.to_bits()).collect(),
        }
    }

    /// Appends lanes; bits that the type does not have are dropped.
    pub fn extend_lanes(&mut self, lanes: &[u32]) {
        match self {
            Data::I8(v) => v.extend(lanes.iter().map(|&x| (x as u8).cast_signed())),
            Data::U8(v) => v.extend(lanes.iter().map(|&x| x as u8)),
            Data::I16(v) => v.extend(lanes.iter().map(|&x| (x as u16).cast_signed())),
            Data::I32(v) => v.extend(lanes.iter().map(|&x| x.cast_signed())),
            Data::F16(v) => v.extend(lanes.iter().map(|&x| x as u16)),
            Data::F32(v) => v.extend(lanes.iter().map(|&x| f32::from_bits(x))),
        }
    }

    /// Elements from lanes.
    pub fn from_lanes(elem: Elem, lanes: &[u32]) -> Data {
        let mut data = Data::empty(elem);
        data.extend_lanes(lanes);
        data
    }

    /// The elements of a constant.
    pub fn from_const(c: &ConstData) -> Data {
        let bytes = &c.data;
        let words = || {
            bytes
                .chunks_exact(4)
                .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        };
        let halves = || {
            bytes
                .chunks_exact(2)
                .map(|b| u16::from_le_bytes([b[0], b[1]]))
        };
        match c.elem {
            Elem::I8 => Data::I8(bytes.iter().map(|b| b.cast_signed()).collect()),
            Elem::U8 => Data::U8(bytes.to_vec()),
            Elem::I16 => Data::I16(halves().map(u16::cast_signed).collect()),
            Elem::I32 => Data::I32(words().map(u32::cast_signed).collect()),
            Elem::F16 => Data::F16(halves().collect()),
            Elem::F32 => Data::F32(words().map(f32::from_bits).collect()),
        }
    }

    /// The elements as fp32 numbers, if that is their type.
    pub fn f32s(&self) -> Result<&[f32], String> {
        match self {
            Data::F32(v) => Ok(v),
            other => Err(format!(
                "expected f32 elements, not {}",
                other.elem().name()
            )),
        }
    }

    /// All elements converted as the chip does.
    pub fn convert(&self, to: Elem) -> Data {
        let mut lanes = self.lanes(0..self.len());
        tspc_num::convert_lanes(&mut lanes, self.elem(), to);
        Data::from_lanes(to, &lanes)
    }
}

/// Elements under a shape.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    /// The dimensions.
    pub shape: Vec<usize>,
    /// As many elements as the shape says.
    pub data: Data,
}

impl Array {
    /// An array; an error if the number of elements is not the shape's.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Result<Array, String> {
        let shape = shape.into();
        let ty = Type::new(crate::types::Kind::Tensor, shape.clone(), data.elem())?;
        match data.len() == ty.elements() {
            true => Ok(Array { shape, data }),
            false => Err(format!("{} elements for {ty}", data.len())),
        }
    }

    /// An fp32 array.
    pub fn f32s(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Array, String> {
        Array::new(shape, Data::F32(data))
    }

    /// The array as a constant; an error if the elements are not as many as the shape says.
    pub fn to_const(&self) -> Result<ConstData, String> {
        let (elem, lanes) = (self.data.elem(), self.data.lanes(0..self.data.len()));
        let bytes = lanes
            .iter()
            .flat_map(|x| x.to_le_bytes().into_iter().take(elem.bytes()));
        ConstData::new(&self.shape, elem, bytes.collect::<Vec<u8>>())
    }

    /// The last dimension; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The array under the shape of `ty` seen through a view: element `i` of dimension `d` adds `i·strides[d]`.
    pub(super) fn view(&self, shape: &[usize], strides: &[i64], start: usize) -> Array {
        Array {
            shape: shape.to_vec(),
            data: self.data.gather(&positions(shape, strides, start)),
        }
    }

    /// The elements with these numbers of every run along the last dimension.
    pub(super) fn gather_last(&self, lanes: &[usize]) -> Data {
        let runs = (0..self.data.len()).step_by(self.last().max(1));
        let at: Vec<usize> = runs
            .flat_map(|start| lanes.iter().map(move |lane| start + lane))
            .collect();
        self.data.gather(&at)
    }

    /// The array repeated to a shape to which it broadcasts.
    pub(super) fn broadcast(&self, shape: &[usize]) -> Array {
        if self.shape == shape {
            return self.clone();
        }
        let own = strides(&self.shape);
        let missing = shape.len() - self.shape.len();
        let repeat = |d: usize| match d.checked_sub(missing) {
            Some(i) if self.shape[i] != 1 => own[i],
            _ => 0,
        };
        self.view(shape, &(0..shape.len()).map(repeat).collect::<Vec<_>>(), 0)
    }

    /// The parts side by side along an axis of `shape`, the shape of the result.
    pub(super) fn concat(parts: &[&Array], axis: usize, shape: &[usize], elem: Elem) -> Array {
        let mut data = Data::empty(elem);
        let outer: usize = shape[..axis].iter().product();
        for i in 0..outer {
            for part in parts {
                let n: usize = part.shape[axis..].iter().product();
                data.extend(&part.data, i * n..(i + 1) * n);
            }
        }
        Array {
            shape: shape.to_vec(),
            data,
        }
    }
}

/// Distance of neighbours in each dimension of a row-major array.
pub(super) fn strides(shape: &[usize]) -> Vec<i64> {
    let mut out = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        out[d - 1] = out[d] * shape[d] as i64;
    }
    out
}

/// The positions that a view reads, in order.
fn positions(shape: &[usize], strides: &[i64], start: usize) -> Vec<usize> {
    let mut out = vec![start as i64];
    for (&n, &stride) in shape.iter().zip(strides) {
        out = out
            .iter()
            .flat_map(|&p| (0..n as i64).map(move |i| p + i * stride))
            .collect();
    }
    out.into_iter().map(|p| p as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_and_broadcasts() {
        let a = Array::new([2, 3], Data::I8(vec![0, 1, 2, 3, 4, 5])).unwrap();
        assert_eq!(
            a.view(&[3, 2], &[1, 3], 0).data,
            Data::I8(vec![0, 3, 1, 4, 2, 5])
        );
        assert_eq!(a.view(&[2, 1], &[-3, 1], 4).data, Data::I8(vec![4, 1]));
        let row = Array::new([3], Data::I8(vec![7, 8, 9])).unwrap();
        assert_eq!(
            row.broadcast(&[2, 3]).data,
            Data::I8(vec![7, 8, 9, 7, 8, 9])
        );
        let joined = Array::concat(&[&a, &a], 1, &[2, 6], Elem::I8);
        assert_eq!(
            joined.data,
            Data::I8(vec![0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5])
        );
    }

    #[test]
    fn lanes_are_zero_extended() {
        let d = Data::I8(vec![-1, 2]);
        assert_eq!(d.lanes(0..2), [0xff, 2]);
        assert_eq!(Data::from_lanes(Elem::I8, &d.lanes(0..2)), d);
        assert_eq!(d.convert(Elem::F32), Data::F32(vec![-1.0, 2.0]));
        for elem in Elem::ALL {
            let array = Array::new([2], d.convert(elem)).unwrap();
            assert_eq!(
                Data::from_const(&array.to_const().unwrap()),
                array.data,
                "{}",
                elem.name()
            );
        }
    }
}

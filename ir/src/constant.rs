//! The constant pool: typed data, shared, each content once, named by its SHA-256.
//!
//! Large constants are not in the text but in a side file: magic, count, then per constant the hash, the element
//! type, the dimensions and the little-endian bytes. Reading it checks every hash.

use crate::entity::{Const, Entity};
use crate::types::{Elem, Kind, Type};
use indexmap::IndexMap;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Constants with at most this many elements are written inline in the text.
pub const INLINE_ELEMENTS: usize = 16;

/// Version of the side file.
pub const SIDE_FILE_VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"tspcdat1";

/// A constant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConstData {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Element type.
    pub elem: Elem,
    /// Row-major, little-endian.
    pub data: Arc<[u8]>,
}

/// SHA-256 of element type, dimensions and data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The first 16 hex digits: the name in the text.
    pub fn short(&self) -> String {
        self.0[..8].iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl ConstData {
    /// A constant; an error if the data have not the size of the type.
    pub fn new(
        shape: &[usize],
        elem: Elem,
        data: impl Into<Arc<[u8]>>,
    ) -> Result<ConstData, String> {
        let ty = Type::new(Kind::Tensor, shape, elem)?;
        let data = data.into();
        let need = ty.elements() * bytes_of(elem);
        if data.len() != need {
            return Err(format!(
                "{ty} needs {need} bytes of data, has {}",
                data.len()
            ));
        }
        Ok(ConstData {
            shape: ty.shape,
            elem,
            data,
        })
    }

    /// An fp32 constant.
    pub fn f32s(shape: &[usize], values: &[f32]) -> Result<ConstData, String> {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        ConstData::new(shape, Elem::F32, bytes)
    }

    /// An int8 constant.
    pub fn i8s(shape: &[usize], values: &[i8]) -> Result<ConstData, String> {
        let bytes: Vec<u8> = values.iter().map(|x| x.cast_unsigned()).collect();
        ConstData::new(shape, Elem::I8, bytes)
    }

    /// The element's bits, zero-extended, or `None` beyond the end.
    pub fn bits(&self, index: usize) -> Option<u32> {
        let n = bytes_of(self.elem);
        let bytes = self.data.get(index * n..(index + 1) * n)?;
        Some(bytes.iter().rev().fold(0, |x, &b| x << 8 | u32::from(b)))
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// What names the constant in text and side file.
    pub fn hash(&self) -> ContentHash {
        let mut h = Sha256::new();
        h.update(self.header());
        h.update(&self.data);
        ContentHash(h.finalize().into())
    }

    fn header(&self) -> Vec<u8> {
        let mut out = vec![self.elem as u8, self.shape.len() as u8];
        for &d in &self.shape {
            out.extend((d as u64).to_le_bytes());
        }
        out
    }
}

/// Bytes per element.
pub fn bytes_of(elem: Elem) -> usize {
    elem.bytes()
}

/// The constants of a module, each once.
#[derive(Clone, Default, Debug)]
pub struct ConstPool {
    map: IndexMap<ContentHash, ConstData>,
}

impl ConstPool {
    /// Enters a constant; equal content gives the same reference.
    pub fn add(&mut self, data: ConstData) -> Const {
        Const::new(self.map.insert_full(data.hash(), data).0)
    }

    /// Enters a constant of another pool, without hashing it again.
    pub(crate) fn carry(&mut self, from: &ConstPool, c: Const) -> Option<Const> {
        let (hash, data) = from.map.get_index(c.index())?;
        Some(Const::new(self.map.insert_full(*hash, data.clone()).0))
    }

    /// The constant, or `None` for a reference of another module.
    pub fn get(&self, c: Const) -> Option<&ConstData> {
        self.map.get_index(c.index()).map(|(_, data)| data)
    }

    /// The constant's hash.
    pub fn hash(&self, c: Const) -> Option<ContentHash> {
        self.map.get_index(c.index()).map(|(hash, _)| *hash)
    }

    /// Constants in order of entry.
    pub fn iter(&self) -> impl Iterator<Item = (Const, &ConstData)> {
        self.map
            .values()
            .enumerate()
            .map(|(i, data)| (Const::new(i), data))
    }

    /// The constant whose hash begins with these hex digits.
    pub fn find(&self, short: &str) -> Option<&ConstData> {
        self.map
            .iter()
            .find(|(hash, _)| hash.short() == short)
            .map(|(_, data)| data)
    }

    /// The side file: all constants that the text does not hold inline.
    pub fn write_side_file(&self) -> Vec<u8> {
        let large: Vec<_> = self
            .map
            .iter()
            .filter(|(_, c)| c.elements() > INLINE_ELEMENTS)
            .collect();
        let mut out = MAGIC.to_vec();
        out.extend((large.len() as u64).to_le_bytes());
        for (hash, c) in large {
            out.extend(hash.0);
            out.extend(c.header());
            out.extend(&*c.data);
        }
        out
    }

    /// Reads a side file; an error names what is wrong with it.
    pub fn read_side_file(bytes: &[u8]) -> Result<ConstPool, String> {
        let mut input = Cursor(bytes);
        if input.take(8)? != MAGIC {
            return Err("not a tspc data file".into());
        }
        let mut pool = ConstPool::default();
        for _ in 0..input.number()? {
            let hash = input.take(32)?;
            let header = input.take(2)?;
            let elem = *Elem::ALL
                .get(usize::from(header[0]))
                .ok_or("unknown element type")?;
            let shape = (0..header[1])
                .map(|_| input.number())
                .collect::<Result<Vec<_>, _>>()?;
            let ty = Type::new(Kind::Tensor, shape, elem)?;
            let data =
                ConstData::new(&ty.shape, elem, input.take(ty.elements() * bytes_of(elem))?)?;
            if data.hash().0 != hash {
                return Err(format!("constant {} is corrupt", data.hash().short()));
            }
            pool.add(data);
        }
        if input.0.is_empty() {
            Ok(pool)
        } else {
            Err("bytes after the last constant".into())
        }
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (head, tail) = self
            .0
            .split_at_checked(n)
            .ok_or("the data file ends early")?;
        self.0 = tail;
        Ok(head)
    }

    fn number(&mut self) -> Result<usize, String> {
        let bytes = self.take(8)?;
        let n = bytes.iter().rev().fold(0u64, |x, &b| x << 8 | u64::from(b));
        usize::try_from(n).map_err(|_| "number too large".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large() -> ConstData {
        ConstData::f32s(&[4, 5], &[1.5; 20]).unwrap()
    }

    #[test]
    fn equal_content_is_one_constant_and_the_type_is_content() {
        let mut pool = ConstPool::default();
        let a = pool.add(large());
        assert_eq!(pool.add(large()), a);
        assert_ne!(pool.add(ConstData::f32s(&[5, 4], &[1.5; 20]).unwrap()), a);
    }

    #[test]
    fn side_file_round_trips_and_detects_damage() {
        let mut pool = ConstPool::default();
        pool.add(large());
        pool.add(ConstData::i8s(&[2], &[1, -1]).unwrap());
        let file = pool.write_side_file();
        let back = ConstPool::read_side_file(&file).unwrap();
        assert_eq!(
            back.iter().count(),
            1,
            "small constants are inline in the text"
        );
        assert_eq!(back.find(&large().hash().short()), Some(&large()));
        let mut bad = file.clone();
        *bad.last_mut().unwrap() ^= 1;
        assert!(
            ConstPool::read_side_file(&bad)
                .unwrap_err()
                .contains("corrupt")
        );
        for cut in 0..file.len() {
            assert!(ConstPool::read_side_file(&file[..cut]).is_err());
        }
    }

    #[test]
    fn elements_are_little_endian() {
        assert_eq!(large().bits(19), Some(1.5f32.to_bits()));
        assert_eq!(large().bits(20), None);
        assert!(ConstData::new(&[2], Elem::F32, vec![0; 4]).is_err());
    }
}

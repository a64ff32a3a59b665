//! Entity references: `u32` newtypes that print as the text format writes them, and dense maps keyed by them.
//!
//! A reference is an index and nothing else: it borrows nothing, is `Copy`, and means something only
//! together with the module that made it. Lookups of a foreign reference return `None`, they do not panic.

use std::fmt;
use std::marker::PhantomData;

/// An index with a type; implemented by the newtypes of this file.
pub trait Entity: Copy + Ord {
    /// The reference with this index.
    fn new(index: usize) -> Self;
    /// The index.
    fn index(self) -> usize;
}

macro_rules! entities {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl Entity for $name {
            fn new(index: usize) -> $name {
                $name(u32::try_from(index).unwrap_or(u32::MAX))
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

entities! {
    /// An SSA value: a block argument or a result of an op.
    Value "%";
    /// An op. The text has no name for it; diagnostics print `op12`.
    Op "op";
    /// A block: the module's body or the region of an op.
    Block "^bb";
    /// A location in the module's location table.
    Loc "#loc";
    /// A constant in the module's pool.
    Const "const";
}

/// A dense map that hands out its keys: entity `n` is the n-th one pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntityMap<K, V> {
    items: Vec<V>,
    key: PhantomData<K>,
}

impl<K, V> Default for EntityMap<K, V> {
    fn default() -> Self {
        EntityMap {
            items: Vec::new(),
            key: PhantomData,
        }
    }
}

impl<K: Entity, V> EntityMap<K, V> {
    /// Appends an item and returns its reference.
    pub fn push(&mut self, item: V) -> K {
        self.items.push(item);
        K::new(self.items.len() - 1)
    }

    /// The item, or `None` for a reference of another module.
    pub fn get(&self, key: K) -> Option<&V> {
        self.items.get(key.index())
    }

    /// The item, mutably.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.items.get_mut(key.index())
    }

    /// All references, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = K> + use<K, V> {
        (0..self.items.len()).map(K::new)
    }

    /// References and items, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (K, &V)> {
        self.items.iter().enumerate().map(|(i, v)| (K::new(i), v))
    }

    /// Forgets all items from this number on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.items.truncate(len);
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_print_as_the_text_writes_them() {
        assert_eq!(Value::new(12).to_string(), "%12");
        assert_eq!(Block::new(0).to_string(), "^bb0");
        assert_eq!(format!("{:?}", Loc::new(3)), "#loc3");
    }

    #[test]
    fn maps_are_dense_and_refuse_foreign_keys() {
        let mut map = EntityMap::<Op, &str>::default();
        let first = map.push("a");
        assert_eq!((first.index(), map.get(first)), (0, Some(&"a")));
        assert_eq!(map.get(Op::new(1)), None);
    }
}

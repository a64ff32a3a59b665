//! Storage of the byte vectors that are on streams, wires and in flight.
//!
//! Vectors never change once they are made; a handle may be held in several places (taking does not
//! consume, and the VXM sees what passes by), so each vector counts its holders. Nothing is allocated
//! once the pool has grown to the program's peak.

/// Lanes of a vector (machine.md section 1): fixed by the program format, checked against the machine.
pub const LANES: usize = 320;

/// One byte per lane.
pub type Bytes = [u8; LANES];

/// A vector in the pool, or [`Handle::NONE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle(u32);

impl Handle {
    /// No vector.
    pub const NONE: Handle = Handle(u32::MAX);

    /// The handle if there is a vector.
    pub fn some(self) -> Option<Handle> {
        (self != Handle::NONE).then_some(self)
    }
}

/// All vectors.
#[derive(Default)]
pub struct Pool {
    vectors: Vec<Bytes>,
    holders: Vec<u32>,
    free: Vec<u32>,
}

impl Pool {
    /// A vector with one holder; its content is whatever it last was, so the caller fills it.
    pub fn make(&mut self) -> (Handle, &mut Bytes) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.vectors.push([0; LANES]);
            self.holders.push(0);
            self.vectors.len() as u32 - 1
        });
        self.holders[index as usize] = 1;
        (Handle(index), &mut self.vectors[index as usize])
    }

    /// One more holder of a vector (nothing for `NONE`).
    pub fn hold(&mut self, handle: Handle) {
        if let Some(Handle(index)) = handle.some() {
            self.holders[index as usize] += 1;
        }
    }

    /// One holder less (nothing for `NONE`).
    pub fn release(&mut self, handle: Handle) {
        if let Some(Handle(index)) = handle.some() {
            let holders = &mut self.holders[index as usize];
            *holders -= 1;
            if *holders == 0 {
                self.free.push(index);
            }
        }
    }

    /// The content; the handle must not be `NONE`.
    pub fn get(&self, handle: Handle) -> &Bytes {
        &self.vectors[handle.0 as usize]
    }

    /// Vectors that somebody holds.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.vectors.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_reused_only_when_nobody_holds_it() {
        let mut pool = Pool::default();
        let (a, bytes) = pool.make();
        bytes.fill(7);
        pool.hold(a);
        pool.release(a);
        let (b, _) = pool.make();
        assert_ne!(a, b);
        assert_eq!(pool.get(a)[319], 7);
        pool.release(a);
        assert_eq!(pool.make().0, a);
        assert_eq!(pool.held(), 2);
    }
}

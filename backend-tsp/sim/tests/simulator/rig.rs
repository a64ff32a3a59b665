//! Programs for tests: instructions at stated cycles, vectors brought to stated places.
//!
//! The distances here are written out from the machine description, not computed by the simulator.

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{
    Direction, ElemType, Hemisphere, ImageSegment, Instr, IoEntry, IoTile, MemAccess, MemPart,
    Program, QUEUES, Stream, Unit, WordRun,
};
use tspc_sim::{Fault, FaultKind, Outcome, simulate};

pub const LANES: usize = 320;
pub type Bytes = [u8; LANES];
pub use Direction::{East as E, West as W};

/// A stream.
pub fn s(dir: Direction, id: u8) -> Stream {
    Stream { dir, id }
}

/// Bytes that differ from lane to lane and from seed to seed.
pub fn noise(seed: u32) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9).wrapping_add(12345);
    std::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
}

/// The bytes of 32-bit lanes, one vector per byte.
pub fn planes(lanes: [u32; LANES]) -> [Bytes; 4] {
    std::array::from_fn(|k| lanes.map(|lane| (lane >> (8 * k)) as u8))
}

/// The 32-bit lanes of four byte vectors.
pub fn lanes(planes: &[Bytes]) -> Vec<u32> {
    (0..LANES)
        .map(|l| u32::from_le_bytes([planes[0][l], planes[1][l], planes[2][l], planes[3][l]]))
        .collect()
}

/// Slices that hold no program text: W38 is one of those that do, so neither side uses slice 38 here.
fn slice(n: u8) -> u8 {
    (0..44)
        .filter(|s| ![16, 20, 24, 28, 38].contains(s))
        .nth(n.into())
        .unwrap()
}

/// `read` of one word.
pub fn read(stream: Stream, addr: u16) -> Instr {
    let access = MemAccess::Direct { addr, step: 0 };
    Instr::Mem {
        read: Some(MemPart { stream, access }),
        write: None,
    }
}

/// `write` of one word.
pub fn write(stream: Stream, addr: u16) -> Instr {
    let access = MemAccess::Direct { addr, step: 0 };
    Instr::Mem {
        read: None,
        write: Some(MemPart { stream, access }),
    }
}

/// A program under construction. Words that the rig itself places are in bank 0, what it collects in bank 1.
#[derive(Clone, Default)]
pub struct Rig {
    dispatches: BTreeMap<(Unit, u64), Vec<Instr>>,
    image: Vec<ImageSegment>,
    collected: Vec<WordRun>,
    next_word: u16,
}

impl Rig {
    /// An instruction at a cycle.
    pub fn at(&mut self, cycle: u64, unit: Unit, instr: Instr) -> &mut Rig {
        let before = self.dispatches.insert((unit, cycle), vec![instr]);
        assert!(before.is_none(), "{unit} is taken at {cycle}");
        self
    }

    /// An instruction with its repeat.
    pub fn repeat(&mut self, cycle: u64, unit: Unit, instr: Instr, n: u16, d: u16) -> &mut Rig {
        self.at(cycle, unit, instr);
        self.dispatches
            .get_mut(&(unit, cycle))
            .unwrap()
            .push(Instr::Repeat { n, d });
        self
    }

    /// A constant word.
    pub fn word(&mut self, hemi: Hemisphere, slice: u8, addr: u16, bytes: &[u8]) -> &mut Rig {
        self.image.push(ImageSegment {
            hemi,
            slice,
            addr,
            bytes: bytes.to_vec(),
        });
        self
    }

    /// A word that is read so that it is on SR_0 inward of a hemisphere at `cycle`.
    pub fn at_entry(&mut self, hemi: Hemisphere, cycle: u64, id: u8, bytes: &Bytes) -> &mut Rig {
        let slice = slice(id);
        // Inward a read drives SR_g, one cycle later.
        self.fetch(
            cycle - 1 - u64::from(slice / 4),
            hemi,
            slice,
            s(hemi.inward(), id),
            bytes,
        )
    }

    /// A word that is read so that it is on SR_11 outward of the East at `cycle`.
    pub fn at_sr11(&mut self, cycle: u64, id: u8, bytes: &Bytes) -> &mut Rig {
        let slice = slice(id);
        // Outward a read drives SR_{g+1}.
        let cycle = cycle - 1 - (11 - (u64::from(slice / 4) + 1));
        self.fetch(cycle, Hemisphere::East, slice, s(E, id), bytes)
    }

    /// The same at the MXM port of the East.
    pub fn at_port(&mut self, cycle: u64, id: u8, bytes: &Bytes) -> &mut Rig {
        self.at_sr11(cycle - 9, id, bytes)
    }

    /// The same for an SXM operation of the East that dispatches at `cycle`.
    pub fn at_sxm(&mut self, cycle: u64, id: u8, bytes: &Bytes) -> &mut Rig {
        self.at_sr11(cycle - 4, id, bytes)
    }

    fn fetch(
        &mut self,
        cycle: u64,
        hemi: Hemisphere,
        slice: u8,
        stream: Stream,
        bytes: &Bytes,
    ) -> &mut Rig {
        let addr = self.next_word;
        self.next_word += 1;
        self.word(hemi, slice, addr, bytes);
        self.at(cycle, Unit::Mem(hemi, slice), read(stream, addr))
    }

    /// Stores, as the next row of the output, what is on the SR_0 where the stream leaves the VXM.
    pub fn collect(&mut self, cycle: u64, stream: Stream) -> &mut Rig {
        let (hemi, slice) = (leaving(stream.dir), slice(stream.id));
        let addr = 4096 + self.collected.len() as u16;
        // Outward a write takes SR_g.
        self.at(
            cycle + u64::from(slice / 4),
            Unit::Mem(hemi, slice),
            write(stream, addr),
        );
        self.output(hemi, slice, addr)
    }

    /// Stores what is on SR_11 inward of the East at `cycle`: on SR_0 after 11 cycles, across after 5.
    pub fn collect_result(&mut self, cycle: u64, id: u8) -> &mut Rig {
        self.collect(cycle + 11 + 5, s(W, id))
    }

    /// Declares a word as the next row of the output.
    pub fn output(&mut self, hemi: Hemisphere, slice: u8, addr: u16) -> &mut Rig {
        self.collected.push(WordRun {
            hemi,
            slice,
            addr,
            step: 0,
            count: 1,
        });
        self
    }

    /// The program.
    pub fn program(&self, machine: &Machine) -> Program {
        let mut queues = vec![Vec::new(); QUEUES];
        let mut free = vec![0u64; QUEUES];
        let mut order: Vec<_> = self.dispatches.iter().collect();
        order.sort_by_key(|((_, cycle), _)| *cycle);
        for ((unit, cycle), instrs) in order {
            let queue = unit.queue().unwrap().index();
            assert!(
                free[queue] <= *cycle,
                "{unit} is busy until {}",
                free[queue]
            );
            while free[queue] < *cycle {
                let n = (*cycle - free[queue]).min(u16::MAX.into()) as u16;
                queues[queue].push(Instr::Nop { n });
                free[queue] += u64::from(n);
            }
            queues[queue].extend(instrs);
            free[queue] += 1;
            if let [_, Instr::Repeat { n, d }] = instrs[..] {
                free[queue] += u64::from(n) * u64::from(d);
            }
        }
        let rows = self.collected.len() as u32;
        let tile = IoTile {
            lanes: (0..LANES as u32).map(Some).collect(),
            planes: vec![self.collected.clone()],
        };
        let y = IoEntry {
            name: "y".into(),
            elem: ElemType::U8,
            rows,
            cols: LANES as u32,
            tiles: vec![tile],
        };
        Program {
            machine: machine.name.clone(),
            machine_hash: machine.hash.clone(),
            queues,
            image: self.image.clone(),
            inputs: vec![],
            outputs: if rows > 0 { vec![y] } else { vec![] },
            uses: vec![],
            locations: vec![],
        }
    }

    /// Runs it on `tsp-v1`: the collected rows, and the outcome.
    pub fn run(&self) -> (Vec<Bytes>, Outcome) {
        let machine = Machine::tsp_v1();
        let outcome = simulate(&self.program(&machine), &machine, &BTreeMap::new());
        let outcome = outcome.unwrap_or_else(|fault| panic!("{fault}"));
        let rows = outcome
            .outputs
            .get("y")
            .map_or(&[][..], |bytes| bytes.as_chunks().0);
        (rows.to_vec(), outcome)
    }

    /// The collected rows.
    pub fn rows(&self) -> Vec<Bytes> {
        self.run().0
    }

    /// Runs it on `tsp-v1`: the fault.
    pub fn fault(&self) -> Fault {
        let machine = Machine::tsp_v1();
        simulate(&self.program(&machine), &machine, &BTreeMap::new()).expect_err("a fault")
    }

    /// Runs it on `tsp-v1`: the kind of fault.
    pub fn kind(&self) -> FaultKind {
        self.fault().kind
    }
}

/// The hemisphere into which a direction leaves the VXM.
fn leaving(dir: Direction) -> Hemisphere {
    match dir {
        Direction::East => Hemisphere::East,
        Direction::West => Hemisphere::West,
    }
}

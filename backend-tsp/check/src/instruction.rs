//! Rules that one instruction breaks by itself, whatever the others do: fields, reach, types, ranges.
//!
//! After: every stream, group, address and plane of an instruction without structural faults can be followed.

use tspc_machine::Machine;
use tspc_program::{
    AluInstr, ElemType, Hemisphere, Instr, MemAccess, MemPart, MxmQueue, Operand, ResultMode,
    Stream, SxmUnit, Unit,
};

use crate::op_types;
use crate::rule::Rule;
use crate::uses::SLOTS;

/// A broken rule and how.
pub(crate) type Fault = (Rule, String);

const STREAMS: u8 = 32;
const WORDS: i64 = 4096;

/// Whether a MEM slice holds program text (machine.json `text_slices_*`).
pub(crate) fn is_text_slice(m: &Machine, hemi: Hemisphere, slice: u8) -> bool {
    let text = match hemi {
        Hemisphere::West => &m.text_slices_west,
        Hemisphere::East => &m.text_slices_east,
    };
    text.contains(&u32::from(slice))
}

/// Groups of a full install.
pub(crate) fn groups(m: &Machine, f16: Option<u8>) -> u32 {
    let groups = if f16.is_some() {
        m.mxm_groups_f16
    } else {
        m.mxm_groups_i8
    };
    groups.min(SLOTS as u32)
}

/// The wires of ALU row `a / 4`, of either direction.
fn reaches(m: &Machine, alu: u8, stream: u8) -> bool {
    let first = u32::from(alu) / m.vxm_columns.max(1) * 2;
    let wires = m.vxm_wires.max(1);
    (u32::from(stream / 4) + wires - first % wires) % wires < m.vxm_wires_per_row
}

/// Everything wrong with `instr`, dispatched `iterations` times by the queue of `unit`.
pub(crate) fn faults(instr: &Instr, unit: Unit, iterations: u32, m: &Machine) -> Vec<Fault> {
    let mut check = Check {
        m,
        faults: Vec::new(),
    };
    check.instr(instr, unit, iterations);
    check.faults
}

struct Check<'a> {
    m: &'a Machine,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, rule: Rule, message: String) {
        self.faults.push((rule, message));
    }

    fn form(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.fault(Rule::Form, message());
        }
    }

    /// `width` streams from `first`, aligned to `align`.
    fn group(&mut self, what: &str, first: u8, width: u8, align: u8) {
        if width > STREAMS || first > STREAMS - width {
            self.fault(
                Rule::Form,
                format!("{what}: {width} streams from {first} are not all in 0…31"),
            );
        } else if !first.is_multiple_of(align) {
            self.fault(
                Rule::GroupAlignment,
                format!("{what}: stream {first} is no multiple of {align}"),
            );
        }
    }

    fn instr(&mut self, instr: &Instr, unit: Unit, iterations: u32) {
        use MxmQueue::{Accumulate, Activation, Weight};
        match (instr, unit) {
            (Instr::Nop { n }, _) => self.form(*n >= 1, || "a nop lasts at least one cycle".into()),
            (Instr::Repeat { n, d }, _) => {
                self.form(*n >= 1 && *d >= 1, || {
                    "a repeat has at least one iteration and cycle".into()
                });
            }
            (Instr::Mem { read, write }, Unit::Mem(hemi, slice)) => {
                self.mem(read.as_ref(), write.as_ref(), iterations);
                if is_text_slice(self.m, hemi, slice) {
                    self.fault(Rule::TextSlice, format!("{unit} holds program text"));
                }
            }
            (Instr::Alu(alu), Unit::Alu(a)) => self.alu(alu, a),
            (Instr::Lw { j, step, b, f16 }, Unit::Mxm(_, plane, Weight)) => {
                self.form(matches!(b, 0 | 16), || {
                    format!("lw: streams start at 0 or 16, not {b}")
                });
                self.half(*f16, plane);
                let last =
                    i64::from(*j) + i64::from(*step) * i64::from(iterations.saturating_sub(1));
                let groups = groups(self.m, *f16);
                if i64::from(*j).max(last) >= i64::from(groups) || last < 0 {
                    let message = format!(
                        "lw: groups {j} … {last} are not all in 0…{}",
                        i64::from(groups) - 1
                    );
                    self.fault(Rule::GroupRange, message);
                }
            }
            (Instr::Iw { n, f16 }, Unit::Mxm(_, plane, Weight)) => {
                self.half(*f16, plane);
                let least = if f16.is_some() {
                    self.m.mxm_iw_min_groups_f16
                } else {
                    self.m.mxm_iw_min_groups_i8
                };
                let most = groups(self.m, *f16);
                if !(least..=most).contains(&u32::from(*n)) {
                    self.fault(
                        Rule::GroupRange,
                        format!("iw: {n} groups, expected {least}…{most}"),
                    );
                }
            }
            (Instr::Act { stream, ty }, Unit::Mxm(_, plane, Activation)) => {
                let legal = matches!(ty, ElemType::I8 | ElemType::U8 | ElemType::F16);
                self.form(legal, || {
                    format!("act takes i8, u8 or f16, not {}", ty.name())
                });
                self.group("act", *stream, ty.bytes(), ty.bytes());
                self.half((*ty == ElemType::F16).then_some(0), plane);
            }
            (Instr::Out { d }, Unit::Mxm(_, _, Accumulate)) => self.group("out d", *d, 4, 4),
            (Instr::Acc { s, d }, Unit::Mxm(_, _, Accumulate)) => {
                self.group("acc s", *s, 4, 4);
                self.group("acc d", *d, 4, 4);
            }
            (Instr::Drop, Unit::Mxm(_, _, Accumulate)) => {}
            (_, Unit::Sxm(_, sxm)) => self.sxm(instr, sxm, unit),
            _ => self.fault(Rule::Form, format!("{unit} has no such instruction")),
        }
    }

    /// fp16 belongs to the even plane; p is 0 or 1.
    fn half(&mut self, f16: Option<u8>, plane: u8) {
        self.form(f16.is_none_or(|p| p < 2), || "the K half is 0 or 1".into());
        if f16.is_some() && plane == 1 {
            self.fault(
                Rule::OddPlane,
                "fp16 is driven by the even plane's queues".into(),
            );
        }
    }

    fn mem(&mut self, read: Option<&MemPart>, write: Option<&MemPart>, iterations: u32) {
        self.form(read.is_some() || write.is_some(), || {
            "neither a read nor a write part".into()
        });
        for (what, part) in [("read", read), ("write", write)] {
            let Some(part) = part else { continue };
            self.group(what, part.stream.id, 1, 1);
            match part.access {
                MemAccess::Direct { addr, step } => {
                    let (low, high) = (self.m.mem_address_step_min, self.m.mem_address_step_max);
                    self.form((low..=high).contains(&i32::from(step)), || {
                        format!("{what}: step {step}, expected {low}…{high}")
                    });
                    self.form(addr < 8192, || {
                        format!("{what}: address {addr}, expected 0…8191")
                    });
                    let turns = i64::from(iterations.saturating_sub(1));
                    let last = i64::from(addr % 4096) + turns * i64::from(step);
                    if !(0..WORDS).contains(&last) {
                        let message = format!(
                            "{what}: the last of {iterations} iterations is at word {last} of its bank, expected 0…4095"
                        );
                        self.fault(Rule::BankExit, message);
                    }
                }
                MemAccess::Mapped { bank, map } => {
                    self.form(bank < 2, || format!("{what}: bank {bank}, expected 0 or 1"));
                    self.group("map", map.id, 1, 1);
                }
            }
        }
        if let (Some(r), Some(w)) = (read, write)
            && bank(r) == bank(w)
        {
            self.fault(Rule::SameBank, format!("both parts use bank {}", bank(r)));
        }
    }

    fn alu(&mut self, alu: &AluInstr, number: u8) {
        let mut wires: Vec<Stream> = Vec::new();
        for operand in [Some(alu.a), alu.b].into_iter().flatten() {
            if let Operand::Stream { stream, ty } = operand {
                self.group("operand", stream.id, ty.bytes(), ty.bytes());
                self.reach("takes", number, stream);
                wires.push(stream);
            }
        }
        if let [a, b] = wires[..]
            && a.id / 4 == b.id / 4
            && a.dir != b.dir
        {
            let message = format!(
                "{a} and {b} are on wire {} in opposite directions",
                a.id / 4
            );
            self.fault(Rule::WireDirections, message);
        }
        self.group("result", alu.result.id, alu.ty.bytes(), alu.ty.bytes());
        self.reach("drives", number, alu.result);
        if alu.mode == ResultMode::Mesh && mesh_column(number, alu.result) == 3 {
            self.fault(
                Rule::MeshEdge,
                format!("no column comes after this one for {}", alu.result),
            );
        }
        self.faults.extend(op_types::faults(alu, number, self.m));
    }

    fn reach(&mut self, verb: &str, alu: u8, stream: Stream) {
        if !reaches(self.m, alu, stream.id) {
            let (first, wires) = (alu / 4 * 2, self.m.vxm_wires_per_row);
            let message = format!(
                "{verb} {stream} on wire {}, row {} reaches {wires} wires from wire {first} on, modulo {}",
                stream.id / 4,
                alu / 4,
                self.m.vxm_wires,
            );
            self.fault(Rule::WireReach, message);
        }
    }

    fn sxm(&mut self, instr: &Instr, unit: SxmUnit, name: Unit) {
        match (instr, unit) {
            (Instr::Distribute { mask, map, dst, .. }, SxmUnit::Distributor(q)) => {
                self.form(*mask != 0, || "the mask selects no stream".into());
                self.group("map", *map, 1, 1);
                self.group("dst", *dst, 8, 8);
                if map / 8 == q {
                    let message = format!("map on stream {map}, one of {}…{}", 8 * q, 8 * q + 7);
                    self.fault(Rule::MapStream, message);
                }
            }
            (Instr::Transpose { src, dst, .. }, SxmUnit::Transposer(_)) => {
                self.form(matches!(src, 0 | 16), || {
                    format!("src {src}, expected 0 or 16")
                });
                self.form(matches!(dst, 0 | 16), || {
                    format!("dst {dst}, expected 0 or 16")
                });
            }
            (
                Instr::Permute {
                    src, w, map, dst, ..
                },
                SxmUnit::Permutor,
            ) => {
                self.span(*src, *w, *dst);
                self.group("map", *map, 2, 2);
            }
            (Instr::Shift { src, w, n, dst, .. }, SxmUnit::ShiftUp | SxmUnit::ShiftDown) => {
                self.span(*src, *w, *dst);
                self.form((1..320).contains(n), || {
                    format!("shift by {n} lanes, expected 1…319")
                });
            }
            _ => self.fault(Rule::Form, format!("{name} has no such instruction")),
        }
    }

    /// `w` sources of one aligned four.
    fn span(&mut self, src: u8, w: u8, dst: u8) {
        self.form((1..=4).contains(&w), || {
            format!("{w} streams, expected 1…4")
        });
        self.group("src", src, w, 1);
        self.group("dst", dst, w, 1);
        if src % 4 + w.min(4) > 4 {
            let message = format!("{w} streams from {src} are not in one aligned four");
            self.fault(Rule::GroupAlignment, message);
        }
    }
}

/// How many columns the ALU is into the mesh, for streams of this direction.
pub(crate) fn mesh_column(alu: u8, stream: Stream) -> u8 {
    match stream.dir {
        tspc_program::Direction::East => alu % 4,
        tspc_program::Direction::West => 3 - alu % 4,
    }
}

/// The bank that a part uses.
pub(crate) fn bank(part: &MemPart) -> u8 {
    match part.access {
        MemAccess::Direct { addr, .. } => (addr >> 12 & 1) as u8,
        MemAccess::Mapped { bank, .. } => bank,
    }
}

/// The operand slots that a dispatch takes, as bits.
pub(crate) fn slots(instr: &Instr) -> u64 {
    let run = |first: u8, count: u8| ((1u64 << count) - 1) << first;
    match *instr {
        Instr::Nop { .. } | Instr::Repeat { .. } => 0,
        Instr::Mem { read, write } => {
            let mapped = |p: &MemPart| matches!(p.access, MemAccess::Mapped { .. });
            let read = read.map_or(0, |p| if mapped(&p) { 1 << 1 | run(4, 20) } else { 1 });
            read | write.map_or(0, |p| 1 << 2 | u64::from(mapped(&p)) << 3)
        }
        Instr::Alu(alu) => {
            let bytes = |o: Option<Operand>| match o {
                Some(Operand::Stream { ty, .. }) => run(0, ty.bytes()),
                _ => 0,
            };
            bytes(Some(alu.a)) | bytes(alu.b) << 4
        }
        Instr::Lw { .. } => run(0, 16),
        Instr::Iw { n, .. } => run(0, n.min(SLOTS as u8)),
        Instr::Act { ty, .. } => run(0, ty.bytes()) | 1 << 2,
        Instr::Out { .. } | Instr::Drop => 1 << 4,
        Instr::Acc { .. } => run(0, 5),
        Instr::Distribute { mask, .. } => u64::from(mask) | 1 << 8,
        Instr::Transpose { .. } => run(0, 16),
        Instr::Permute { w, .. } => run(0, w) | run(4, 2),
        Instr::Shift { w, .. } => run(0, w),
    }
}

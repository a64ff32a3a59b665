//! Well-formedness of a program: everything that can be said without a clock and without the machine file.
//!
//! After it: the container and the listing restore the program exactly, and no index, range or count in it is
//! wild. No rule here speaks of time, of what is on a stream, or of a unit's capacity; those are the checker's.
//!
//! 1. There are 144 queues.
//! 2. An instruction stands in a queue of its unit; reserved SXM queues are empty. fp16 is driven by the even plane.
//! 3. `nop n`: n ≥ 1.
//! 4. `repeat n, d`: n ≥ 1, d ≥ 1, directly after an instruction that is neither a nop nor a repeat.
//! 5. A stream id is less than 32; a group starts at a multiple of its size; `permute` and `shift` stay inside an
//!    aligned four; `lw` has b, `transpose` src and dst, 0 or 16; `distribute` dst is a multiple of 8.
//! 6. A MEM instruction has a part; an address has 13 bits, a step is −4096…4095, a bank is 0 or 1.
//! 7. `lw` j < 20 (f16: 40); `iw` n is 1…20 (f16: 40); p is 0 or 1; activations are i8, u8 or f16.
//! 8. `distribute` selects a stream; `permute` and `shift` have w 1…4, `shift` n 1…319.
//! 9. A VXM operation has its number of operands, at most one of them the immediate; without one `imm` is 0.
//! 10. An image segment is in a slice that exists, has whole words, at least one, and stays in its bank.
//! 11. Names of inputs are unique and not empty, those of outputs likewise; rows, cols ≥ 1.
//! 12. A tile has 320 lanes, columns that exist, one plane per byte of the element, and in each plane one word per
//!     row; runs have words, stay in their bank and do not stand still.
//! 13. Each column of an output is in exactly one lane.
//! 14. A use's consumer is a dispatching instruction or a run of an output; its iterations exist, at least one.
//! 15. A use's slot exists for the consumer.
//! 16. A use's source is a dispatching instruction, and each iteration that it names exists; or words of the image,
//!     with addresses of 13 bits; for the time of an `iw`, and only there, the clock.
//! 17. A use's location exists.

mod instr;
mod tables;

use std::fmt;

#[cfg(test)]
pub(crate) use tables::has_slot;

use crate::instr::Instr;
use crate::program::{Program, Site};
use crate::unit::{QUEUES, QueueId};

/// A broken rule of this module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormError {
    /// Number of the rule in the list above.
    pub rule: u8,
    /// Where.
    pub place: FormPlace,
    /// What was expected and what was found.
    pub message: String,
}

/// What a [`FormError`] is about; the numbers are indices in the program's lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormPlace {
    /// The list of queues.
    Queues,
    /// An instruction.
    Instr(Site),
    /// An image segment.
    Image(usize),
    /// An input.
    Input(usize),
    /// An output.
    Output(usize),
    /// A `uses` record.
    Use(usize),
}

impl fmt::Display for FormPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormPlace::Queues => write!(f, "queues"),
            FormPlace::Instr(site) => write!(f, "{}#{}", site.queue, site.index),
            FormPlace::Image(i) => write!(f, "image segment {i}"),
            FormPlace::Input(i) => write!(f, "input {i}"),
            FormPlace::Output(i) => write!(f, "output {i}"),
            FormPlace::Use(i) => write!(f, "use {i}"),
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} (form rule {})",
            self.place, self.message, self.rule
        )
    }
}

impl std::error::Error for FormError {}

/// Why one thing is refused: rule and message, the place is added outside.
type Refused = (u8, String);

/// `Err` unless `holds`.
fn require(rule: u8, holds: bool, message: impl FnOnce() -> String) -> Result<(), Refused> {
    if holds {
        Ok(())
    } else {
        Err((rule, message()))
    }
}

/// Errors as they are found.
#[derive(Default)]
struct Errors(Vec<FormError>);

impl Errors {
    fn note(&mut self, place: FormPlace, found: Result<(), Refused>) {
        if let Err((rule, message)) = found {
            self.0.push(FormError {
                rule,
                place,
                message,
            });
        }
    }
}

impl Program {
    /// Checks the rules above; errors in the order queues, image, inputs, outputs, uses.
    pub fn validate(&self) -> Result<(), Vec<FormError>> {
        let mut errors = Errors::default();
        let count = self.queues.len();
        errors.note(
            FormPlace::Queues,
            require(1, count == QUEUES, || {
                format!("expected {QUEUES} queues, found {count}")
            }),
        );
        for (queue, instrs) in QueueId::all().zip(&self.queues) {
            for (index, instr) in instrs.iter().enumerate() {
                let site = Site {
                    queue,
                    index: index as u32,
                };
                let before = index.checked_sub(1).map(|i| &instrs[i]);
                let found =
                    sequence(instr, before).and_then(|()| instr::instruction(queue.unit(), instr));
                errors.note(FormPlace::Instr(site), found);
            }
        }
        tables::image(self, &mut errors);
        tables::io(self, &mut errors);
        tables::uses(self, &mut errors);
        if errors.0.is_empty() {
            Ok(())
        } else {
            Err(errors.0)
        }
    }
}

fn sequence(instr: &Instr, before: Option<&Instr>) -> Result<(), Refused> {
    match *instr {
        Instr::Nop { n } => require(3, n >= 1, || "nop 0, expected at least 1 cycle".into()),
        Instr::Repeat { n, d } => {
            require(4, n >= 1 && d >= 1, || {
                format!("repeat {n} {d}, expected at least 1 of both")
            })?;
            match before {
                None => Err((4, "repeat without an instruction before it".into())),
                Some(Instr::Nop { .. }) => Err((4, "repeat of a nop".into())),
                Some(Instr::Repeat { .. }) => Err((4, "repeat of a repeat".into())),
                Some(_) => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;

//! The machine file: every number of the chip, with its status and source, and typed access to them.
//!
//! After loading, every number lies in the range that stands beside it below, so that no consumer divides by zero,
//! indexes outside a unit or overflows on a strange file.
//! What it may not do: compute. Delays are sums of these numbers, and each of scheduler, checker and
//! simulator forms them itself. It reads no files either: the driver does.

mod load;
mod markdown;
mod range;

pub use load::{Entry, LoadError, Status};
pub use markdown::documentation;
pub use range::Range;

/// Name, range and meaning of a number.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Field of [`Numbers`] and key in the file.
    pub name: &'static str,
    /// Values that the loader accepts.
    pub range: Range,
    /// One sentence.
    pub doc: &'static str,
}

macro_rules! numbers {
    ($($field:ident: $ty:ty, $range:expr, $doc:literal;)*) => {
        /// The numbers of one machine; each field is the entry of the same name in the data file.
        #[derive(Clone, PartialEq, Debug)]
        pub struct Numbers { $(#[doc = $doc] pub $field: $ty,)* }

        impl Numbers {
            /// Every number, in the order of the documentation.
            pub const KEYS: &'static [Key] =
                &[$(Key { name: stringify!($field), range: $range, doc: $doc }),*];

            /// Fills each field with what `get` finds for its key.
            fn read(
                get: &dyn Fn(&'static str) -> Result<serde_json::Value, LoadError>,
            ) -> Result<Numbers, LoadError> {
                Ok(Numbers { $($field: load::typed(stringify!($field), get(stringify!($field))?)?,)* })
            }

            /// The values in the order of [`Numbers::KEYS`], each in its one canonical form.
            fn values(&self) -> Vec<serde_json::Value> {
                vec![$(serde_json::json!(self.$field)),*]
            }
        }
    };
}

use Range::{Encoded, Flag, Int, List, Real};

/// A delay in cycles. Larger ones would be slips of the pen, and make the rings of checker and simulator large.
const DELAY: Range = Int(0, 255);
/// A delay of which "results appear later than they are asked for" needs at least one cycle.
const LATER: Range = Int(1, 255);

numbers! {
    clock_mhz: u32, Int(1, 65_535), "Clock of the chip in MHz.";
    superlanes: u32, Encoded(20), "Superlanes.";
    lanes_per_superlane: u32, Encoded(16), "Lanes of a superlane.";
    stagger_cycles: u32, DELAY, "Cycles from superlane 0 to the last one, added once at the very end.";
    mem_slices: u32, Encoded(44), "MEM slices per hemisphere.";
    mem_slices_per_group: u32, Encoded(4), "MEM slices between two stream-register columns.";
    mem_banks: u32, Encoded(2), "Banks per slice.";
    mem_words_per_bank: u32, Encoded(4096), "Words of 320 bytes per bank.";
    text_slices_west: Vec<u32>, List(0, 43), "Slices of the West that hold program text and nothing else.";
    text_slices_east: Vec<u32>, List(0, 43), "Slices of the East that hold program text and nothing else.";
    text_bytes_instruction: u32, Int(1, 1024), "Bytes of text per instruction.";
    text_bytes_nop_repeat: u32, Int(1, 1024), "Bytes of text per nop or repeat.";
    sr_columns: u32, Encoded(12), "Stream-register columns per hemisphere, SR_0 nearest the VXM.";
    streams_per_direction: u32, Encoded(32), "Byte streams per direction.";
    mem_read_latency: u32, LATER, "From a read's dispatch to its value on the stream register.";
    mem_write_to_read: u32, LATER, "From a write's dispatch to the first cycle in which the word may be read.";
    mem_address_step_min: i32, Int(-4096, 0), "Smallest address step.";
    mem_address_step_max: i32, Int(0, 4095), "Largest address step.";
    vxm_alus: u32, Encoded(16), "ALUs.";
    vxm_columns: u32, Encoded(4), "ALU columns of the mesh.";
    vxm_latency: u32, LATER, "From an ALU's dispatch to its result, on the next column or on SR_0.";
    vxm_latency_transcendental: u32, LATER, "The same for exp, tanh and rsqrt.";
    vxm_entry: u32, LATER, "From the entry SR_0 to the first column of the direction.";
    vxm_column_hop: u32, DELAY, "From one column to the next.";
    vxm_pass_through: u32, LATER, "From the entry SR_0 to the opposite SR_0, past the ALUs.";
    vxm_wires: u32, Encoded(8), "Wires per direction, of four streams each.";
    vxm_wires_per_row: u32, Int(1, 8), "Wires that a row's ALUs reach, from wire 2·row on.";
    vxm_large_alus: Vec<u32>, List(0, 15), "ALUs that run exp, tanh and rsqrt.";
    vxm_immediates: bool, Flag, "Whether an operand may be an immediate.";
    mxm_planes: u32, Encoded(2), "Planes per hemisphere.";
    mxm_port_delay: u32, LATER, "From SR_11 outward to the MXM port.";
    mxm_lw_streams: u32, Encoded(16), "Streams that one `lw` takes.";
    mxm_groups_i8: u32, Encoded(20), "Groups of a full int8 install.";
    mxm_groups_f16: u32, Encoded(40), "Groups of a full fp16 install.";
    mxm_iw_min_groups_i8: u32, Int(1, 20), "Fewest groups of an int8 `iw`.";
    mxm_iw_min_groups_f16: u32, Int(1, 40), "Fewest groups of an fp16 `iw`.";
    mxm_iw_to_act: u32, LATER, "From `iw` to the first activation with the new weights.";
    mxm_iw_to_lw: u32, LATER, "From `iw` to the plane's next `lw`.";
    mxm_act_to_accumulate: u32, LATER, "From `act` to the accumulate queue's instruction for it.";
    mxm_accumulate_to_result: u32, LATER, "From the accumulate queue's instruction to the result on SR_11 inward.";
    mxm_k_f16: u32, Encoded(160), "K lanes of an fp16 unit.";
    mxm_accumulator_rows: u32, Int(0, 65_535), "Rows of accumulator memory per plane; 0: none.";
    sxm_distributors: u32, Encoded(4), "Distributors per hemisphere.";
    sxm_transposers: u32, Encoded(2), "Transposers per hemisphere.";
    sxm_in: u32, DELAY, "From SR_11 outward to the SXM operation.";
    sxm_out_back: u32, LATER, "From an SXM result to SR_11 inward.";
    sxm_out_on: u32, LATER, "From an SXM result to the MXM port.";
    sxm_distribute: u32, DELAY, "Delay of `distribute`.";
    sxm_transpose: u32, DELAY, "Delay of `transpose`.";
    sxm_permute: u32, DELAY, "Delay of `permute`.";
    sxm_shift: u32, DELAY, "Delay of a shift by up to one superlane; one more for each further superlane begun.";
    barrier_cycles: u32, Int(0, 65_535), "Start barrier, reported separately.";
    host_latency_us: f64, Real(0.0, 1e6), "Host transfer: fixed microseconds each way.";
    host_gb_per_s: f64, Real(1e-3, 1e6), "Host transfer: gigabytes per second each way.";
}

/// A machine: the numbers with their sources.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `tsp-v1`, or the file's own name.
    pub name: String,
    /// The typed numbers.
    pub numbers: Numbers,
    /// Every entry with value, status and source, in file order.
    pub entries: Vec<Entry>,
    /// Hex SHA-256 over the name and one line `key=value` per number (not sources): what a program was compiled for.
    pub hash: String,
}

impl std::ops::Deref for Machine {
    type Target = Numbers;
    fn deref(&self) -> &Numbers {
        &self.numbers
    }
}

//! Every unary operation and every conversion from 32 bits on all 2^32 inputs, against `tests/reference`.
//!
//! `cargo run --release -p tspc-num --example exhaustive [WORD…]` runs the sweeps whose names contain every word.
//! Each line gives name, inputs that disagree, and a checksum of the results, which is the same on every host.

#[path = "../tests/reference/mod.rs"]
mod reference;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tspc_num::{Type, UnaryOp, convert_lanes, unary_lanes};

/// The library's operation, on lanes.
type Run = Box<dyn Fn(&mut [u32]) + Sync>;
/// Whether a result, the second, is right for an input.
type IsRight = Box<dyn Fn(u32, u32) -> bool + Sync>;

struct Sweep {
    name: String,
    run: Run,
    is_right: IsRight,
}

fn sweeps() -> Vec<Sweep> {
    let unary = |op: UnaryOp, ty: Type, is_right: IsRight| Sweep {
        name: format!("{op:?} {}", ty.name()).to_lowercase(),
        run: Box::new(move |lanes| assert!(unary_lanes(op, ty, lanes), "the operation exists")),
        is_right,
    };
    let wide = |x: u32| f64::from(f32::from_bits(x));
    let mut all = vec![
        unary(
            UnaryOp::Neg,
            Type::F32,
            Box::new(|x, y| y == reference::neg_f32(x)),
        ),
        unary(
            UnaryOp::Abs,
            Type::F32,
            Box::new(|x, y| y == reference::abs_f32(x)),
        ),
        unary(
            UnaryOp::Relu,
            Type::F32,
            Box::new(|x, y| y == reference::relu_f32(x)),
        ),
        unary(UnaryOp::Rsqrt, Type::F32, Box::new(reference::is_rsqrt)),
        unary(
            UnaryOp::Exp,
            Type::F32,
            Box::new(move |x, y| reference::is_near(reference::exp(wide(x)), y)),
        ),
        unary(
            UnaryOp::Tanh,
            Type::F32,
            Box::new(move |x, y| reference::is_near(reference::tanh(wide(x)), y)),
        ),
    ];
    let int = |x: u32| i64::from(x as i32);
    all.push(unary(
        UnaryOp::Neg,
        Type::I32,
        Box::new(move |x, y| y == -int(x) as u32),
    ));
    all.push(unary(
        UnaryOp::Abs,
        Type::I32,
        Box::new(move |x, y| y == int(x).unsigned_abs() as u32),
    ));
    all.push(unary(
        UnaryOp::Relu,
        Type::I32,
        Box::new(move |x, y| y == int(x).max(0) as u32),
    ));
    for from in [Type::I32, Type::F32] {
        for to in Type::ALL {
            all.push(Sweep {
                name: format!("cvt {} {}", from.name(), to.name()),
                run: Box::new(move |lanes| convert_lanes(lanes, from, to)),
                is_right: Box::new(move |x, y| y == reference::convert(x, from, to)),
            });
        }
    }
    all
}

/// What one upper half of the input gave.
#[derive(Clone, Copy)]
struct Part {
    wrong: u32,
    /// The first wrong input and its result.
    example: Option<(u32, u32)>,
    checksum: u64,
}

fn part(sweep: &Sweep, upper: u32) -> Part {
    let mut lanes: Vec<u32> = (0..=0xFFFF).map(|lower| upper << 16 | lower).collect();
    (sweep.run)(&mut lanes);
    let mut part = Part {
        wrong: 0,
        example: None,
        checksum: START,
    };
    for (lower, result) in lanes.into_iter().enumerate() {
        let input = upper << 16 | lower as u32;
        part.checksum = mix(part.checksum, result.into());
        if !(sweep.is_right)(input, result) {
            part.wrong += 1;
            part.example = part.example.or(Some((input, result)));
        }
    }
    part
}

/// FNV-1a, a word at a time.
const START: u64 = 0xCBF2_9CE4_8422_2325;

fn mix(sum: u64, word: u64) -> u64 {
    (sum ^ word).wrapping_mul(0x0100_0000_01B3)
}

fn all_inputs(sweep: &Sweep) -> Vec<Part> {
    let next = AtomicU32::new(0);
    let worker = || {
        let mut parts = Vec::new();
        loop {
            let upper = next.fetch_add(1, Ordering::Relaxed);
            if upper > 0xFFFF {
                return parts;
            }
            parts.push((upper, part(sweep, upper)));
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut parts: Vec<(u32, Part)> = thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        handles
            .into_iter()
            .flat_map(|h| h.join().expect("a worker panicked"))
            .collect()
    });
    // The checksum is over the inputs in order, whoever did them.
    parts.sort_by_key(|(upper, _)| *upper);
    parts.into_iter().map(|(_, part)| part).collect()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut failed = false;
    for sweep in sweeps() {
        if !words.iter().all(|word| sweep.name.contains(word.as_str())) {
            continue;
        }
        let parts = all_inputs(&sweep);
        let wrong: u64 = parts.iter().map(|p| u64::from(p.wrong)).sum();
        let checksum = parts.iter().fold(START, |sum, p| mix(sum, p.checksum));
        println!("{:<12} {wrong:>10} wrong  {checksum:016x}", sweep.name);
        if let Some((input, result)) = parts.iter().find_map(|p| p.example) {
            println!("  the first: {input:#010x} gives {result:#010x}");
            failed = true;
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

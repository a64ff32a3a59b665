//! The library in twenty lines: a model with seeded weights to a checked program, and tokens through the simulator.
//!
//! `cargo run --release --example embed`

use tspc::bert::{Model, host};
use tspc::compiler::{self, PASSES, Request, Silent};
use tspc::machine::Machine;
use tspc::passes::Precision;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machine = Machine::tsp_v1();
    let model = Model::open("bert-tiny", 1)?;
    // Static int8 scales come from the ranges that some inputs have in fp32.
    let texts = compiler::calibration_ids(&model, None, 1)?;
    let ranges = compiler::calibrated(&model, &texts, &mut Silent)?;
    let request = Request {
        model: &model,
        seq_len: 16,
        precision: Precision::parse("int8").map_err(|d| d.to_string())?,
        ranges: Some(ranges),
        machine: &machine,
        passes: PASSES,
    };
    let compiled = compiler::compile(&request, &mut Silent)?;
    let ids = [101, 7592, 2088, 102];
    let run = compiler::infer(&model, &compiled.program, &machine, &ids, &mut |_, _| {})
        .map_err(|stopped| stopped.to_string())?;
    let embedding = host::pool(&run.hidden, model.config.hidden, ids.len());
    println!(
        "{} cycles, embedding {:?} …",
        run.outcome.cycles,
        &embedding[..4]
    );
    Ok(())
}

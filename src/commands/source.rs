//! The module that the e-graph takes, from a file or from a model, and how the pass is set: shared by the commands
//! that look into it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::model::ModelArgs;
use crate::cli::Failure;
use crate::files;
use crate::ir::{ConstPool, Module, stage, text};
use crate::machine::Machine;
use crate::passes::Pipeline;
use crate::passes::egraph::decode::pipelines::Room;
use crate::passes::egraph::saturate::Settings;
use crate::passes::egraph::{PASS, configure};

/// What the e-graph takes.
#[derive(Args)]
pub struct Source {
    /// IR text as the pass egraph takes it (quantised `tensor`); `-` is standard input
    #[arg(conflicts_with_all = ["model", "seq_len", "calibrate", "seed", "precision"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    from: From,
}

/// The same but for the file, for commands that take it among other words.
#[derive(Args)]
pub struct From {
    /// Side file with the constants that the text only names
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    constants: Option<PathBuf>,
    /// Hugging Face folder, preset (bert-base, bert-tiny, …) or geometry (L=2,H=128,heads=2,ffn=512), which the
    /// passes before egraph prepare
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    #[command(flatten)]
    how: ModelArgs,
    /// Tokens that the program takes; 128, or all that the model has positions for if fewer
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
}

impl Source {
    /// All but the file.
    pub fn from(&self) -> &From {
        &self.from
    }

    /// Whether a module or model is named at all.
    pub fn given(&self) -> bool {
        self.file.is_some() || self.from.model()
    }

    /// The module.
    pub fn module(&self, machine: &Machine) -> Result<Module, Failure> {
        self.from.module(self.file.as_deref(), machine)
    }

    /// How the pass is set.
    pub fn settings(&self, machine: &Machine) -> Result<Settings, Failure> {
        Ok(self.from.configured(machine)?.0)
    }
}

impl From {
    /// Whether a model is named.
    pub fn model(&self) -> bool {
        self.model.is_some()
    }

    /// The seed of a model without weights, and of random inputs.
    pub fn seed(&self) -> u64 {
        self.how.seed
    }

    /// The module, from this file if no model is named.
    pub fn module(&self, file: Option<&Path>, machine: &Machine) -> Result<Module, Failure> {
        let Some(name) = &self.model else {
            return self.read(file);
        };
        let model = self.how.open(name)?;
        let seq_len = ModelArgs::seq_len(&model, self.seq_len)?;
        let pipeline = self.pipeline()?;
        let (before, _) = pipeline.before(PASS.name).ok_or_else(without)?;
        self.how.prepare(&model, seq_len, machine, &before)
    }

    /// Of a file, or of nothing.
    fn read(&self, file: Option<&Path>) -> Result<Module, Failure> {
        let file = file.ok_or_else(|| "a file or a model is needed".to_string())?;
        let source = files::read_text(file)?;
        let side = match &self.constants {
            Some(path) => ConstPool::read_side_file(&files::read(path)?)
                .map_err(|e| format!("{}: {e}", path.display()))?,
            None => ConstPool::default(),
        };
        let name = file.display().to_string();
        let module = text::parse(&name, &source, &side).map_err(|d| vec![d])?;
        stage::legal(&module, PASS.stage_in)?;
        Ok(module)
    }

    /// How the pass is set, and the room of a pipeline.
    pub fn configured(&self, machine: &Machine) -> Result<(Settings, Room), Failure> {
        let pipeline = self.pipeline()?;
        let (_, options) = pipeline.before(PASS.name).ok_or_else(without)?;
        Ok(configure(machine, options).map_err(|d| vec![d])?)
    }

    fn pipeline(&self) -> Result<Pipeline, Failure> {
        Ok(Pipeline::parse(&self.how.pass_pipeline).map_err(|d| vec![d])?)
    }
}

fn without() -> Failure {
    Failure::from(format!("the passes should include {}", PASS.name))
}

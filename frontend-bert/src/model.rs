//! A model as the `--model` option names it: a folder, a preset or a geometry.

use crate::{Config, Error, Tokenizer, Weights};
use std::path::Path;

/// Geometry, tensors and, of a folder, the tokenizer.
#[derive(Clone, Debug)]
pub struct Model {
    /// The geometry.
    pub config: Config,
    /// The tensors.
    pub weights: Weights,
    /// From text to ids; `None` for random weights, which have no words.
    pub tokenizer: Option<Tokenizer>,
}

impl Model {
    /// A Hugging Face folder, or [`Config::from_spec`] with random weights of this seed.
    pub fn open(name: &str, seed: u64) -> Result<Model, Error> {
        let path = Path::new(name);
        if path.is_dir() {
            return Model::from_dir(path);
        }
        let config = Config::from_spec(name)?;
        let weights = Weights::random(&config, seed);
        Ok(Model {
            config,
            weights,
            tokenizer: None,
        })
    }

    /// Reads `config.json`, `model.safetensors` and the tokenizer of a folder.
    pub fn from_dir(dir: &Path) -> Result<Model, Error> {
        let config = Config::from_file(&dir.join("config.json"))?;
        let file = dir.join("model.safetensors");
        for other in ["model.safetensors.index.json", "pytorch_model.bin"] {
            if !file.exists() && dir.join(other).exists() {
                let message = format!(
                    "the folder has {other} but no model.safetensors; save it as one safetensors file"
                );
                return Err(Error::file(dir, message));
            }
        }
        let tokenizer = Tokenizer::from_dir(dir, &config)?;
        let weights = Weights::from_file(&file, &config)?;
        Ok(Model {
            config,
            weights,
            tokenizer: Some(tokenizer),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_geometry_gives_a_model_without_words() {
        let spec = "L=1,H=32,heads=2,ffn=32,vocab=9,max_positions=8";
        let model = Model::open(spec, 5).unwrap();
        assert!(model.tokenizer.is_none());
        assert!(model.weights == Model::open(spec, 5).unwrap().weights);
        assert!(model.weights != Model::open(spec, 6).unwrap().weights);
        assert!(Model::open("nowhere", 0).is_err());
    }

    #[test]
    fn a_folder_without_safetensors_says_what_it_has() {
        let dir = std::env::temp_dir().join(format!("tspc-model-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let error = |dir: &Path| Model::from_dir(dir).unwrap_err().to_string();
        assert!(error(&dir).contains("config.json: "));
        let config = r#"{"hidden_act": "gelu", "hidden_size": 32, "intermediate_size": 32, "layer_norm_eps": 1e-12,
            "max_position_embeddings": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "type_vocab_size": 2,
            "vocab_size": 9}"#;
        std::fs::write(dir.join("config.json"), config).unwrap();
        std::fs::write(dir.join("pytorch_model.bin"), "").unwrap();
        assert!(error(&dir).contains("has pytorch_model.bin but no model.safetensors"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

//! Golden data: sentences with the ids and outputs of an independent implementation, see `golden/README.md`.

use crate::Error;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;

/// Golden data of a model, sentence by sentence.
#[derive(Clone, PartialEq, Debug)]
pub struct Golden {
    /// The sentences.
    pub sentences: Vec<Sentence>,
}

/// One sentence and what is known of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Sentence {
    /// The text.
    pub text: String,
    /// Its tokens, `[CLS]` and `[SEP]` included.
    pub ids: Vec<u32>,
    /// Mean over the tokens, normalised to length 1: [hidden].
    pub pooled: Vec<f32>,
    /// The last hidden states, rounded to fp16: [ids, hidden].
    pub hidden: Vec<f32>,
}

impl Golden {
    /// Reads `minilm.safetensors` and `sentences.txt` of a folder.
    pub fn from_dir(dir: &Path) -> Result<Golden, Error> {
        let (data, texts) = (dir.join("minilm.safetensors"), dir.join("sentences.txt"));
        let bytes = std::fs::read(&data).map_err(|e| Error::file(&data, e))?;
        let texts = std::fs::read_to_string(&texts).map_err(|e| Error::file(&texts, e))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| Error::file(&data, e))?;
        let refuse =
            |name: &str, what: &str| Error::new(format!("{}: {name}", data.display()), what);
        let tensor = |name: &str, dtype| {
            let view = file
                .tensor(name)
                .map_err(|e| refuse(name, &e.to_string()))?;
            let right = view.dtype() == dtype && view.shape().last().is_some_and(|&n| n > 0);
            let width = view.shape().last().copied().unwrap_or(0);
            if right {
                Ok((view, width))
            } else {
                Err(refuse(name, &format!("should be {dtype}")))
            }
        };
        let words = |name: &str, dtype| {
            let (view, width) = tensor(name, dtype)?;
            let words: Vec<[u8; 4]> = view.data().as_chunks::<4>().0.to_vec();
            Ok((words, width))
        };
        let (ids, places) = words("input_ids", Dtype::I32)?;
        let (counts, _) = words("n_tokens", Dtype::I32)?;
        let (pooled, width) = words("pooled", Dtype::F32)?;
        let (hidden, _) = tensor("hidden_valid_f16", Dtype::F16)?;
        let mut hidden = hidden.data().chunks_exact(2 * width);
        let mut sentences = Vec::new();
        let rows = ids.chunks_exact(places).zip(pooled.chunks_exact(width));
        for ((text, (ids, pooled)), count) in texts.lines().zip(rows).zip(counts) {
            let count = u32::from_le_bytes(count) as usize;
            let rows: Vec<&[u8]> = hidden.by_ref().take(count).collect();
            if count > places || rows.len() < count {
                return Err(refuse(
                    "n_tokens",
                    "more tokens than places or hidden states",
                ));
            }
            let halves = rows.iter().flat_map(|row| row.as_chunks::<2>().0);
            sentences.push(Sentence {
                text: text.to_string(),
                ids: ids[..count]
                    .iter()
                    .copied()
                    .map(u32::from_le_bytes)
                    .collect(),
                pooled: pooled.iter().copied().map(f32::from_le_bytes).collect(),
                hidden: halves
                    .map(|&b| half::f16::from_le_bytes(b).to_f32())
                    .collect(),
            });
        }
        if sentences.len() != texts.lines().count() || hidden.next().is_some() {
            return Err(refuse(
                "pooled",
                "sentences.txt has another number of sentences",
            ));
        }
        Ok(Golden { sentences })
    }
}

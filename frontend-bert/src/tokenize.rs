//! From text to token ids, by the model's own vocabulary.
//!
//! Before: `tokenizer.json` or `vocab.txt` beside the weights. After: ids are `[CLS] … [SEP]`, below the vocabulary's
//! size, and not longer than the position table. Truncation and padding that the file asks for are switched off:
//! a text that does not fit is an error, and padding is decided by the compiled sequence length.

use crate::{Config, Error};
use std::path::Path;
use tokenizers::{
    models::wordpiece::WordPiece, normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer, processors::bert::BertProcessing,
};

/// Sequence lengths that programs are compiled for.
pub const SEQ_LENS: [usize; 7] = [16, 32, 64, 128, 256, 384, 512];

/// The smallest of [`SEQ_LENS`] that holds this many tokens; at most the position table, whatever its size.
pub fn seq_len(longest: usize, config: &Config) -> Result<usize, Error> {
    let most = config.max_positions.min(SEQ_LENS[SEQ_LENS.len() - 1]);
    let fitting = SEQ_LENS
        .into_iter()
        .find(|&len| len >= longest)
        .filter(|_| longest <= most);
    let len = fitting.ok_or_else(|| {
        Error::new(
            "sequence length",
            format!("{longest} tokens, at most {most} fit"),
        )
    })?;
    Ok(len.min(most))
}

/// A model's tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocab: usize,
    max_tokens: usize,
}

impl Tokenizer {
    /// From `tokenizer.json` of a model's folder, else from its `vocab.txt`.
    pub fn from_dir(dir: &Path, config: &Config) -> Result<Tokenizer, Error> {
        let (json, vocab) = (dir.join("tokenizer.json"), dir.join("vocab.txt"));
        if json.exists() {
            Tokenizer::from_json(&json, config)
        } else if vocab.exists() {
            Tokenizer::from_vocab(&vocab, lower_case(dir)?, config)
        } else {
            Err(Error::file(
                dir,
                "the folder has neither tokenizer.json nor vocab.txt",
            ))
        }
    }

    /// From a `tokenizer.json`.
    pub fn from_json(path: &Path, config: &Config) -> Result<Tokenizer, Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| Error::file(path, e))?;
        Tokenizer::checked(inner, path, config)
    }

    /// BERT's WordPiece over a `vocab.txt`, one token a line.
    pub fn from_vocab(path: &Path, lower_case: bool, config: &Config) -> Result<Tokenizer, Error> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        let words = WordPiece::read_bytes(&bytes).map_err(|e| Error::file(path, e))?;
        let id = |token: &str| match words.get(token) {
            Some(&id) => Ok((token.to_string(), id)),
            None => Err(Error::file(path, format!("the token {token} is missing"))),
        };
        let (sep, cls) = (id("[SEP]")?, id("[CLS]")?);
        id("[UNK]")?;
        let model = WordPiece::builder()
            .vocab(words)
            .build()
            .map_err(|e| Error::file(path, e))?;
        let mut inner = tokenizers::Tokenizer::new(model);
        inner
            .with_normalizer(Some(BertNormalizer::new(true, true, None, lower_case)))
            .map_err(|e| Error::file(path, e))?;
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        inner.with_post_processor(Some(BertProcessing::new(sep, cls)));
        Tokenizer::checked(inner, path, config)
    }

    fn checked(
        mut inner: tokenizers::Tokenizer,
        path: &Path,
        config: &Config,
    ) -> Result<Tokenizer, Error> {
        inner
            .with_truncation(None)
            .map_err(|e| Error::file(path, e))?;
        inner.with_padding(None);
        let found = inner.get_vocab_size(true);
        if found > config.vocab {
            let message = format!(
                "{found} tokens, but vocab_size is {} in config.json",
                config.vocab
            );
            return Err(Error::file(path, message));
        }
        Ok(Tokenizer {
            inner,
            vocab: config.vocab,
            max_tokens: config.max_positions,
        })
    }

    /// The ids of a text, `[CLS]` and `[SEP]` included.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let refuse = |message: String| Error::new(format!("text \"{}\"", beginning(text)), message);
        let encoding = self
            .inner
            .encode_fast(text, true)
            .map_err(|e| refuse(e.to_string()))?;
        let ids = encoding.get_ids().to_vec();
        if ids.len() > self.max_tokens {
            return Err(refuse(format!(
                "{} tokens, the model takes {}",
                ids.len(),
                self.max_tokens
            )));
        }
        match ids.iter().find(|&&id| id as usize >= self.vocab) {
            Some(id) => Err(refuse(format!(
                "token {id} is beyond the word table of {}",
                self.vocab
            ))),
            None => Ok(ids),
        }
    }
}

/// Whether `tokenizer_config.json` keeps capitals; without it they are folded, as in the original BERT.
fn lower_case(dir: &Path) -> Result<bool, Error> {
    let path = dir.join("tokenizer_config.json");
    if !path.exists() {
        return Ok(true);
    }
    let text = std::fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
    let object: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| Error::file(&path, e))?;
    Ok(object
        .get("do_lower_case")
        .and_then(serde_json::Value::as_bool)
        .unwrap_or(true))
}

/// The first words of a text, to name it.
fn beginning(text: &str) -> String {
    const CHARS: usize = 40;
    let mut start: String = text.chars().take(CHARS).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::from_spec("L=1,H=32,heads=2,ffn=32,vocab=9,max_positions=8").unwrap()
    }

    /// A folder of its own, removed at the end.
    struct Dir(std::path::PathBuf);

    impl Dir {
        fn new(name: &str, files: &[(&str, &str)]) -> Dir {
            let path =
                std::env::temp_dir().join(format!("tspc-tokenize-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            for (file, text) in files {
                std::fs::write(path.join(file), text).unwrap();
            }
            Dir(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\ncat\n##s\n!\nCat\n";

    #[test]
    fn wordpiece_splits_folds_and_frames() {
        let dir = Dir::new("fold", &[("vocab.txt", VOCAB)]);
        let tokenizer = Tokenizer::from_dir(&dir.0, &config()).unwrap();
        assert_eq!(tokenizer.encode("The Cats!").unwrap(), [2, 4, 5, 6, 7, 3]);
        assert_eq!(tokenizer.encode("dog").unwrap(), [2, 1, 3]);
        assert_eq!(tokenizer.encode("").unwrap(), [2, 3]);
        let error = tokenizer.encode("the the the the the the the").unwrap_err();
        assert_eq!(
            error.to_string(),
            "text \"the the the the the the the\": 9 tokens, the model takes 8"
        );
    }

    #[test]
    fn capitals_are_kept_if_the_model_says_so() {
        let cased = ("tokenizer_config.json", "{\"do_lower_case\": false}");
        let dir = Dir::new("cased", &[("vocab.txt", VOCAB), cased]);
        let tokenizer = Tokenizer::from_dir(&dir.0, &config()).unwrap();
        assert_eq!(tokenizer.encode("Cats cat").unwrap(), [2, 8, 6, 5, 3]);
    }

    #[test]
    fn truncation_and_padding_of_the_file_are_overridden() {
        let vocab = Dir::new("from", &[("vocab.txt", VOCAB)]);
        let mut inner = Tokenizer::from_dir(&vocab.0, &config()).unwrap().inner;
        inner
            .with_truncation(Some(tokenizers::TruncationParams {
                max_length: 3,
                ..Default::default()
            }))
            .unwrap();
        inner.with_padding(Some(tokenizers::PaddingParams {
            strategy: tokenizers::PaddingStrategy::Fixed(7),
            ..Default::default()
        }));
        let json = inner.to_string(false).unwrap();
        let dir = Dir::new("json", &[("tokenizer.json", &json)]);
        let tokenizer = Tokenizer::from_dir(&dir.0, &config()).unwrap();
        assert_eq!(tokenizer.encode("the the the").unwrap(), [2, 4, 4, 4, 3]);
        assert_eq!(tokenizer.encode("the").unwrap(), [2, 4, 3]);
    }

    #[test]
    fn errors_name_the_file_and_what_is_missing() {
        let none = Dir::new("none", &[]);
        let error = |dir: &Dir| {
            Tokenizer::from_dir(&dir.0, &config())
                .unwrap_err()
                .to_string()
        };
        assert!(error(&none).ends_with("the folder has neither tokenizer.json nor vocab.txt"));
        for token in ["[CLS]", "[SEP]", "[UNK]"] {
            let dir = Dir::new("token", &[("vocab.txt", &VOCAB.replace(token, "x"))]);
            assert!(error(&dir).ends_with(&format!("vocab.txt: the token {token} is missing")));
        }
        let large = Dir::new("large", &[("vocab.txt", &format!("{VOCAB}more\n"))]);
        assert!(
            error(&large).ends_with("vocab.txt: 10 tokens, but vocab_size is 9 in config.json")
        );
        let broken = Dir::new("broken", &[("tokenizer.json", "{}")]);
        assert!(error(&broken).contains("tokenizer.json: "));
    }

    #[test]
    fn the_sequence_length_is_the_smallest_that_fits() {
        let config = Config::from_spec("minilm-l6").unwrap();
        let cases = [
            (1, 16),
            (16, 16),
            (17, 32),
            (65, 128),
            (129, 256),
            (257, 384),
            (385, 512),
            (512, 512),
        ];
        for (longest, len) in cases {
            assert_eq!(seq_len(longest, &config).unwrap(), len);
        }
        let error = seq_len(513, &config).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sequence length: 513 tokens, at most 512 fit"
        );
        let short = Config {
            max_positions: 100,
            ..config
        };
        assert_eq!(seq_len(65, &short).unwrap(), 100);
        assert!(seq_len(101, &short).is_err());
    }
}

//! What the host computes around the chip: the embedding sum before, pooling and similarities after.
//!
//! The word table stays on the host (a gather of a few rows); the chip gets [seq_len, hidden] fp32 numbers.
//! Everything here is deterministic. What it may not know: the encoder.

use crate::{Config, Error, Weights};

/// What the mask adds to the scores of a pad token: after the row maximum is subtracted, its exp is 0.
pub const MASKED: f32 = -10_000.0;

/// The sum of word, position and type embeddings, [seq_len, hidden]; places after the text hold the pad token.
///
/// An error if the text is empty, longer than `seq_len`, or has an id beyond the word table.
pub fn embed(
    config: &Config,
    weights: &Weights,
    ids: &[u32],
    seq_len: usize,
) -> Result<Vec<f32>, Error> {
    let refuse = |message: String| Err(Error::new("input", message));
    if ids.is_empty() || ids.len() > seq_len {
        return refuse(format!("{} tokens, should be 1 to {seq_len}", ids.len()));
    }
    if seq_len > config.max_positions {
        return refuse(format!(
            "sequence length {seq_len}, the model has {} positions",
            config.max_positions
        ));
    }
    let h = config.hidden;
    let mut sum = Vec::with_capacity(seq_len * h);
    let padded = ids
        .iter()
        .copied()
        .chain(std::iter::repeat(config.pad_token));
    for (position, id) in padded.take(seq_len).enumerate() {
        let Some(word) = row(&weights.word_table, id as usize, h) else {
            return refuse(format!(
                "token {id} is beyond the word table of {}",
                config.vocab
            ));
        };
        let (place, kind) = (
            row(&weights.position_table, position, h),
            row(&weights.type_table, 0, h),
        );
        let (Some(place), Some(kind)) = (place, kind) else {
            return refuse(format!("position {position} is beyond the position table"));
        };
        // In the order of the original: (word + type) + position.
        sum.extend(
            word.iter()
                .zip(kind)
                .zip(place)
                .map(|((w, t), p)| w + t + p),
        );
    }
    Ok(sum)
}

fn row(table: &[f32], index: usize, width: usize) -> Option<&[f32]> {
    table.get(index * width..(index + 1) * width)
}

/// The additive attention mask of a text: 0 for its tokens, [`MASKED`] for the padding.
pub fn mask(tokens: usize, seq_len: usize) -> Vec<f32> {
    (0..seq_len)
        .map(|i| if i < tokens { 0.0 } else { MASKED })
        .collect()
}

/// The mean of the first `tokens` rows of the last hidden states, normalised to length 1: a sentence's embedding.
pub fn pool(hidden: &[f32], width: usize, tokens: usize) -> Vec<f32> {
    let mut sum = vec![0.0f64; width];
    for row in hidden.chunks_exact(width.max(1)).take(tokens) {
        sum.iter_mut()
            .zip(row)
            .for_each(|(s, &x)| *s += f64::from(x));
    }
    let mean: Vec<f32> = sum
        .iter()
        .map(|s| (s / tokens.max(1) as f64) as f32)
        .collect();
    normalize(&mean)
}

/// The vector scaled to length 1; a zero vector stays zero.
pub fn normalize(x: &[f32]) -> Vec<f32> {
    let length = dot(x, x).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    x.iter().map(|&v| (f64::from(v) * scale) as f32).collect()
}

/// The cosine of the angle between two vectors; 0 if one of them is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}

/// The cosines of all pairs, row by row.
pub fn similarities(vectors: &[Vec<f32>]) -> Vec<Vec<f64>> {
    let line = |a: &Vec<f32>| vectors.iter().map(|b| cosine(a, b)).collect();
    vectors.iter().map(line).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&x, &y)| f64::from(x) * f64::from(y))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_summed_for_every_place() {
        let config = Config::from_spec("L=1,H=32,heads=2,ffn=32,vocab=9,max_positions=8").unwrap();
        let weights = Weights::random(&config, 1);
        let x = embed(&config, &weights, &[5, 2], 4).unwrap();
        assert_eq!(x.len(), 4 * 32);
        for (place, id) in [(0, 5), (1, 2), (2, 0), (3, 0)] {
            let want = weights.word_table[id * 32 + 7]
                + weights.type_table[7]
                + weights.position_table[place * 32 + 7];
            assert_eq!(x[place * 32 + 7], want);
        }
    }

    #[test]
    fn inputs_that_do_not_fit_are_refused() {
        let config = Config::from_spec("L=1,H=32,heads=2,ffn=32,vocab=9,max_positions=8").unwrap();
        let weights = Weights::random(&config, 1);
        let error = |ids: &[u32], len| embed(&config, &weights, ids, len).unwrap_err().to_string();
        assert_eq!(error(&[], 4), "input: 0 tokens, should be 1 to 4");
        assert_eq!(error(&[1; 5], 4), "input: 5 tokens, should be 1 to 4");
        assert_eq!(
            error(&[1; 5], 9),
            "input: sequence length 9, the model has 8 positions"
        );
        assert_eq!(
            error(&[9], 4),
            "input: token 9 is beyond the word table of 9"
        );
    }

    #[test]
    fn pooling_counts_valid_tokens_only() {
        let hidden = [1.0, 2.0, 5.0, 6.0, 100.0, -100.0];
        assert_eq!(pool(&hidden, 2, 2), [0.6, 0.8]);
        assert_eq!(normalize(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn cosines() {
        assert_eq!(cosine(&[2.0, 0.0], &[0.0, 3.0]), 0.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 0.0]), 0.0);
        assert!((cosine(&[1.0, 1.0], &[1.0, 0.0]) - 0.5f64.sqrt()).abs() < 1e-12);
        let matrix = similarities(&[vec![1.0, 0.0], vec![-2.0, 0.0]]);
        assert_eq!(matrix, [[1.0, -1.0], [-1.0, 1.0]]);
    }

    #[test]
    fn the_mask_hides_padding() {
        assert_eq!(mask(2, 4), [0.0, 0.0, MASKED, MASKED]);
    }
}

//! Seeded random weights, byte-identical on every machine.
//!
//! Every tensor has its own generator, seeded by its name, so its values depend neither on the order of reading nor
//! on the other tensors. Random weights show no outliers: they exercise the compiler and say nothing of accuracy.

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator with this seed.
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The generator of a named tensor: the name enters by FNV-1a.
    pub fn named(seed: u64, name: &str) -> SplitMix64 {
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325, |h: u64, byte| {
            (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        SplitMix64(seed ^ hash)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Nearly normal, mean 0 (up to 1e-4), variance 1: the sum of twelve uniform 16-bit numbers less its middle.
    /// Whole numbers until the last step, so there is no rounding that could differ.
    pub fn normal(&mut self) -> f32 {
        let mut sum = 0i32;
        for _ in 0..3 {
            let bits = self.next_u64();
            sum += (0..4)
                .map(|i| (bits >> (16 * i) & 0xFFFF) as i32)
                .sum::<i32>();
        }
        (sum - 6 * 65_536) as f32 / 65_536.0
    }
}

/// BERT's initial standard deviation (`initializer_range`).
const DEVIATION: f32 = 0.02;

/// The values of the tensor `name`: normal with deviation 0.02, around 1 for the scale of a LayerNorm, else around 0.
/// Unlike BERT's own initial values, biases and LayerNorms vary too, so that a dropped one shows.
pub fn tensor(seed: u64, name: &str, elements: usize) -> Vec<f32> {
    let mut random = SplitMix64::named(seed, name);
    let middle = if name.ends_with("LayerNorm.weight") {
        1.0
    } else {
        0.0
    };
    (0..elements)
        .map(|_| middle + DEVIATION * random.normal())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first outputs of the reference implementation for seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        let first = [random.next_u64(), random.next_u64(), random.next_u64()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn values_are_normal_and_depend_on_seed_and_name_only() {
        let x = tensor(1, "a.weight", 100_000);
        let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / 1e5;
        let variance = x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 3e-4, "{mean}");
        assert!((variance.sqrt() - 0.02).abs() < 2e-4, "{variance}");
        assert_eq!(x[..10], tensor(1, "a.weight", 10));
        assert_ne!(x[..10], tensor(2, "a.weight", 10));
        assert_ne!(x[..10], tensor(1, "b.weight", 10));
        let norm = tensor(1, "a.LayerNorm.weight", 10);
        assert!(norm.iter().all(|v| (v - 1.0).abs() < 0.12));
    }

    /// Pinned bits: a change here changes every program compiled from a geometry.
    #[test]
    fn bits_are_pinned() {
        let bits: Vec<u32> = tensor(0, "encoder.layer.0.output.dense.bias", 4)
            .iter()
            .map(|x| x.to_bits())
            .collect();
        assert_eq!(
            bits,
            [1_003_474_124, 1_019_579_105, 3_147_770_102, 1_010_714_869]
        );
    }
}

//! A small deterministic generator (SplitMix64): the same numbers on every machine, integers only.

/// A stream of pseudo-random numbers. Two streams with different names are independent of each other.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

/// One step of SplitMix64's output function; also used to mix the names of a stream.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The stream of `seed` with this name; every part of the name matters, and so does their order.
    pub fn stream(seed: u64, name: &[u64]) -> Random {
        let state = name.iter().fold(mix(seed.wrapping_add(GOLDEN_GAMMA)), |state, part| {
            mix(state.wrapping_add(GOLDEN_GAMMA) ^ mix(part.wrapping_add(GOLDEN_GAMMA)))
        });
        Random { state }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// A number in `0..bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high.abs_diff(low) + 1) as i64
    }

    /// True `ppm` times in a million.
    pub fn chance(&mut self, ppm: u64) -> bool {
        self.below(1_000_000) < ppm
    }

    /// Bell-shaped around 0, never beyond twice `spread`: the sum of four uniform numbers.
    pub fn noise(&mut self, spread: i64) -> i64 {
        (0..4).map(|_| self.between(-spread, spread)).sum::<i64>() / 2
    }

    /// A number in `low..=high` that is as likely in each octave: small ones are common, large ones happen.
    pub fn between_octaves(&mut self, low: i64, high: i64) -> i64 {
        let octaves = (high / low.max(1)).max(1).ilog2() as i64;
        let floor = low << self.between(0, octaves);
        self.between(floor, floor * 2).min(high)
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_published_ones_of_split_mix_64() {
        // First outputs for seed 1234567, as in the reference implementation's test vector.
        let mut random = Random { state: 1_234_567 };
        assert_eq!(
            [random.next(), random.next(), random.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn streams_differ_by_seed_name_and_order_of_the_name() {
        let first = |seed, name: &[u64]| Random::stream(seed, name).next();
        let all = [first(1, &[2, 3]), first(1, &[3, 2]), first(2, &[2, 3]), first(1, &[2]), first(1, &[])];
        for (index, number) in all.iter().enumerate() {
            assert!(!all[..index].contains(number));
        }
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random::stream(7, &[]);
        for _ in 0..10_000 {
            assert!((3..=9).contains(&random.between(3, 9)));
            assert!((-20..=20).contains(&random.noise(10)));
            assert!((100..=30_000).contains(&random.between_octaves(100, 30_000)));
        }
        assert_eq!(random.below(0), 0);
        assert_eq!(random.between(5, 5), 5);
    }
}

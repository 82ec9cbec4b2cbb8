//! Description, bullets and reviews of a synthetic product: readable sentences, the same ones every day.

use super::catalog::{ENDINGS, MIDDLES, OPENINGS};
use super::fact::Profile;
use super::random::Random;

/// Names of the prose streams, so that one text's length does not change another.
const BULLETS: u64 = 2_000;
const FILLING: u64 = 3_000;

fn sentence(random: &mut Random) -> String {
    format!("{} {} {}", random.pick(&OPENINGS), random.pick(&MIDDLES), random.pick(&ENDINGS))
}

/// About `bytes` bytes of sentences, never less than one.
fn paragraph(random: &mut Random, bytes: usize) -> String {
    let mut text = sentence(random);
    while text.len() < bytes {
        text.push(' ');
        text.push_str(&sentence(random));
    }
    text
}

/// The listing's bullets.
pub(super) fn bullets(profile: &Profile, revision: u8) -> Vec<String> {
    let mut random = Random::stream(profile.prose, &[BULLETS, u64::from(revision)]);
    let traits = &profile.category.traits;
    let first = random.below(traits.len() as u64) as usize;
    let labels = traits.iter().cycle().skip(first).take(5);
    labels.map(|label| format!("{label}: {}", sentence(&mut random))).collect()
}

/// What fills a page beside the facts: a description and reviews, together about `bytes` bytes.
pub(super) struct Filling {
    pub(super) description: String,
    /// (review id, title, text)
    pub(super) reviews: Vec<(String, String, String)>,
}

/// Bytes of one review without its text, as the providers write it.
const REVIEW_FRAME_BYTES: usize = 260;

pub(super) fn filling(profile: &Profile, bytes: usize) -> Filling {
    let mut random = Random::stream(profile.prose, &[FILLING]);
    let description = paragraph(&mut random, 200.max(bytes / 8));
    let mut left = bytes.saturating_sub(description.len());
    let mut reviews = Vec::new();
    while left > REVIEW_FRAME_BYTES + 100 {
        let wanted = random.between(300, 1_500) as usize;
        let text = paragraph(&mut random, wanted.min(left - REVIEW_FRAME_BYTES - 90));
        left = left.saturating_sub(text.len() + REVIEW_FRAME_BYTES);
        let id = format!("R{:013X}", random.next() >> 12);
        reviews.push((id, format!("{}, as promised", random.pick(&profile.category.traits)), text));
    }
    Filling { description, reviews }
}

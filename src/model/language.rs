//! The languages in which people are told.

use super::words;

/// The language of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Language {
    #[default]
    English,
    /// As written in Taiwan.
    TraditionalChinese,
}

words!(Language { English = "en", TraditionalChinese = "zh-TW" });

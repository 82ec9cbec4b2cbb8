//! Sparklines for terminals and Markdown: one character a day, a day that was not seen is a space.

/// Eight heights, lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Height of a series without movement: neither high nor low.
const LEVEL: usize = 3;

/// Which end of the values is drawn high.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Up {
    /// Large values are high: prices, ratings, counts.
    Large,
    /// Small values are high: ranks, where 1 is the best.
    Small,
}

/// One character a value, gaps as spaces; empty when nothing is known.
pub fn sparkline(values: &[Option<i64>], up: Up) -> String {
    let known = || values.iter().flatten().copied();
    let (Some(min), Some(max)) = (known().min(), known().max()) else { return String::new() };
    let height = |value: i64| {
        if min == max {
            return LEVEL;
        }
        // In i128, so that no pair of values overflows.
        let top = (BARS.len() - 1) as i128;
        let (above, span) = (i128::from(value) - i128::from(min), i128::from(max) - i128::from(min));
        let level = usize::try_from((above * top + span / 2) / span).unwrap_or(0);
        if up == Up::Large { level } else { BARS.len() - 1 - level }
    };
    values.iter().map(|value| value.map_or(' ', |value| BARS[height(value)])).collect()
}

/// `values` in at most `columns` buckets of equal length, each its last known value; shorter series stay as they are.
pub fn condensed(values: &[Option<i64>], columns: usize) -> Vec<Option<i64>> {
    let columns = columns.max(1);
    if values.len() <= columns {
        return values.to_vec();
    }
    (0..columns)
        .map(|column| {
            let from = column * values.len() / columns;
            let until = (column + 1) * values.len() / columns;
            values[from..until].iter().rev().copied().flatten().next()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gap_is_a_space_and_the_ends_are_the_extremes() {
        assert_eq!(sparkline(&[Some(1), None, Some(8), Some(4)], Up::Large), "▁ █▄");
        assert_eq!(sparkline(&[Some(1), None, Some(8), Some(4)], Up::Small), "█ ▁▅");
    }

    #[test]
    fn a_level_series_is_in_the_middle_and_an_unknown_one_is_nothing() {
        assert_eq!(sparkline(&[Some(5), Some(5)], Up::Large), "▄▄");
        assert_eq!(sparkline(&[None, None], Up::Large), "");
        assert_eq!(sparkline(&[], Up::Small), "");
    }

    #[test]
    fn a_long_series_keeps_the_last_known_value_of_each_bucket() {
        assert_eq!(condensed(&[Some(1), Some(2), None, None, Some(5), None], 3), [Some(2), None, Some(5)]);
        assert_eq!(condensed(&[Some(1)], 3), [Some(1)]);
    }

    proptest! {
        #[test]
        fn every_value_is_one_character(values in prop::collection::vec(prop::option::of(any::<i64>()), 1..80)) {
            let drawn = sparkline(&values, Up::Large);
            let expected = if values.iter().any(Option::is_some) { values.len() } else { 0 };
            prop_assert_eq!(drawn.chars().count(), expected);
        }
    }
}

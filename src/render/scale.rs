//! Axes: ticks at round values that cover the data, and where a value lies between the ends.

use crate::model::{Day, DayRange};

/// How values are laid out on the vertical axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Axis {
    /// Large values at the top.
    Linear,
    /// Logarithmic and inverted: rank 1 at the top.
    RankLog,
}

/// A vertical axis from its first to its last tick.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Scale {
    axis: Axis,
    /// Ascending; the first and the last are the ends of the axis.
    pub(super) ticks: Vec<i64>,
}

/// More ticks than this crowd a small chart.
const MAX_TICKS: i64 = 6;
/// Ranks within this factor are spaced evenly: round powers of ten would leave most of the chart empty.
const NARROW_FACTOR: i64 = 3;

impl Scale {
    /// An axis over `min..=max` whose ticks are multiples of `unit` or coarser.
    pub(super) fn cover(axis: Axis, min: i64, max: i64, unit: i64) -> Scale {
        let ticks = match axis {
            Axis::Linear => linear_ticks(min, max, unit.max(1)),
            Axis::RankLog => rank_ticks(min.max(1), max.max(1)),
        };
        Scale { axis, ticks }
    }

    /// Where `value` lies: 0 = bottom, 1 = top; outside the axis it is cut off.
    pub(super) fn place(&self, value: i64) -> f64 {
        let (Some(&low), Some(&high)) = (self.ticks.first(), self.ticks.last()) else { return 0.5 };
        let of = |value: i64| match self.axis {
            Axis::Linear => value as f64,
            Axis::RankLog => (value.max(1) as f64).ln(),
        };
        let share = ((of(value) - of(low)) / (of(high) - of(low))).clamp(0.0, 1.0);
        if self.axis == Axis::Linear { share } else { 1.0 - share }
    }
}

/// Round values, evenly spaced by 1, 2, 2.5 or 5 times a power of ten, from at or below `min` to at or above `max`.
/// A single value gets a step of room on both sides.
fn linear_ticks(min: i64, max: i64, unit: i64) -> Vec<i64> {
    let (min, max) = (i128::from(min), i128::from(max));
    let step = steps(i128::from(unit))
        .find(|step| (max.div_euclid(*step) - min.div_euclid(*step) + 2) <= i128::from(MAX_TICKS))
        .unwrap_or(i128::from(i64::MAX));
    let mut first = min.div_euclid(step) * step;
    let mut last = -(-max).div_euclid(step) * step;
    if first == last {
        // Amounts, ranks and counts have no room below zero.
        first = if first >= step || first < 0 { first - step } else { first };
        last += step;
    }
    let count = (last - first) / step;
    (0..=count).filter_map(|place| i64::try_from(first + place * step).ok()).collect()
}

/// `unit` times 1, 2, 2.5, 5, 10, 20, 25, …; only whole numbers.
fn steps(unit: i128) -> impl Iterator<Item = i128> {
    (0..19_u32).flat_map(move |power| {
        let ten = 10_i128.pow(power);
        [
            Some(unit * ten),
            Some(2 * unit * ten),
            (power > 0).then(|| 25 * unit * ten / 10),
            Some(5 * unit * ten),
        ]
        .into_iter()
        .flatten()
    })
}

/// 1, 2, 5 times powers of ten around `min..=max`; between the ends only powers of ten where that is too many;
/// evenly spaced where the ranks lie close together.
fn rank_ticks(min: i64, max: i64) -> Vec<i64> {
    if max / min < NARROW_FACTOR {
        let mut ticks = linear_ticks(min, max, 1);
        if let Some(first) = ticks.first_mut() {
            // There is no rank 0.
            *first = (*first).max(1);
        }
        ticks.dedup();
        if ticks.len() > 1 {
            return ticks;
        }
    }
    let decades: Vec<i64> = (0..19_u32).map(|power| 10_i64.pow(power)).collect();
    let fine: Vec<i64> =
        decades.iter().flat_map(|ten| [*ten, ten.saturating_mul(2), ten.saturating_mul(5)]).collect();
    let first = fine.iter().rposition(|tick| *tick <= min).unwrap_or(0);
    let last = fine.iter().position(|tick| *tick >= max).unwrap_or(fine.len() - 1).max(first + 1);
    let ticks = &fine[first..=last.min(fine.len() - 1)];
    if ticks.len() as i64 <= MAX_TICKS { ticks.to_vec() } else { ends_and_decades(ticks, &decades) }
}

/// The two ends, and between them as many powers of ten as have room.
fn ends_and_decades(ticks: &[i64], decades: &[i64]) -> Vec<i64> {
    /// Share of the axis that two labels need between them.
    const ROOM: f64 = 0.1;
    let (Some(&first), Some(&last)) = (ticks.first(), ticks.last()) else { return Vec::new() };
    let length = (last as f64 / first as f64).ln();
    let far = |a: i64, b: i64| (b as f64 / a as f64).ln() / length >= ROOM;
    let inner: Vec<i64> = decades
        .iter()
        .copied()
        .filter(|ten| first < *ten && *ten < last && far(first, *ten) && far(*ten, last))
        .collect();
    let every = inner.len().div_ceil(MAX_TICKS as usize - 2).max(1);
    [first].into_iter().chain(inner.into_iter().step_by(every)).chain([last]).collect()
}

/// About `wanted` days of the range at round distances: days, weeks, or firsts of months.
pub(super) fn day_ticks(range: DayRange, wanted: usize) -> Vec<Day> {
    let days: Vec<Day> = range.days().collect();
    let wanted = wanted.max(2);
    if let Some(step) = [1, 2, 7, 14].into_iter().find(|step| days.len() <= step * wanted) {
        // Counted back from the last day, which is the one the report is about.
        let mut ticks: Vec<Day> = days.iter().rev().step_by(step).copied().collect();
        ticks.reverse();
        return ticks;
    }
    let firsts: Vec<Day> = days.iter().copied().filter(|day| *day == day.month_start()).collect();
    let every = firsts.len().div_ceil(wanted).max(1);
    firsts.into_iter().step_by(every).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn linear(min: i64, max: i64) -> Vec<i64> {
        Scale::cover(Axis::Linear, min, max, 1).ticks
    }

    fn ranks(min: i64, max: i64) -> Vec<i64> {
        Scale::cover(Axis::RankLog, min, max, 1).ticks
    }

    #[test]
    fn linear_ticks_are_round_and_cover_the_values() {
        assert_eq!(linear(2399, 2999), [2200, 2400, 2600, 2800, 3000]);
        assert_eq!(linear(0, 3), [0, 1, 2, 3]);
        assert_eq!(linear(-7, 12), [-10, -5, 0, 5, 10, 15]);
    }

    #[test]
    fn a_single_value_gets_room_on_both_sides_but_none_below_zero() {
        assert_eq!(linear(2599, 2599), [2598, 2599, 2600]);
        assert_eq!(Scale::cover(Axis::Linear, 2599, 2599, 100).ticks, [2500, 2600]);
        assert_eq!(Scale::cover(Axis::Linear, 2500, 2500, 100).ticks, [2400, 2500, 2600]);
        assert_eq!(linear(0, 0), [0, 1]);
    }

    #[test]
    fn rank_ticks_follow_the_decades_and_close_ranks_are_spaced_evenly() {
        assert_eq!(ranks(34, 1200), [20, 100, 1000, 2000]);
        assert_eq!(ranks(9, 40_000_000), [5, 100, 10_000, 1_000_000, 50_000_000]);
        assert_eq!(ranks(90, 400), [50, 100, 200, 500]);
        assert_eq!(ranks(304, 311), [304, 306, 308, 310, 312]);
        assert_eq!(ranks(1, 1), [1, 2]);
    }

    #[test]
    fn rank_one_is_at_the_top() {
        let scale = Scale::cover(Axis::RankLog, 1, 1000, 1);
        assert_eq!((scale.place(1), scale.place(1000)), (1.0, 0.0));
        assert!((scale.place(10) - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(Scale::cover(Axis::Linear, 0, 10, 1).place(5), 0.5);
    }

    #[test]
    fn days_are_ticked_at_round_distances_that_end_on_the_last_day() {
        let as_of: Day = "2026-05-03".parse().unwrap();
        let shown = |days, wanted| -> Vec<String> {
            day_ticks(DayRange::window(as_of, days), wanted).iter().map(Day::to_string).collect()
        };
        assert_eq!(shown(1, 5), ["2026-05-03"]);
        assert_eq!(shown(30, 5), ["2026-04-05", "2026-04-12", "2026-04-19", "2026-04-26", "2026-05-03"]);
        assert_eq!(shown(90, 5), ["2026-03-01", "2026-04-01", "2026-05-01"]);
        assert_eq!(shown(365, 5).len(), 4);
    }

    proptest! {
        #[test]
        fn ticks_cover_the_range_in_few_ascending_steps(
            a in -300_000_000_i64..300_000_000, b in -300_000_000_i64..300_000_000, unit in 1_i64..1000,
        ) {
            let (min, max) = (a.min(b), a.max(b));
            for (axis, min, max) in [
                (Axis::Linear, min, max),
                (Axis::RankLog, min.abs().min(max.abs()).max(1), min.abs().max(max.abs()).max(1)),
            ] {
                let scale = Scale::cover(axis, min, max, unit);
                prop_assert!(scale.ticks.len() >= 2 && scale.ticks.len() <= 11, "{:?}", scale.ticks);
                prop_assert!(scale.ticks.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(scale.ticks[0] <= min && max <= scale.ticks[scale.ticks.len() - 1], "{:?}", scale.ticks);
                prop_assert!((0.0..=1.0).contains(&scale.place(min)) && (0.0..=1.0).contains(&scale.place(max)));
            }
        }

        #[test]
        fn extreme_values_do_not_overflow(a in any::<i64>(), b in any::<i64>()) {
            let scale = Scale::cover(Axis::Linear, a.min(b), a.max(b), 1);
            prop_assert!(scale.place(a).is_finite());
        }
    }
}

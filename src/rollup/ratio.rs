//! Every division of the mart, once: one division of exact integers, as late as possible.
//!
//! `(d * 100) / f` and `(d / f) * 100` differ in the last bit for a quarter of all pairs, so the order of the
//! operations is part of the definition. A zero denominator gives NaN, which is null.

/// The days that the data quality looks back on.
pub(super) const QUALITY_DAYS: i32 = 30;

/// `part / whole`.
pub(super) fn ratio(part: i64, whole: i64) -> f64 {
    if whole == 0 { f64::NAN } else { part as f64 / whole as f64 }
}

/// `((last - first) * 100) / first`.
pub(super) fn change_pct(first: i64, last: i64) -> f64 {
    ratio((last - first) * 100, first)
}

/// `sqrt(n * sumsq - sum^2)`: the numerator of the standard deviation (over n) and the volatility (over sum).
pub(super) fn root_of_spread(n: i64, sum: i64, sumsq: i64) -> f64 {
    let (n, sum, sumsq) = (i128::from(n), i128::from(sum), i128::from(sumsq));
    let spread = n * sumsq - sum * sum;
    // Both conversions round correctly; the short one is the fast one.
    let spread = i64::try_from(spread).map_or(spread as f64, |short| short as f64);
    spread.sqrt()
}

/// `root / n`, the deviation of the population.
pub(super) fn standard_deviation(root: f64, n: i64) -> f64 {
    root / n as f64
}

/// `root / sum`, the deviation relative to the mean.
pub(super) fn volatility(root: f64, sum: i64) -> f64 {
    if sum == 0 { f64::NAN } else { root / sum as f64 }
}

/// `min(1, observed / 30)`.
pub(super) fn quality(observed_30d: i64) -> f64 {
    ratio(observed_30d, i64::from(QUALITY_DAYS)).min(1.0)
}

/// Sums of a least-squares line through (day, value).
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct LineSums {
    n: i64,
    x: i64,
    y: i64,
    xx: i64,
    xy: i64,
}

impl LineSums {
    /// Adds the point with `sign` 1, takes it out with -1.
    pub(super) fn add(&mut self, x: i64, y: i64, sign: i64) {
        self.n += sign;
        self.x += sign * x;
        self.y += sign * y;
        self.xx += sign * x * x;
        self.xy += sign * x * y;
    }

    /// `(n * Sxy - Sx * Sy) / (n * Sxx - Sx^2)`; null for fewer than two points.
    ///
    /// Both integers are the same wherever the days are counted from, so x needs no shift to the window's
    /// first day. Days counted from a product's first one stay below 75,000 (1995 to 2200), so that
    /// n * Sxy < 90 * 90 * 75,000 * 3e8 < 2^63.
    pub(super) fn slope(&self) -> f64 {
        ratio(self.n * self.xy - self.x * self.y, self.n * self.xx - self.x * self.x)
    }
}

/// 1 if the second half's mean lies more than 5 % above the first's, -1 if more than 5 % below, else 0;
/// null if a half has no value.
pub(super) fn trend(n1: i64, sum1: i64, n2: i64, sum2: i64) -> Option<i64> {
    if n1 == 0 || n2 == 0 {
        return None;
    }
    let difference = 100 * (sum2 * n1 - sum1 * n2);
    let threshold = 5 * sum1 * n2;
    Some(i64::from(difference > threshold) - i64::from(difference < -threshold))
}

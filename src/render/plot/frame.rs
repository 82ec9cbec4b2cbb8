//! The frame of a chart: where the plot lies, its axes, and the days that were not seen.

use std::fmt::Write;

use super::write_text;
use crate::model::DayRange;
use crate::model::Language;
use crate::render::chart::{LineChart, NAME_COLUMNS, Role, Size};
use crate::render::scale::{Scale, day_ticks};

/// Where the plot lies inside the chart.
pub(super) struct Frame {
    pub(super) size: Size,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) days: usize,
}

/// Generous width of one character of 13 units, the size labels have on a phone.
pub(super) const CHARACTER: f64 = 7.4;

impl Frame {
    pub(super) fn day_width(&self) -> f64 {
        (self.right - self.left) / self.days.max(1) as f64
    }

    /// The middle of the day with this index.
    pub(super) fn x(&self, index: usize) -> f64 {
        self.left + (index as f64 + 0.5) * self.day_width()
    }

    pub(super) fn y(&self, scale: &Scale, value: i64) -> f64 {
        self.bottom - scale.place(value) * (self.bottom - self.top)
    }
}

pub(super) fn frame(chart: &LineChart, size: Size, labels: &[(i64, String)]) -> Frame {
    let widest = labels.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(2);
    let names = chart.series.iter().filter(|series| matches!(series.role, Role::Main | Role::Other(_)));
    let longest = names.map(|series| series.name.chars().count().min(NAME_COLUMNS)).max().unwrap_or(0);
    let name_width = if chart.direct_labels { 26.0 + longest as f64 * CHARACTER } else { 12.0 };
    Frame {
        size,
        left: 12.0 + widest as f64 * CHARACTER,
        right: size.width - name_width.min(size.width * 0.36),
        top: 30.0,
        bottom: size.height - 26.0,
        days: chart.range.days().count(),
    }
}

/// Shades the days on which nothing was seen.
pub(super) fn push_gaps(svg: &mut String, chart: &LineChart, frame: &Frame) {
    for run in runs(frame.days, |index| chart.seen.get(index).is_some_and(|seen| !seen)) {
        let _ = write!(
            svg,
            "<rect class=\"gap\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            frame.x(run.0) - frame.day_width() / 2.0,
            frame.top,
            (run.1 - run.0 + 1) as f64 * frame.day_width(),
            frame.bottom - frame.top,
        );
    }
}

/// Runs of consecutive indices below `len` for which `holds`, as first and last index.
pub(super) fn runs(len: usize, holds: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for index in (0..len).filter(|index| holds(*index)) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => runs.push((index, index)),
        }
    }
    runs
}

pub(super) fn push_days_axis(svg: &mut String, range: DayRange, language: Language, frame: &Frame) {
    let _ = write!(
        svg,
        "<line class=\"base\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
        frame.left, frame.right, frame.bottom, frame.bottom
    );
    let wanted = if frame.right - frame.left > 500.0 { 9 } else { 5 };
    let ticks = day_ticks(range, wanted);
    for day in ticks {
        let x = frame.x((day.no() - range.first.no()).unsigned_abs() as usize);
        let _ = write!(
            svg,
            "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            frame.bottom,
            frame.bottom + 4.0
        );
        // Labels at the edges stay inside the chart.
        let anchor = match x {
            _ if x > frame.right - 20.0 && frame.size.width - x < 24.0 => "end",
            _ => "middle",
        };
        let x = if anchor == "end" { x + frame.day_width() / 2.0 } else { x };
        write_text(svg, x, frame.bottom + 18.0, "label", anchor, &language.short_day(day));
    }
}

pub(super) fn push_value_axis(
    svg: &mut String,
    chart: &LineChart,
    frame: &Frame,
    scale: &Scale,
    labels: &[(i64, String)],
) {
    for (tick, label) in labels {
        let y = frame.y(scale, *tick);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            frame.left, frame.right
        );
        write_text(svg, frame.left - 6.0, y + 4.0, "label", "end", label);
    }
    write_text(svg, 2.0, 13.0, "unit", "start", &chart.language.axis_title(chart.unit));
}

//! What is measured: the lines, the band of each day, symbols and names at the lines' ends.

use std::fmt::Write;

use super::frame::{CHARACTER, Frame, runs};
use super::write_text;
use crate::render::chart::{LineChart, NAME_COLUMNS, Role, Series, Shape, TOLD_APART};
use crate::render::format;
use crate::render::scale::Scale;

/// Names at the ends of lines are at least so far apart.
pub(super) const LINE_HEIGHT: f64 = 15.0;

/// The area between each day's lowest and highest value, day by day.
pub(super) fn push_band(svg: &mut String, chart: &LineChart, frame: &Frame, scale: &Scale) {
    let mut path = String::new();
    let half = frame.day_width() / 2.0;
    for (index, (low, high)) in
        chart.band.iter().enumerate().filter_map(|(index, band)| Some((index, (*band)?)))
    {
        if low < high {
            let (top, bottom) = (frame.y(scale, high), frame.y(scale, low));
            let _ = write!(
                path,
                "M{:.1} {top:.1}H{:.1}V{bottom:.1}H{:.1}Z",
                frame.x(index) - half,
                frame.x(index) + half,
                frame.x(index) - half
            );
        }
    }
    if !path.is_empty() {
        let _ = write!(svg, "<path class=\"band\" d=\"{path}\"/>");
    }
}

pub(super) fn role_class(role: Role) -> String {
    match role {
        Role::Main => "main".to_owned(),
        Role::Other(number) => format!("o{}", number % TOLD_APART),
        Role::Background => "many".to_owned(),
        Role::Reference => "ref".to_owned(),
    }
}

pub(super) fn push_series(
    svg: &mut String,
    chart: &LineChart,
    series: &Series,
    frame: &Frame,
    scale: &Scale,
) {
    let class = role_class(series.role);
    let known = |index: usize| series.values.get(index).is_some_and(Option::is_some);
    let y = |index: usize| frame.y(scale, series.values.get(index).copied().flatten().unwrap_or_default());
    let half = frame.day_width() / 2.0;
    let mut path = String::new();
    let mut lonely = Vec::new();
    for (first, last) in runs(frame.days, known) {
        match chart.shape {
            Shape::Step => {
                let _ = write!(path, "M{:.1} {:.1}", frame.x(first) - half, y(first));
                for index in first + 1..=last {
                    if (y(index) - y(index - 1)).abs() > 0.01 {
                        let _ = write!(path, "H{:.1}V{:.1}", frame.x(index) - half, y(index));
                    }
                }
                let _ = write!(path, "H{:.1}", frame.x(last) + half);
            }
            Shape::Line if first == last => lonely.push(first),
            Shape::Line => {
                for index in first..=last {
                    let command = if index == first { 'M' } else { 'L' };
                    let _ = write!(path, "{command}{:.1} {:.1}", frame.x(index), y(index));
                }
            }
        }
    }
    if !path.is_empty() {
        let _ = write!(svg, "<path class=\"line {class}\" d=\"{path}\"/>");
    }
    for index in lonely {
        let _ = write!(
            svg,
            "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.4\"/>",
            frame.x(index),
            y(index)
        );
    }
    if let Some(last) = (0..frame.days).rev().find(|index| known(*index))
        && matches!(series.role, Role::Main | Role::Other(_))
    {
        svg.push_str(&symbol(series.role, frame.x(last), y(last)));
    }
}

/// The symbol of a series, so that colour is never all that tells two lines apart.
fn symbol(role: Role, x: f64, y: f64) -> String {
    let class = role_class(role);
    let shape = match role {
        Role::Main => return format!("<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        Role::Other(number) => match number % TOLD_APART {
            0 => "M-3.5-3.5h7v7h-7z",
            1 => "M0-4.4L4.2 3.4H-4.2Z",
            2 => "M0-4.6L4.6 0L0 4.6L-4.6 0Z",
            3 => "M0 4.4L4.2-3.4H-4.2Z",
            4 => "M-1.4-4.2h2.8v2.8h2.8v2.8h-2.8v2.8h-2.8v-2.8h-2.8v-2.8h2.8z",
            _ => "M-4.2-2h8.4v4h-8.4z",
        },
        Role::Background | Role::Reference => return String::new(),
    };
    format!("<path class=\"dot {class}\" transform=\"translate({x:.1} {y:.1})\" d=\"{shape}\"/>")
}

/// Names at the lines' ends, moved apart where they would overlap, each led to by a thin line.
pub(super) fn push_names(svg: &mut String, chart: &LineChart, frame: &Frame, scale: &Scale) {
    let mut names: Vec<(f64, f64, f64, &Series)> = chart
        .series
        .iter()
        .filter(|series| matches!(series.role, Role::Main | Role::Other(_)))
        .filter_map(|series| {
            let index = series.values.iter().rposition(Option::is_some)?;
            let y = frame.y(scale, series.values[index]?);
            Some((y, frame.x(index), y, series))
        })
        .collect();
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lowest = frame.top - LINE_HEIGHT / 2.0;
    for name in &mut names {
        name.0 = name.0.max(lowest);
        lowest = name.0 + LINE_HEIGHT;
    }
    let mut highest = frame.bottom;
    for name in names.iter_mut().rev() {
        name.0 = name.0.min(highest);
        highest = name.0 - LINE_HEIGHT;
    }
    let x = frame.right + 10.0;
    // Bold letters are a little wider.
    let room = (frame.size.width - x - 12.0) / (CHARACTER * 1.15);
    let columns = NAME_COLUMNS.min(room as usize);
    for (y, from_x, from_y, series) in names {
        let _ = write!(
            svg,
            "<path class=\"lead\" d=\"M{:.1} {from_y:.1}L{:.1} {y:.1}\"/>{}",
            from_x + 4.0,
            x - 2.0,
            symbol(series.role, x + 3.0, y),
        );
        let class = if series.role == Role::Main { "name strong" } else { "name" };
        write_text(svg, x + 11.0, y + 4.0, class, "start", &format::truncated(&series.name, columns));
    }
}

//! Charts as inline SVG: classes instead of colours, so that the page's stylesheet decides light, dark and print.
//!
//! A day that was not seen is a gap and is shaded; nothing is interpolated. Every day can be pointed at: its value
//! is a `<title>` and a line of text that appears above the plot. Texts are escaped here.

use std::fmt::Write;

use html_escape::encode_text;

use super::chart::{LineChart, NAME_COLUMNS, Role, Series, Shape, Size, TOLD_APART};
use super::format;
use super::scale::{Scale, day_ticks};
use crate::model::DayRange;

/// Where the plot lies inside the chart.
struct Frame {
    size: Size,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    days: usize,
}

/// Generous width of one character of 13 units, the size labels have on a phone.
const CHARACTER: f64 = 7.4;
const LINE_HEIGHT: f64 = 15.0;

impl Frame {
    fn day_width(&self) -> f64 {
        (self.right - self.left) / self.days.max(1) as f64
    }

    /// The middle of the day with this index.
    fn x(&self, index: usize) -> f64 {
        self.left + (index as f64 + 0.5) * self.day_width()
    }

    fn y(&self, scale: &Scale, value: i64) -> f64 {
        self.bottom - scale.place(value) * (self.bottom - self.top)
    }
}

/// Draws the chart; a chart without any value says so in its frame.
pub(super) fn line_chart(chart: &LineChart, size: Size, variant: &str) -> String {
    let id = format!("{}-{variant}", chart.id);
    let mut svg = String::new();
    open(&mut svg, &id, size, &chart.title, &chart.summary());
    let extremes = chart.values().min().zip(chart.values().max());
    let scale =
        extremes.map(|(min, max)| Scale::cover(chart.unit.axis(), min, max, chart.unit.finest_step()));
    let labels: Vec<(i64, String)> =
        scale.iter().flat_map(|scale| &scale.ticks).map(|tick| (*tick, chart.unit.tick(*tick))).collect();
    let frame = frame(chart, size, &labels);
    push_gaps(&mut svg, chart, &frame);
    push_days_axis(&mut svg, chart.range, &frame);
    let (Some(scale), Some(_)) = (&scale, chart.values().next()) else {
        let (x, y) = ((frame.left + frame.right) / 2.0, (frame.top + frame.bottom) / 2.0);
        write_text(&mut svg, x, y, "none", "middle", "no data");
        svg.push_str("</svg>");
        return svg;
    };
    push_value_axis(&mut svg, chart, &frame, scale, &labels);
    push_band(&mut svg, chart, &frame, scale);
    // The main series is drawn last, above all others.
    for series in chart.series.iter().rev() {
        push_series(&mut svg, chart, series, &frame, scale);
    }
    if chart.direct_labels {
        push_names(&mut svg, chart, &frame, scale);
    }
    push_marks(&mut svg, chart, &frame);
    push_days(&mut svg, chart, &frame, scale);
    svg.push_str("</svg>");
    svg
}

fn open(svg: &mut String, id: &str, size: Size, title: &str, description: &str) {
    let _ = write!(
        svg,
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
        size.width,
        size.height,
        encode_text(title),
        encode_text(description),
    );
}

fn write_text(svg: &mut String, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
    let _ = write!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        encode_text(text)
    );
}

fn frame(chart: &LineChart, size: Size, labels: &[(i64, String)]) -> Frame {
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
fn push_gaps(svg: &mut String, chart: &LineChart, frame: &Frame) {
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
fn runs(len: usize, holds: impl Fn(usize) -> bool) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for index in (0..len).filter(|index| holds(*index)) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => runs.push((index, index)),
        }
    }
    runs
}

fn push_days_axis(svg: &mut String, range: DayRange, frame: &Frame) {
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
        write_text(svg, x, frame.bottom + 18.0, "label", anchor, &format::short_day(day));
    }
}

fn push_value_axis(
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
    write_text(svg, 2.0, 13.0, "unit", "start", &chart.unit.axis_title());
}

/// The area between each day's lowest and highest value, day by day.
fn push_band(svg: &mut String, chart: &LineChart, frame: &Frame, scale: &Scale) {
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

fn role_class(role: Role) -> String {
    match role {
        Role::Main => "main".to_owned(),
        Role::Other(number) => format!("o{}", number % TOLD_APART),
        Role::Background => "many".to_owned(),
        Role::Reference => "ref".to_owned(),
    }
}

fn push_series(svg: &mut String, chart: &LineChart, series: &Series, frame: &Frame, scale: &Scale) {
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
fn push_names(svg: &mut String, chart: &LineChart, frame: &Frame, scale: &Scale) {
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

/// Triangles above the plot on days on which something happened.
fn push_marks(svg: &mut String, chart: &LineChart, frame: &Frame) {
    for day in chart.range.days() {
        let texts: Vec<&str> =
            chart.marks.iter().filter(|mark| mark.day == day).map(|mark| mark.text.as_str()).collect();
        if texts.is_empty() {
            continue;
        }
        let x = frame.x((day.no() - chart.range.first.no()).unsigned_abs() as usize);
        let _ = write!(
            svg,
            "<path class=\"mark\" d=\"M{:.1} {:.1}h8l-4 7z\"><title>{}</title></path>",
            x - 4.0,
            frame.top - 8.0,
            encode_text(&format!("{}: {}", format::long_day(day), texts.join("; "))),
        );
    }
}

/// One invisible column per seen day: pointing at it shows the day's values.
fn push_days(svg: &mut String, chart: &LineChart, frame: &Frame, scale: &Scale) {
    for (index, day) in chart.range.days().enumerate() {
        let value = |series: &Series| series.values.get(index).copied().flatten();
        if !chart.seen.get(index).copied().unwrap_or(true) {
            continue;
        }
        let told: Vec<String> = chart
            .series
            .iter()
            .filter(|series| series.role != Role::Background)
            .filter_map(|series| match (value(series), series.role) {
                (Some(value), Role::Main) if chart.series.len() == 1 => Some(chart.unit.text(value)),
                (Some(value), _) => Some(format!("{} {}", series.name, chart.unit.text(value))),
                (None, Role::Main) => Some(format!("{} {}", series.name, format::UNKNOWN)),
                (None, _) => None,
            })
            .collect();
        let text = format!("{}: {}", format::short_day(day), told.join(", "));
        let x = frame.x(index);
        let _ = write!(
            svg,
            "<g class=\"day\"><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/><title>{}</title>\
             <path d=\"M{x:.1} {:.1}V{:.1}\"/>",
            x - frame.day_width() / 2.0,
            frame.top,
            frame.day_width(),
            frame.bottom - frame.top,
            encode_text(&text),
            frame.top,
            frame.bottom,
        );
        if let Some(main) = chart.main().and_then(value) {
            let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.5\"/>", frame.y(scale, main));
        }
        // Above the plot there is room for one series; of several the title tells all.
        if told.len() <= 2 {
            write_text(svg, frame.right, 13.0, "read", "end", &text);
        }
        svg.push_str("</g>");
    }
}

/// What the signs of a chart mean, as swatch and words; only those that occur.
pub(super) fn legend(chart: &LineChart) -> Vec<(String, String)> {
    let swatch = |inner: &str| {
        format!("<svg class=\"swatch\" viewBox=\"0 0 22 14\" aria-hidden=\"true\">{inner}</svg>")
    };
    let mut items = Vec::new();
    if !chart.direct_labels && chart.series.len() > 1 {
        for series in &chart.series {
            let class = role_class(series.role);
            items.push((
                swatch(&format!("<path class=\"line {class}\" d=\"M1 7H21\"/>")),
                series.name.clone(),
            ));
        }
    }
    if chart.band.iter().flatten().any(|(low, high)| low < high) {
        items.push((
            swatch("<path class=\"band\" d=\"M1 2H21V12H1Z\"/>"),
            "low to high of the day".to_owned(),
        ));
    }
    if chart.seen.iter().any(|seen| !seen) {
        items.push((
            swatch("<rect class=\"gap\" x=\"1\" y=\"1\" width=\"20\" height=\"12\"/>"),
            "not observed".to_owned(),
        ));
    }
    if !chart.marks.is_empty() {
        items.push((swatch("<path class=\"mark\" d=\"M7 3h8l-4 7z\"/>"), "alert".to_owned()));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Day;
    use crate::render::chart::{HALF, Mark, Unit};

    fn chart(values: &[Option<i64>], shape: Shape) -> LineChart {
        let last: Day = "2026-05-03".parse().unwrap();
        LineChart {
            id: "price".into(),
            title: "Price".into(),
            range: DayRange::window(last, values.len() as i32),
            unit: Unit::Money("USD".parse().unwrap()),
            shape,
            series: vec![Series { name: "price".into(), role: Role::Main, values: values.to_vec() }],
            band: Vec::new(),
            seen: values.iter().map(Option::is_some).collect(),
            marks: Vec::new(),
            direct_labels: false,
        }
    }

    /// The `d` of the main line.
    fn main_path(svg: &str) -> String {
        let (_, rest) = svg.split_once("<path class=\"line main\" d=\"").unwrap_or(("", "\""));
        rest.split('"').next().unwrap().to_owned()
    }

    #[test]
    fn a_gap_breaks_the_line_and_is_shaded() {
        let values = [Some(2000), Some(2000), None, None, Some(2500), Some(2600)];
        let svg = line_chart(&chart(&values, Shape::Step), HALF, "half");
        assert_eq!(main_path(&svg).matches('M').count(), 2);
        assert_eq!(svg.matches("class=\"gap\"").count(), 1);
        // Every seen day can be pointed at, no other.
        assert_eq!(svg.matches("class=\"day\"").count(), 4);
        assert!(svg.contains("<title>28 Apr: 20.00 USD</title>"));
    }

    #[test]
    fn a_price_that_holds_is_one_stroke_and_a_change_is_a_step() {
        let path =
            main_path(&line_chart(&chart(&[Some(2000), Some(2000), Some(2500)], Shape::Step), HALF, "half"));
        assert_eq!(
            (path.matches('H').count(), path.matches('V').count(), path.matches('L').count()),
            (2, 1, 0)
        );
    }

    #[test]
    fn a_lonely_day_is_a_dot_on_a_line_and_a_short_stroke_on_steps() {
        let lonely = [None, Some(2000), None];
        let svg = line_chart(&chart(&lonely, Shape::Line), HALF, "half");
        assert!(main_path(&svg).is_empty());
        assert_eq!(svg.matches("<circle class=\"dot main\"").count(), 2);
        assert!(!main_path(&line_chart(&chart(&lonely, Shape::Step), HALF, "half")).is_empty());
    }

    #[test]
    fn a_series_without_values_says_so() {
        for values in [vec![None, None], Vec::new()] {
            let svg = line_chart(&chart(&values, Shape::Step), HALF, "half");
            assert!(svg.contains(">no data</text>"));
            assert!(!svg.contains("NaN"));
        }
    }

    #[test]
    fn names_and_marks_are_escaped() {
        let mut chart = chart(&[Some(1), Some(2)], Shape::Line);
        chart.series[0].name = "<b>&".into();
        chart.series.push(Series {
            name: "other".into(),
            role: Role::Other(0),
            values: vec![Some(3), Some(4)],
        });
        chart.direct_labels = true;
        chart.marks.push(Mark { day: "2026-05-03".parse().unwrap(), text: "<i>".into() });
        let svg = line_chart(&chart, HALF, "half");
        assert!(!svg.contains("<b>") && !svg.contains("<i>"));
        assert!(svg.contains("&lt;b&gt;&amp;") && svg.contains("3 May 2026: &lt;i&gt;"));
    }

    #[test]
    fn names_at_the_ends_do_not_overlap() {
        let mut chart = chart(&[Some(2000), Some(2000)], Shape::Step);
        for number in 0..6 {
            let values = vec![Some(2000 + number), Some(2000 + number)];
            chart.series.push(Series {
                name: format!("n{number}"),
                role: Role::Other(number as usize),
                values,
            });
        }
        chart.direct_labels = true;
        let svg = line_chart(&chart, HALF, "half");
        let mut heights: Vec<f64> = svg
            .match_indices("<text class=\"name")
            .map(|(at, _)| {
                svg[at..].split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
            })
            .collect();
        heights.sort_by(f64::total_cmp);
        assert_eq!(heights.len(), 7);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= LINE_HEIGHT - 0.2), "{heights:?}");
        assert!(heights[0] > 0.0 && heights[6] < 232.0);
    }
}

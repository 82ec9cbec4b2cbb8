//! Charts as inline SVG: classes instead of colours, so that the page's stylesheet decides light, dark and print.
//!
//! A day that was not seen is a gap and is shaded; nothing is interpolated. Every day can be pointed at: its value
//! is a `<title>` and a line of text that appears above the plot. Texts are escaped here.

mod frame;
mod series;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use html_escape::encode_text;

use super::chart::{LineChart, Role, Series, Size};
use super::scale::Scale;
use frame::{Frame, frame, push_days_axis, push_gaps, push_value_axis};
use series::{push_band, push_names, push_series, role_class};

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
    push_days_axis(&mut svg, chart.range, chart.language, &frame);
    let (Some(scale), Some(_)) = (&scale, chart.values().next()) else {
        let (x, y) = ((frame.left + frame.right) / 2.0, (frame.top + frame.bottom) / 2.0);
        write_text(&mut svg, x, y, "none", "middle", chart.language.words().no_data);
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
            encode_text(&format!("{day}: {}", texts.join("; "))),
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
                (Some(value), Role::Main) if chart.series.len() == 1 => {
                    Some(chart.language.value(chart.unit, value))
                }
                (Some(value), _) => {
                    Some(format!("{} {}", series.name, chart.language.value(chart.unit, value)))
                }
                (None, Role::Main) => Some(format!("{} {}", series.name, chart.language.words().unknown)),
                (None, _) => None,
            })
            .collect();
        let text = format!("{day}: {}", told.join(", "));
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
            chart.language.words().band.to_owned(),
        ));
    }
    if chart.seen.iter().any(|seen| !seen) {
        items.push((
            swatch("<rect class=\"gap\" x=\"1\" y=\"1\" width=\"20\" height=\"12\"/>"),
            chart.language.words().not_observed.to_owned(),
        ));
    }
    if !chart.marks.is_empty() {
        items.push((
            swatch("<path class=\"mark\" d=\"M7 3h8l-4 7z\"/>"),
            chart.language.words().alert.to_owned(),
        ));
    }
    items
}

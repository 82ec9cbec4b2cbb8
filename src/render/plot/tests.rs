use super::series::LINE_HEIGHT;
use super::*;
use crate::model::Language;
use crate::model::{Day, DayRange};
use crate::render::chart::{HALF, Mark, Shape, Unit};

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
        language: Language::English,
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
    assert!(svg.contains("<title>2026-04-28: 20.00 USD</title>"));
}

#[test]
fn a_price_that_holds_is_one_stroke_and_a_change_is_a_step() {
    let path =
        main_path(&line_chart(&chart(&[Some(2000), Some(2000), Some(2500)], Shape::Step), HALF, "half"));
    assert_eq!((path.matches('H').count(), path.matches('V').count(), path.matches('L').count()), (2, 1, 0));
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
    chart.series.push(Series { name: "other".into(), role: Role::Other(0), values: vec![Some(3), Some(4)] });
    chart.direct_labels = true;
    chart.marks.push(Mark { day: "2026-05-03".parse().unwrap(), text: "<i>".into() });
    let svg = line_chart(&chart, HALF, "half");
    assert!(!svg.contains("<b>") && !svg.contains("<i>"));
    assert!(svg.contains("&lt;b&gt;&amp;") && svg.contains("2026-05-03: &lt;i&gt;"));
}

#[test]
fn names_at_the_ends_do_not_overlap() {
    let mut chart = chart(&[Some(2000), Some(2000)], Shape::Step);
    for number in 0..6 {
        let values = vec![Some(2000 + number), Some(2000 + number)];
        chart.series.push(Series { name: format!("n{number}"), role: Role::Other(number as usize), values });
    }
    chart.direct_labels = true;
    let svg = line_chart(&chart, HALF, "half");
    let mut heights: Vec<f64> = svg
        .match_indices("<text class=\"name")
        .map(|(at, _)| svg[at..].split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
        .collect();
    heights.sort_by(f64::total_cmp);
    assert_eq!(heights.len(), 7);
    assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= LINE_HEIGHT - 0.2), "{heights:?}");
    assert!(heights[0] > 0.0 && heights[6] < 232.0);
}

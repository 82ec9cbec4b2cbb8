//! What a report shows, before it takes a form: sections of a few kinds of blocks with finished texts. HTML, Markdown
//! and terminal text are drawn from the same view, which is why they state the same facts.

use super::chart::LineChart;
use super::spark::Up;
use super::strip::StockStrip;

/// A whole report, top to bottom.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct View {
    /// What kind of report this is.
    pub kind: &'static str,
    pub title: String,
    pub facts: Vec<Fact>,
    pub sections: Vec<Section>,
    /// How the figures are to be read, at the very end.
    pub colophon: Vec<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fact {
    pub label: &'static str,
    pub value: String,
    /// Where the value leads on the web; empty for most.
    pub href: String,
}

impl Fact {
    pub(super) fn new(label: &'static str, value: impl Into<String>) -> Fact {
        Fact { label, value: value.into(), href: String::new() }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Section {
    /// Anchor: lower-case letters and hyphens.
    pub id: &'static str,
    pub heading: &'static str,
    pub blocks: Vec<Block>,
    /// Left out of the compact terminal form.
    pub detail: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Block {
    /// A paragraph of sentences; the first is the one to read.
    Text(Vec<String>),
    List(Vec<String>),
    Facts(Vec<Fact>),
    Cards(Vec<Card>),
    Table(Table),
    Charts(Vec<Chart>),
    Points(Vec<PointGroup>),
    Actions(Vec<Action>),
}

/// One figure to read from afar.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Card {
    pub label: &'static str,
    pub value: String,
    pub unit: String,
    pub detail: String,
    pub tone: Tone,
    pub extra: CardExtra,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum CardExtra {
    None,
    /// A score of 0 to 100; null when it is unknown.
    Score(Option<f64>),
    Spark(Spark),
}

/// Good and bad are also said in words wherever they are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Tone {
    #[default]
    Neutral,
    Good,
    Bad,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Spark {
    pub values: Vec<Option<i64>>,
    pub up: Up,
    /// What it shows, for those who do not see it.
    pub label: String,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Table {
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// What to say when there is no row.
    pub empty: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Column {
    pub label: &'static str,
    pub numeric: bool,
}

/// A column of words.
pub(super) const fn words(label: &'static str) -> Column {
    Column { label, numeric: false }
}

/// A column of figures, aligned right.
pub(super) const fn figures(label: &'static str) -> Column {
    Column { label, numeric: true }
}

/// The first cell names the row.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Row {
    pub cells: Vec<Cell>,
    /// The main product among others.
    pub emphasis: bool,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Cell {
    pub text: String,
    /// A second, quieter line.
    pub sub: String,
    pub tone: Tone,
    pub spark: Option<Spark>,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), ..Cell::default() }
    }

    pub(super) fn sub(mut self, sub: impl Into<String>) -> Cell {
        self.sub = sub.into();
        self
    }

    pub(super) fn tone(mut self, tone: Tone) -> Cell {
        self.tone = tone;
        self
    }

    pub(super) fn spark(values: &[Option<i64>], up: Up, label: impl Into<String>) -> Cell {
        let spark = Spark { values: values.to_vec(), up, label: label.into() };
        Cell { spark: Some(spark), ..Cell::default() }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Chart {
    pub heading: String,
    /// The newest value, beside the heading.
    pub latest: String,
    pub figure: Figure,
    /// As wide as the page.
    pub wide: bool,
    pub note: String,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Figure {
    Lines(LineChart),
    Stock(StockStrip),
}

impl Figure {
    pub(super) fn summary(&self) -> String {
        match self {
            Figure::Lines(chart) => chart.summary(),
            Figure::Stock(strip) => strip.summary(),
        }
    }
}

/// One quarter of the SWOT table.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PointGroup {
    pub heading: &'static str,
    /// A sign beside the heading.
    pub sign: &'static str,
    pub items: Vec<String>,
    pub empty: &'static str,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Action {
    pub priority: &'static str,
    pub kind: &'static str,
    pub text: String,
}

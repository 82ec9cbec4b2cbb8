//! Seeded markets in which it is known what somebody wants to be woken for, played through the real binary day by day.
//!
//! What follows was fixed before any rule set was measured, and is not to be changed to suit one.
//!
//! **What is true and what is noise.** Products are read once a day. A state is *lasting* when it holds for at least
//! three daily readings. An event is a change from one lasting state to another that is large enough to act on; what
//! is gone after one or two readings nobody has to get up for. Three readings, because a shop that is out of stock for
//! three days loses rank, and because one wrong reading and its repetition must not look like an event.
//!
//! | event | why somebody wants to know | types |
//! | --- | --- | --- |
//! | price 13 % lower or higher, for good or as a promotion; its end | to follow or to hold | `price_drop`, `price_rise` |
//! | price 3 % below all that was really asked before | a new floor | `all_time_low` |
//! | a competitor 3 % below the main product, and not before | sales go elsewhere | `undercut` |
//! | rank 2.5 times worse or better, for good | a suppressed listing, a campaign | `bsr_worsened`, `bsr_improved` |
//! | rating 0.7 stars lower or 0.6 higher, within three days | merged or bombed | `rating_fell`, `rating_rose` |
//! | in a day 150 ratings, 8 times the usual, 4 % of all | merged or bought | `ratings_spike` |
//! | out of stock for three days; the end of it | to restock; to take the chance | `out_of_stock`, `back_in_stock` |
//! | another seller for three days; its end | sales lost | `buy_box_lost` if ours, `buy_box_seller_changed` |
//! | that seller was never there | a hijacker, a new dealer | `new_seller` |
//! | title or brand rewritten | somebody edits the listing | `listing_changed` |
//! | not found any more | it is off the market | `product_gone` |
//! | unseen for five days while others are seen | it drops out of the record | `product_stale` |
//!
//! Everything else is noise: what [`kind::Kind`] names, small steps of the price, ranks and ratings that breathe,
//! sellers who take turns, a bestseller's usual hundred ratings a day.
//!
//! **Labels.** An event has a label for each type that describes it: *demanded* where somebody has to be told,
//! *welcome* where telling is right and silence is too: the outlier that a price cut is besides, the rank that suffers
//! from missing stock, a change between 8 and 13 %, an event so late that the market ends before the time to tell is
//! over. On days on which a source is broken or silent an incident of a source is welcome, one for each.
//!
//! **A hit** is an alert of the label's type for its product (and competitor or seller), told on the event's day or one
//! of the four days after it. The day of telling counts, not the one in the alert: it is what people live by. An alert
//! answers one label, and a label is answered by one alert; any further one is a false alarm, also during a true event,
//! for it wakes somebody again. Only the notice that an alert which was told has become more severe is no alert of its
//! own. A demanded label without an answer is a miss.
//!
//! *Precision* is hits and answered welcome labels among alerts; *recall* is hits among demanded labels.
//!
//! **The market** is drawn in [`plan`] (what happens), [`history`] (what is true, and what a reading shows) and [`feed`]
//! (what the sources make of it). Events never begin on a day that an incident of the source hides, nor less than five
//! days before a silence of several days: what nobody could see is not held against anybody. The first 40 days are read
//! in one go, as somebody does who starts with a history, and not judged.

pub(crate) mod feed;
pub(crate) mod history;
pub(crate) mod kind;
pub(crate) mod label;
pub(crate) mod plan;
pub(crate) mod play;
pub(crate) mod product;
pub(crate) mod score;
pub(crate) mod table;

use amzctl::model::Day;

use history::History;
use label::Label;
use plan::Plan;
use product::Product;

/// Days of the market that are read at once, before anything is judged: all-time lows ask for 30 known days.
pub(crate) const WARM_UP: i32 = 40;
/// An event is to be told within so many days after its own.
pub(crate) const TELL_WITHIN: i32 = 4;

/// Which market.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    /// Over both marketplaces.
    pub(crate) products: usize,
    /// With the warm-up.
    pub(crate) days: i32,
}

/// A market from its first day to its last.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) products: Vec<Product>,
    pub(crate) plan: Plan,
    /// One for each product.
    pub(crate) histories: Vec<History>,
    pub(crate) labels: Vec<Label>,
}

impl World {
    pub(crate) fn new(options: Options) -> World {
        let products = product::draw(&options);
        let plan = plan::draw(&options, &products);
        let histories = history::build(&options, &products, &plan);
        let labels = label::derive(&options, &products, &plan, &histories);
        World { options, products, plan, histories, labels }
    }

    /// Days on which alerts count.
    pub(crate) fn judged_days(&self) -> i32 {
        self.options.days - WARM_UP
    }
}

/// The day at an index of the market.
pub(crate) fn day(index: i32) -> Day {
    // 2025-08-25, a Monday: neither a leap day nor a change of the clocks is what this is about.
    Day::from_no(20_325 + index)
}

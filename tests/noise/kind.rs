//! What happens in a market, by name.

/// Something that happens to a product, to a source, or all the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    // Events.
    PriceCut,
    PriceRise,
    Promotion,
    /// A competitor's price goes below the main product's.
    Undercutting,
    /// Too small for a price cut, but perhaps the lowest price ever.
    SmallCut,
    RankCollapse,
    RankClimb,
    RatingFall,
    RatingRise,
    RatingsFlood,
    StockOut,
    /// Another known seller for some days.
    OtherSeller,
    /// One that was never there.
    UnknownSeller,
    Rewritten,
    Gone,
    Unseen,
    // Noise of one product.
    SmallRise,
    FlappingStock,
    PriceGlitch,
    LightningDeal,
    /// Two sellers take turns, each with a price of their own.
    SellerFlip,
    /// One that was never there, for one reading.
    PassingSeller,
    RatingGlitch,
    CountGlitch,
    RankBurst,
    RanksMissing,
    MissedReadings,
    /// The title written in another way.
    Notation,
    ImagesReordered,
    /// A wrong reading that a later one of the same day puts right, a day after.
    Corrected,
    // Noise of a source.
    GarbagePrices,
    GarbageStock,
    GarbageRanks,
    CurrencyMixup,
    MissedDay,
    /// The source is silent for days, the runs go on.
    SilentSource,
    /// No run and no reading for days.
    SilentCron,
    LateData,
    // What is always there.
    PriceWobble,
    RankBreath,
    RatingDrift,
    BusySeller,
    SellerRotation,
    /// A competitor priced like the main product, a cent more or less.
    Hovering,
    Other,
}

impl Kind {
    /// Short, as tables have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::PriceCut => "price cut",
            Kind::PriceRise => "price rise",
            Kind::Promotion => "promotion",
            Kind::Undercutting => "undercutting",
            Kind::SmallCut => "small price cut",
            Kind::RankCollapse => "rank collapse",
            Kind::RankClimb => "rank climb",
            Kind::RatingFall => "rating fall",
            Kind::RatingRise => "rating rise",
            Kind::RatingsFlood => "flood of ratings",
            Kind::StockOut => "out of stock",
            Kind::OtherSeller => "other seller",
            Kind::UnknownSeller => "unknown seller",
            Kind::Rewritten => "rewritten listing",
            Kind::Gone => "gone",
            Kind::Unseen => "unseen",
            Kind::SmallRise => "small price rise",
            Kind::FlappingStock => "flapping stock",
            Kind::PriceGlitch => "price glitch",
            Kind::LightningDeal => "lightning deal",
            Kind::SellerFlip => "sellers flipping",
            Kind::PassingSeller => "passing seller",
            Kind::RatingGlitch => "rating glitch",
            Kind::CountGlitch => "count glitch",
            Kind::RankBurst => "rank burst",
            Kind::RanksMissing => "ranks missing",
            Kind::MissedReadings => "missed readings",
            Kind::Notation => "notation of the title",
            Kind::ImagesReordered => "images reordered",
            Kind::Corrected => "corrected reading",
            Kind::GarbagePrices => "garbage: prices",
            Kind::GarbageStock => "garbage: stock",
            Kind::GarbageRanks => "garbage: ranks",
            Kind::CurrencyMixup => "currency mix-up",
            Kind::MissedDay => "missed day",
            Kind::SilentSource => "silent source",
            Kind::SilentCron => "silent cron",
            Kind::LateData => "late data",
            Kind::PriceWobble => "price wobble",
            Kind::RankBreath => "breathing rank",
            Kind::RatingDrift => "drifting rating",
            Kind::BusySeller => "busy bestseller",
            Kind::SellerRotation => "sellers taking turns",
            Kind::Hovering => "hovering competitor",
            Kind::Other => "nothing",
        }
    }

    /// Events of a product, with how common each is.
    pub(crate) const EVENTS: [(Kind, u64); 16] = [
        (Kind::PriceCut, 12),
        (Kind::PriceRise, 8),
        (Kind::Promotion, 10),
        (Kind::Undercutting, 10),
        (Kind::SmallCut, 8),
        (Kind::RankCollapse, 10),
        (Kind::RankClimb, 8),
        (Kind::RatingFall, 7),
        (Kind::RatingRise, 5),
        (Kind::RatingsFlood, 8),
        (Kind::StockOut, 12),
        (Kind::OtherSeller, 10),
        (Kind::UnknownSeller, 8),
        (Kind::Rewritten, 8),
        (Kind::Gone, 3),
        (Kind::Unseen, 3),
    ];

    /// Noise of a product, with how common each is.
    pub(crate) const NOISE: [(Kind, u64); 14] = [
        (Kind::SmallRise, 8),
        (Kind::FlappingStock, 12),
        (Kind::PriceGlitch, 12),
        (Kind::LightningDeal, 12),
        (Kind::SellerFlip, 8),
        (Kind::PassingSeller, 5),
        (Kind::RatingGlitch, 5),
        (Kind::CountGlitch, 5),
        (Kind::RankBurst, 10),
        (Kind::RanksMissing, 4),
        (Kind::MissedReadings, 8),
        (Kind::Notation, 6),
        (Kind::ImagesReordered, 5),
        (Kind::Corrected, 8),
    ];

    /// Noise of a source, each as common as the others.
    pub(crate) const INCIDENTS: [Kind; 8] = [
        Kind::GarbagePrices,
        Kind::CurrencyMixup,
        Kind::MissedDay,
        Kind::GarbageStock,
        Kind::SilentSource,
        Kind::LateData,
        Kind::GarbageRanks,
        Kind::SilentCron,
    ];

    /// True where nothing is seen.
    pub(crate) fn is_absence(self) -> bool {
        matches!(
            self,
            Kind::Unseen
                | Kind::MissedReadings
                | Kind::MissedDay
                | Kind::SilentSource
                | Kind::SilentCron
                | Kind::LateData
        )
    }

    /// Whether it can lead to alerts of a type.
    pub(crate) fn touches(self, rule: &str) -> bool {
        let is_price =
            matches!(rule, "price_drop" | "price_rise" | "price_outlier" | "all_time_low" | "undercut");
        let is_rank = matches!(rule, "bsr_worsened" | "bsr_improved");
        let is_stock = matches!(rule, "out_of_stock" | "back_in_stock");
        let is_seller = matches!(rule, "buy_box_lost" | "buy_box_seller_changed" | "new_seller");
        match self {
            Kind::PriceCut
            | Kind::PriceRise
            | Kind::Promotion
            | Kind::Undercutting
            | Kind::SmallCut
            | Kind::SmallRise
            | Kind::PriceGlitch
            | Kind::LightningDeal
            | Kind::GarbagePrices
            | Kind::CurrencyMixup => is_price,
            Kind::RankCollapse
            | Kind::RankClimb
            | Kind::RankBurst
            | Kind::RanksMissing
            | Kind::GarbageRanks => is_rank,
            Kind::RatingFall | Kind::RatingRise | Kind::RatingGlitch => {
                matches!(rule, "rating_fell" | "rating_rose")
            }
            Kind::RatingsFlood | Kind::CountGlitch => rule == "ratings_spike",
            Kind::StockOut => is_stock || is_rank || is_seller,
            Kind::FlappingStock => is_stock || is_seller,
            Kind::GarbageStock | Kind::Corrected => is_stock || is_price || is_seller,
            Kind::OtherSeller | Kind::UnknownSeller | Kind::SellerFlip | Kind::PassingSeller => {
                is_seller || is_price
            }
            Kind::Rewritten | Kind::Notation | Kind::ImagesReordered => rule == "listing_changed",
            Kind::Gone => rule == "product_gone",
            _ => self.is_absence(),
        }
    }

    pub(crate) fn is_event(self) -> bool {
        Kind::EVENTS.iter().any(|(kind, _)| *kind == self)
    }
}

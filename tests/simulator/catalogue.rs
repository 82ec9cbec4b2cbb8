//! The market behind all providers: what is true of a product on a day is a function of (seed, marketplace, ASIN, day),
//! so two providers asked about the same day agree.

use std::ops::Deref;
use std::sync::Arc;

use super::marketplaces::Marketplace;
use super::random::Random;

/// A point of the market: the same seed gives the same products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Catalogue {
    pub(crate) seed: u64,
    /// The share of well-formed ASINs that exist.
    pub(crate) existing: f64,
}

/// Whether a product can be bought, and how that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stock {
    Plenty,
    Low(i64),
    Unavailable,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seller {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Amazon itself.
    pub(crate) amazon: bool,
    /// Fulfilled by Amazon.
    pub(crate) fba: bool,
}

/// What is true of one product in one marketplace on one day. Money is in minor units.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    pub(crate) marketplace: &'static Marketplace,
    pub(crate) asin: String,
    pub(crate) title: String,
    pub(crate) brand: String,
    /// Root first; the name and the browse node.
    pub(crate) categories: Vec<(&'static str, i64)>,
    /// What SP-API calls the main group, such as `kitchen_display_on_website`.
    pub(crate) display_group: &'static str,
    /// Image ids, the main one first.
    pub(crate) images: Vec<String>,
    pub(crate) bullets: Vec<String>,
    pub(crate) ean: String,
    pub(crate) today: Today,
}

impl Deref for Fact {
    type Target = Today;

    fn deref(&self) -> &Today {
        &self.today
    }
}

/// The part of a fact that changes from day to day.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Today {
    /// Absent when nobody offers the product.
    pub(crate) price: Option<i64>,
    /// Absent, or above the price.
    pub(crate) list_price: Option<i64>,
    /// Who holds the buy box; absent with the price.
    pub(crate) seller: Option<Arc<Seller>>,
    pub(crate) stock: Stock,
    /// Offers in new condition.
    pub(crate) offers: i64,
    /// Tenths of a star.
    pub(crate) rating: Option<i64>,
    pub(crate) ratings: i64,
    /// In the root category.
    pub(crate) rank: i64,
    /// In the leaf category.
    pub(crate) leaf_rank: i64,
    pub(crate) monthly_sold: i64,
}

struct Branch {
    group: &'static str,
    path: &'static [(&'static str, i64)],
    things: &'static [&'static str],
}

static BRANCHES: &[Branch] = &[
    Branch {
        group: "ce_display_on_website",
        path: &[
            ("Electronics", 172_282),
            ("Headphones, Earbuds & Accessories", 24_046_923_011),
            ("Earbud & In-Ear Headphones", 12_097_478_011),
        ],
        things: &["Wireless Earbuds", "In-Ear Headphones", "Sport Earphones"],
    },
    Branch {
        group: "kitchen_display_on_website",
        path: &[
            ("Home & Kitchen", 1_055_398),
            ("Coffee, Tea & Espresso", 915_194),
            ("Pour Over Coffee Makers", 3_741_161),
        ],
        things: &["Pour Over Coffee Maker", "Coffee Dripper 4-Cup", "Gooseneck Kettle 1.0 L"],
    },
    Branch {
        group: "beauty_display_on_website",
        path: &[
            ("Beauty & Personal Care", 3_760_911),
            ("Skin Care", 11_060_451),
            ("Facial Serums", 7_792_528_011),
        ],
        things: &["Vitamin C Serum 30 ml", "Hyaluronic Serum", "Niacinamide Drops 5 %"],
    },
    Branch {
        group: "toy_display_on_website",
        path: &[
            ("Toys & Games", 165_793_011),
            ("Building Toys", 166_092_011),
            ("Building Sets (Wood)", 23_478_735_011),
        ],
        things: &["Building Blocks 120 Pieces", "Marble Run", "Wooden Train Set"],
    },
];

static MAKERS: &[&str] =
    &["Norvik", "Halden & Co", "Zephyr", "Kōyō", "Brightleaf", "O'Mara", "Lumino", "Señor Café"];
static TRAITS: &[&str] =
    &["2-Pack", "Ultra-Light", "with \"Quick-Lock\"", "Black/Grey", "BPA-Free", "2nd Gen", "XL"];
static CLAIMS: &[&str] = &[
    "EASY TO CLEAN: all parts are dishwasher safe",
    "MADE TO LAST – tested for 10,000 cycles",
    "What's in the box: the product, a pouch & a manual",
    "Fits most adults; adjustable from 18 to 24 cm",
    "24-month warranty, answered within 24 hours",
];

impl Catalogue {
    fn stream(&self, marketplace: &Marketplace, asin: &str, what: &str) -> Random {
        Random::named(self.seed, &[what, marketplace.code, asin])
    }

    /// Whether a string could be an ASIN at all.
    pub(crate) fn is_well_formed(asin: &str) -> bool {
        asin.len() == 10 && asin.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    }

    /// Whether every provider knows the product.
    pub(crate) fn exists(&self, marketplace: &Marketplace, asin: &str) -> bool {
        Self::is_well_formed(asin) && self.stream(marketplace, asin, "exists").chance(self.existing)
    }

    /// `count` ASINs that exist in the marketplace, always the same ones.
    pub(crate) fn existing_asins(&self, marketplace: &Marketplace, count: usize) -> Vec<String> {
        self.asins(marketplace).filter(|asin| self.exists(marketplace, asin)).take(count).collect()
    }

    /// `count` ASINs that no provider finds in the marketplace.
    pub(crate) fn missing_asins(&self, marketplace: &Marketplace, count: usize) -> Vec<String> {
        if self.existing >= 1.0 {
            return Vec::new();
        }
        self.asins(marketplace).filter(|asin| !self.exists(marketplace, asin)).take(count).collect()
    }

    fn asins(&self, marketplace: &Marketplace) -> impl Iterator<Item = String> {
        let random = Random::named(self.seed, &["asins", marketplace.code]);
        (0..).map(move |index| format!("B0{}", random.of(index).code(8)))
    }

    /// What is true on `day` (days since 1970-01-01, UTC); null for a product that does not exist.
    pub(crate) fn fact(&self, marketplace: &'static Marketplace, asin: &str, day: i64) -> Option<Fact> {
        if !self.exists(marketplace, asin) {
            return None;
        }
        // What the product is depends on the ASIN alone; what it costs depends on the marketplace too.
        let mut product = Random::named(self.seed, &["product", asin]);
        let branch = product.pick(BRANCHES);
        let brand = (*product.pick(MAKERS)).to_owned();
        let title = format!(
            "{brand} {}, {} - Model {}",
            product.pick(branch.things),
            product.pick(TRAITS),
            product.code(4)
        );
        let images = (0..3).map(|_| format!("{}{}", product.between(41, 81), product.id(9))).collect();
        let bullets = (0..product.between(2, 5)).map(|index| CLAIMS[index as usize].to_owned()).collect();
        let ean = format!("40{:011}", product.below(100_000_000_000));

        Some(Fact {
            marketplace,
            asin: asin.to_owned(),
            title,
            brand,
            categories: branch.path.to_vec(),
            display_group: branch.group,
            images,
            bullets,
            ean,
            today: self.course(marketplace, asin).on(day),
        })
    }

    /// What changes about a product that exists, for all days.
    pub(crate) fn course(&self, marketplace: &'static Marketplace, asin: &str) -> Course {
        let mut local = self.stream(marketplace, asin, "local");
        let base = local.between(50, 3_000) * 10 + 9;
        let blue = Seller {
            id: format!("A{}", local.code(13)),
            name: "Blue Harbor & Sons".into(),
            amazon: false,
            fba: true,
        };
        let amazon = local.chance(0.4);
        let other = if amazon {
            let name = format!("Amazon{}", &marketplace.domain["amazon".len()..]);
            Seller { id: amazon_seller_id(marketplace), name, amazon, fba: true }
        } else {
            Seller { id: format!("A{}", local.code(13)), name: "Møller Direct".into(), amazon, fba: false }
        };
        Course {
            base,
            listed: local.chance(0.5),
            phase: local.between(0, 60),
            sellers: [Arc::new(blue), Arc::new(other)],
            rating: local.chance(0.95).then(|| local.between(32, 48)),
            ratings_start: local.between(5, 9_000),
            ratings_pace: local.between(0, 6),
            rank: local.between(1, 9) * 10_i64.pow(local.between(1, 5) as u32),
            weeks: self.stream(marketplace, asin, "price"),
            spans: self.stream(marketplace, asin, "stock"),
            days: self.stream(marketplace, asin, "today"),
        }
    }
}

/// A product's way through the days.
pub(crate) struct Course {
    base: i64,
    listed: bool,
    phase: i64,
    sellers: [Arc<Seller>; 2],
    rating: Option<i64>,
    ratings_start: i64,
    ratings_pace: i64,
    rank: i64,
    weeks: Random,
    spans: Random,
    days: Random,
}

impl Course {
    pub(crate) fn on(&self, day: i64) -> Today {
        // A price holds for eight days; now and then nobody offers the product for two.
        let mut week = self.weeks.of((day + self.phase).div_euclid(8));
        let mut span = self.spans.of((day + self.phase).div_euclid(2));
        let mut random = self.days.of(day);
        let price = self.base * week.between(80, 115) / 100;
        let seller = &self.sellers[usize::from(week.chance(0.7))];
        let offered = !span.chance(0.05);
        let stock = match (offered, span.chance(0.1)) {
            (false, _) => Stock::Unavailable,
            (true, true) => Stock::Low(span.between(1, 12)),
            (true, false) => Stock::Plenty,
        };
        let list_price = (self.listed && offered).then_some(self.base * 6 / 5).filter(|list| *list > price);
        let rank = (self.rank * random.between(70, 130) / 100).max(1);
        Today {
            price: offered.then_some(price),
            list_price,
            seller: offered.then(|| Arc::clone(seller)),
            stock,
            offers: if offered { span.between(1, 9) } else { 0 },
            rating: self.rating.map(|tenths| tenths + (day / 60).rem_euclid(3)),
            ratings: self
                .rating
                .map_or(0, |_| self.ratings_start + self.ratings_pace * (day - FIRST_DAY).max(0)),
            rank,
            leaf_rank: rank / 40 + 1,
            monthly_sold: *random.pick(&[0, 50, 100, 300, 1_000, 4_000]),
        }
    }
}

/// 2024-01-01: ratings grow from there.
const FIRST_DAY: i64 = 19_723;

fn amazon_seller_id(marketplace: &Marketplace) -> String {
    match marketplace.code {
        "US" => "ATVPDKIKX0DER".into(),
        "JP" => "AN1VRQENFRJN5".into(),
        "ES" => "A1AT7YVPFBWXBL".into(),
        "FR" => "A1X6FK5RDHNB96".into(),
        "BR" => "A1ZZFT5FULY4LN".into(),
        "SA" => "A2XPWB6MYN7ZDK".into(),
        code => format!("A3AMAZONSIM{code}0"),
    }
}

impl Fact {
    pub(crate) fn root(&self) -> (&'static str, i64) {
        self.categories[0]
    }

    pub(crate) fn leaf(&self) -> (&'static str, i64) {
        self.categories[self.categories.len() - 1]
    }

    pub(crate) fn url(&self) -> String {
        format!("https://www.{}/dp/{}", self.marketplace.domain, self.asin)
    }

    pub(crate) fn image_url(&self, index: usize, size: &str) -> String {
        format!("https://m.media-amazon.com/images/I/{}._AC_{size}_.jpg", self.images[index])
    }

    /// The availability line in English, as the actors give it.
    pub(crate) fn stock_text(&self) -> String {
        match self.stock {
            Stock::Plenty => "In Stock".into(),
            Stock::Low(left) => format!("Only {left} left in stock - order soon."),
            Stock::Unavailable => {
                "Currently unavailable. We don't know when or if this item will be back in stock.".into()
            }
        }
    }
}

/// The marketplace and the ASIN of a product page's address.
pub(crate) fn read_url(url: &str) -> Option<(&'static Marketplace, String)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let marketplace = Marketplace::by_domain(host)?;
    let segments: Vec<&str> = path.split(['/', '?', '#']).collect();
    let after = |mark: &str| segments.iter().position(|segment| *segment == mark).map(|index| index + 1);
    let asin = segments.get(after("dp").or_else(|| after("product"))?)?;
    Catalogue::is_well_formed(asin).then(|| (marketplace, (*asin).to_owned()))
}

//! The words of the synthetic market: category trees with their names in four languages, brands, sellers, prose.

use crate::model::Marketplace;

/// The language a page is shown in; it is not always the marketplace's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Language {
    English,
    German,
    Japanese,
    /// Traditional Chinese, as amazon.com shows it to some sessions.
    Chinese,
}

impl Language {
    /// The language of most of a marketplace's pages; English stands in where no words are known here.
    pub(super) fn of(marketplace: Marketplace) -> Language {
        match marketplace {
            Marketplace::De => Language::German,
            Marketplace::Jp => Language::Japanese,
            _ => Language::English,
        }
    }
}

/// One text in every language: English, German, Japanese, Traditional Chinese.
pub(super) type Words = [&'static str; 4];

pub(super) fn said(words: &Words, language: Language) -> &'static str {
    match language {
        Language::English => words[0],
        Language::German => words[1],
        Language::Japanese => words[2],
        Language::Chinese => words[3],
    }
}

/// A browse node: a place in a category tree, with Amazon's way of numbering it.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Node {
    pub(super) id: &'static str,
    pub(super) words: Words,
}

impl Node {
    pub(super) fn name(&self, language: Language) -> &'static str {
        said(&self.words, language)
    }
}

/// A branch of the tree: the root with a main rank, a step between, and two leaves that products flip between.
pub(super) struct Category {
    /// The root's word in addresses: `/gp/bestsellers/electronics/…`.
    pub(super) slug: &'static str,
    pub(super) root: Node,
    pub(super) middle: Node,
    pub(super) leaves: [Node; 2],
    pub(super) noun: Words,
    /// What titles and bullets boast of.
    pub(super) traits: [&'static str; 8],
    /// What a product of the kind costs, in whole units of a dollar-like currency.
    pub(super) typical_price: i64,
}

const fn node(id: &'static str, words: Words) -> Node {
    Node { id, words }
}

pub(super) static CATEGORIES: [Category; 5] = [
    Category {
        slug: "electronics",
        root: node("172282", ["Electronics", "Elektronik & Foto", "家電＆カメラ", "電子"]),
        middle: node("172541", ["Headphones & Earbuds", "Kopfhörer", "ヘッドホン・イヤホン", "頭戴式耳機"]),
        leaves: [
            node(
                "12097478011",
                [
                    "Earbud & In-Ear Headphones",
                    "In-Ear-Kopfhörer",
                    "イヤホン・ヘッドホン",
                    "耳塞式與耳道式耳機",
                ],
            ),
            node(
                "12097479011",
                ["Over-Ear Headphones", "Over-Ear-Kopfhörer", "オーバーイヤーヘッドホン", "耳罩式耳機"],
            ),
        ],
        noun: ["Wireless Earbuds", "Kabellose Kopfhörer", "ワイヤレスイヤホン", "無線耳機"],
        traits: [
            "Bluetooth 5.4",
            "Noise Cancelling",
            "48 Hours Playtime",
            "IPX7 Waterproof",
            "Touch Control",
            "USB-C Fast Charging",
            "Clear Calls",
            "Deep Bass",
        ],
        typical_price: 35,
    },
    Category {
        slug: "kitchen",
        root: node(
            "1055398",
            ["Home & Kitchen", "Küche, Haushalt & Wohnen", "ホーム＆キッチン", "居家與廚房"],
        ),
        middle: node("289913", ["Small Appliances", "Kleine Küchengeräte", "キッチン家電", "小型家電"]),
        leaves: [
            node("289749", ["Electric Kettles", "Wasserkocher", "電気ケトル", "電熱水壺"]),
            node("289745", ["Coffee Machines", "Kaffeemaschinen", "コーヒーメーカー", "咖啡機"]),
        ],
        noun: ["Electric Kettle", "Wasserkocher", "電気ケトル", "電熱水壺"],
        traits: [
            "1.7 Litres",
            "2200 W",
            "Keep Warm Function",
            "Stainless Steel",
            "Auto Shut-Off",
            "BPA Free",
            "Temperature Display",
            "Cool Touch",
        ],
        typical_price: 45,
    },
    Category {
        slug: "sporting-goods",
        root: node(
            "3375251",
            ["Sports & Outdoors", "Sport & Freizeit", "スポーツ＆アウトドア", "運動與戶外"],
        ),
        middle: node("3407731", ["Exercise & Fitness", "Fitness", "フィットネス", "健身"]),
        leaves: [
            node("3422251", ["Resistance Bands", "Fitnessbänder", "トレーニングチューブ", "彈力帶"]),
            node("3422301", ["Yoga Mats", "Yogamatten", "ヨガマット", "瑜伽墊"]),
        ],
        noun: ["Exercise Mat", "Gymnastikmatte", "トレーニングマット", "健身墊"],
        traits: [
            "Extra Thick",
            "Non-Slip",
            "with Carry Strap",
            "Easy to Clean",
            "for Yoga and Pilates",
            "Odourless",
            "Double Sided",
            "183 x 61 cm",
        ],
        typical_price: 24,
    },
    Category {
        slug: "toys-and-games",
        root: node("165793011", ["Toys & Games", "Spielzeug", "おもちゃ", "玩具與遊戲"]),
        middle: node("166269011", ["Puzzles", "Puzzles", "パズル", "拼圖"]),
        leaves: [
            node("166363011", ["Jigsaw Puzzles", "Legepuzzles", "ジグソーパズル", "拼圖遊戲"]),
            node("166360011", ["3-D Puzzles", "3D-Puzzles", "立体パズル", "立體拼圖"]),
        ],
        noun: ["Jigsaw Puzzle", "Puzzle", "ジグソーパズル", "拼圖"],
        traits: [
            "1000 Pieces",
            "500 Pieces",
            "for Adults",
            "Thick Cardboard",
            "No Dust",
            "with Poster",
            "Matt Finish",
            "Gift Box",
        ],
        typical_price: 19,
    },
    Category {
        slug: "office-products",
        root: node(
            "1064954",
            ["Office Products", "Bürobedarf & Schreibwaren", "文房具・オフィス用品", "辦公用品"],
        ),
        middle: node("1069242", ["Office Lighting", "Bürobeleuchtung", "オフィス照明", "辦公照明"]),
        leaves: [
            node("1069332", ["Desk Lamps", "Schreibtischlampen", "デスクライト", "檯燈"]),
            node("1069334", ["Clip-On Lights", "Klemmleuchten", "クリップライト", "夾燈"]),
        ],
        noun: ["Desk Lamp", "Schreibtischlampe", "デスクライト", "檯燈"],
        traits: [
            "Dimmable",
            "5 Colour Temperatures",
            "Eye Caring",
            "with USB Charging Port",
            "Foldable",
            "Touch Control",
            "Memory Function",
            "10 W LED",
        ],
        typical_price: 29,
    },
];

pub(super) const BRANDS: [&str; 24] = [
    "Avelora", "Brindt", "Corvane", "Dunmere", "Eastvale", "Fennick", "Galdora", "Hollin", "Istrava",
    "Jorvik", "Kestrow", "Lumessa", "Marlowe", "Nordhavn", "Orbitex", "Pellworm", "Quillan", "Rivenna",
    "Solvane", "Tamsin", "Umbrel", "Vantora", "Westrick", "Zephora",
];

pub(super) const MODELS: [&str; 12] =
    ["Air", "Classic", "Core", "Duo", "Edge", "Flex", "Go", "Max", "Mini", "One", "Plus", "Pro"];

pub(super) const COLORS: [&str; 8] = ["Black", "White", "Navy", "Sage", "Graphite", "Coral", "Sand", "Teal"];

/// Half-sentences that descriptions and reviews are put together from.
pub(super) const OPENINGS: [&str; 12] = [
    "After two weeks of daily use",
    "Out of the box",
    "Compared with the older model",
    "On longer trips",
    "In a quiet room",
    "For the price",
    "Right after the first charge",
    "With the enclosed manual",
    "At the weekend",
    "Under heavy load",
    "In everyday life",
    "Once it is set up",
];

pub(super) const MIDDLES: [&str; 12] = [
    "the build quality feels solid and well thought out",
    "the handling is simple even without reading anything",
    "the finish shows no marks or scratches so far",
    "the size fits exactly where it should go",
    "everything works the way the description says",
    "the material is pleasant to touch and easy to wipe",
    "the battery holds clearly longer than promised",
    "the noise is low enough for a shared office",
    "the packaging was compact and free of plastic",
    "the fit is comfortable and stays in place",
    "the controls react quickly and without errors",
    "the whole family has started to use it",
];

pub(super) const ENDINGS: [&str; 10] = [
    "and it has become part of the routine.",
    "so a second one has been ordered as a gift.",
    "which cannot be said of many products in this class.",
    "although the cable could be a little longer.",
    "and the support answered within one day.",
    "even though it took a moment to get used to it.",
    "so there is nothing to complain about.",
    "and that is worth the difference in price.",
    "while the weight hardly changes in the bag.",
    "and the guarantee covers the rest.",
];

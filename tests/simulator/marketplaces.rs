//! The marketplaces, as the providers name them.

/// One marketplace: its domain, its Amazon id, its money, and Keepa's number where Keepa covers it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Marketplace {
    pub(crate) code: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) amazon_id: &'static str,
    pub(crate) currency: &'static str,
    pub(crate) symbol: &'static str,
    pub(crate) tongue: Tongue,
    pub(crate) keepa: Option<i64>,
}

/// The language of a marketplace's pages. Several marketplaces show English to foreign visitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tongue {
    English,
    German,
    French,
    Spanish,
    Portuguese,
    Japanese,
}

macro_rules! marketplaces {
    ($($code:literal $domain:literal $id:literal $currency:literal $symbol:literal $tongue:ident $keepa:expr;)+) => {
        pub(crate) static ALL: &[Marketplace] = &[$(Marketplace {
            code: $code, domain: $domain, amazon_id: $id, currency: $currency, symbol: $symbol,
            tongue: Tongue::$tongue, keepa: $keepa,
        }),+];
    };
}

marketplaces! {
    "US" "amazon.com" "ATVPDKIKX0DER" "USD" "$" English Some(1);
    "UK" "amazon.co.uk" "A1F83G8C2ARO7P" "GBP" "£" English Some(2);
    "DE" "amazon.de" "A1PA6795UKMFR9" "EUR" "€" German Some(3);
    "FR" "amazon.fr" "A13V1IB3VIYZZH" "EUR" "€" French Some(4);
    "JP" "amazon.co.jp" "A1VC38T7YXB528" "JPY" "￥" Japanese Some(5);
    "CA" "amazon.ca" "A2EUQ1WTGCTBG2" "CAD" "$" English Some(6);
    "IT" "amazon.it" "APJ6JRA9NG5V4" "EUR" "€" English Some(8);
    "ES" "amazon.es" "A1RKKUPIHCS9HS" "EUR" "€" Spanish Some(9);
    "IN" "amazon.in" "A21TJRUUN4KGV" "INR" "₹" English Some(10);
    "MX" "amazon.com.mx" "A1AM78C64UM0Y8" "MXN" "$" English Some(11);
    "BR" "amazon.com.br" "A2Q3Y263D00KWC" "BRL" "R$" Portuguese Some(12);
    "AU" "amazon.com.au" "A39IBJ37TRP1C6" "AUD" "$" English None;
    "NL" "amazon.nl" "A1805IZSGTT6HS" "EUR" "€" English None;
    "SE" "amazon.se" "A2NODRKZP88ZB9" "SEK" "kr" English None;
    "PL" "amazon.pl" "A1C3SOZRARQ6R3" "PLN" "zł" English None;
    "BE" "amazon.com.be" "AMEN7PMS3EDWL" "EUR" "€" English None;
    "TR" "amazon.com.tr" "A33AVAJ2PDY3EV" "TRY" "TL" English None;
    "AE" "amazon.ae" "A2VIGQ35RCS4UG" "AED" "AED" English None;
    "SA" "amazon.sa" "A17E79C6D8DWNP" "SAR" "SAR" English None;
    "SG" "amazon.sg" "A19VAU5U5O7RUS" "SGD" "S$" English None;
    "EG" "amazon.eg" "ARBP9OOSHTCHU" "EGP" "EGP" English None;
    "ZA" "amazon.co.za" "AE08WJ6YKNBMC" "ZAR" "R" English None;
    "IE" "amazon.ie" "A28R8C7NBKEWEA" "EUR" "€" English None;
}

impl Marketplace {
    pub(crate) fn by_code(code: &str) -> Option<&'static Marketplace> {
        ALL.iter().find(|marketplace| marketplace.code == code)
    }

    pub(crate) fn by_amazon_id(id: &str) -> Option<&'static Marketplace> {
        ALL.iter().find(|marketplace| marketplace.amazon_id == id)
    }

    pub(crate) fn by_keepa(number: i64) -> Option<&'static Marketplace> {
        ALL.iter().find(|marketplace| marketplace.keepa == Some(number))
    }

    /// Takes `amazon.de` and `www.amazon.de`.
    pub(crate) fn by_domain(host: &str) -> Option<&'static Marketplace> {
        let bare = host.strip_prefix("www.").unwrap_or(host);
        ALL.iter().find(|marketplace| marketplace.domain == bare)
    }

    /// Yen have no minor unit.
    pub(crate) fn digits(&self) -> u32 {
        if self.currency == "JPY" { 0 } else { 2 }
    }

    /// An amount of minor units as a JSON number in major units: an integer when it is a whole one.
    pub(crate) fn number(&self, minor: i64) -> serde_json::Value {
        let unit = 10_i64.pow(self.digits());
        if minor % unit == 0 {
            serde_json::Value::from(minor / unit)
        } else {
            serde_json::Value::from(minor as f64 / unit as f64)
        }
    }

    /// An amount of minor units with a dot, as in `1499.99`.
    pub(crate) fn plain(&self, minor: i64) -> String {
        match self.digits() {
            0 => minor.to_string(),
            _ => format!("{}.{:02}", minor / 100, minor % 100),
        }
    }

    /// An amount as the marketplace's pages write it.
    pub(crate) fn price_text(&self, minor: i64) -> String {
        let (whole, decimals) = match self.digits() {
            0 => (minor, None),
            _ => (minor / 100, Some(minor % 100)),
        };
        let (group, mark) = self.tongue.marks();
        let mut text = grouped(whole, group);
        if let Some(decimals) = decimals {
            text.push_str(&format!("{mark}{decimals:02}"));
        }
        match (self.tongue, self.symbol) {
            (Tongue::German | Tongue::French, symbol) | (Tongue::Spanish, symbol @ "€") => {
                format!("{text}\u{a0}{symbol}")
            }
            (_, symbol) if symbol.len() > 1 && symbol.is_ascii() => format!("{symbol}\u{a0}{text}"),
            (_, symbol) => format!("{symbol}{text}"),
        }
    }
}

impl Tongue {
    /// The group mark and the decimal mark of prices.
    pub(crate) fn marks(self) -> (&'static str, &'static str) {
        match self {
            Tongue::German | Tongue::Portuguese => (".", ","),
            Tongue::French => ("\u{202f}", ","),
            Tongue::Spanish => (".", ","),
            Tongue::English | Tongue::Japanese => (",", "."),
        }
    }

    pub(crate) fn html_lang(self) -> &'static str {
        match self {
            Tongue::English => "en-us",
            Tongue::German => "de-de",
            Tongue::French => "fr-fr",
            Tongue::Spanish => "es-es",
            Tongue::Portuguese => "pt-br",
            Tongue::Japanese => "ja-jp",
        }
    }
}

/// A whole number with a mark between groups of three digits.
pub(crate) fn grouped(number: i64, mark: &str) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * mark.len());
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push_str(mark);
        }
        text.push(digit);
    }
    text
}

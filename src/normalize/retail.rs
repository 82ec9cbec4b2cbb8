//! Seller ids under which Amazon itself sells.

/// Ids seen in real answers: United States, Japan, Spain, France, Brazil, Saudi Arabia.
const AMAZON_SELLERS: [&str; 6] = [
    "ATVPDKIKX0DER",
    "AN1VRQENFRJN5",
    "A1AT7YVPFBWXBL",
    "A1X6FK5RDHNB96",
    "A1ZZFT5FULY4LN",
    "A2XPWB6MYN7ZDK",
];

/// True for an id that is known to be Amazon's; false says nothing, for not all of them are known.
pub(super) fn is_amazon_seller(seller_id: &str) -> bool {
    AMAZON_SELLERS.contains(&seller_id)
}

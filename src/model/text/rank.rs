//! Best-seller ranks written as a sentence, in every language of the marketplaces.

use super::clean::clean_text;
use super::number::{Number, is_ignorable};
use crate::model::Rank;

/// What may stand right before a rank, in lower case. Longer forms first.
const PREFIXES: [&str; 16] = [
    "n.º",
    "n.°",
    "nº",
    "n°",
    "nr.",
    "nr",
    "no.",
    "n.",
    "№",
    "#",
    "＃",
    "رقم",
    "商品里排第",
    "排第",
    "第",
    "- ",
];

/// What may stand between a rank and its category, in lower case, with the spaces that make it a word.
const LINKS: [&str; 17] = [
    " in: ", " in ", " en ", " em ", " i ", " w: ", " w ", " dans ", " på ", " 在 ", "在", " في ", "位: ",
    "位", "名: ", "名", "．",
];

/// Labels of the row that holds the ranks, lower case, as far as they are known.
const LABELS: [&str; 16] = [
    "best sellers rank",
    "bestsellers rank",
    "best-sellers rank",
    "amazon bestseller",
    "bestseller-rang",
    "más vendidos",
    "meilleures ventes",
    "mais vendidos",
    "classifica bestseller",
    "bestsellerlijst",
    "bästsäljare",
    "bestsellerów",
    "en çok satanlar",
    "売れ筋ランキング",
    "銷商品排名",
    "销商品排名",
];

/// True when a detail of this name holds best-seller ranks.
pub fn is_rank_label(name: &str) -> bool {
    let folded = name.to_lowercase();
    LABELS.iter().any(|label| folded.contains(label)) || folded.contains("الأفضل مبيع")
}

/// Where an entry begins in the text, and where its category does.
struct Entry {
    start: usize,
    category_start: usize,
    rank: i64,
}

/// All ranks of `#35,077 in Electronics (See Top 100 in Electronics) #2,607 in Earbud & In-Ear Headphones`, in
/// order. The entry with a parenthesis that leads to its top 100 is the main one; there may be none.
///
/// Ranks are not judged: a rank of 0 is returned as such. Categories carry no id in this form.
pub fn parse_ranks(text: &str) -> Vec<Rank> {
    let text: String = clean_text(text).chars().filter(|&c| !is_ignorable(c)).collect();
    let entries = entries(&text);
    if entries.is_empty() {
        return parse_category_first(&text);
    }
    let mut ranks: Vec<Rank> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let end = entries.get(index + 1).map_or(text.len(), |next| next.start);
        let (category, has_top_100) = split_top_100(&text[entry.category_start..end]);
        if category.is_empty() {
            continue;
        }
        let is_main = has_top_100 && !ranks.iter().any(|rank| rank.is_main);
        ranks.push(Rank { category_id: None, category: category.to_owned(), rank: entry.rank, is_main });
    }
    ranks
}

/// Finds the beginnings of entries. One without a prefix begins only where nothing else can stand: at the start,
/// after a label, or after a parenthesis (`#5 in 2 in 1 Laptops` is one entry).
fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut depth = 0_usize;
    let mut free_start = true;
    let mut position = 0;
    while let Some(c) = text[position..].chars().next() {
        let rest = &text[position..];
        if c != ' ' {
            let after_word = text[..position].chars().next_back().is_some_and(char::is_alphanumeric);
            let is_hash = matches!(c, '#' | '＃');
            if (depth == 0 && !after_word || is_hash)
                && let Some((rank, used)) = entry_at(rest, free_start)
            {
                entries.push(Entry { start: position, category_start: position + used, rank });
                position += used;
                depth = 0;
                free_start = false;
                continue;
            }
            free_start = matches!(c, ')' | '）' | ':' | '：' | ';' | '-' | '|');
        }
        match c {
            '(' | '（' => depth += 1,
            ')' | '）' => depth = depth.saturating_sub(1),
            _ => {}
        }
        position += c.len_utf8();
    }
    entries
}

/// Reads prefix, rank and link word at the beginning of `text`: the rank and how many bytes they take.
fn entry_at(text: &str, may_lack_prefix: bool) -> Option<(i64, usize)> {
    let without_prefix = strip_any(text, &PREFIXES);
    if without_prefix.is_none() && !may_lack_prefix {
        return None;
    }
    let number_text = without_prefix.unwrap_or(text).trim_start();
    if !number_text.chars().next().is_some_and(char::is_numeric) {
        return None;
    }
    let number = Number::first(number_text)?;
    let rank = number.whole()?;
    let rest = match strip_any(number.after, &LINKS) {
        Some(rest) => rest,
        // `#1.234 Elektronik kategorisinde`: with a hash the link word may be missing.
        None if text.starts_with(['#', '＃']) => number.after,
        None => return None,
    };
    // `家電 - 27位 (…)`: the category stood before the rank.
    if rest.trim_start().is_empty() || rest.trim_start().starts_with(['(', '（']) {
        return None;
    }
    Some((rank, text.len() - rest.len()))
}

/// The rest of `text` after the first of `words` (lower case) that it begins with, in any case.
fn strip_any<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().find_map(|word| {
        let mut rest = text.chars();
        for expected in word.chars() {
            let found = rest.next()?;
            if found != expected && found.to_lowercase().next() != Some(expected) {
                return None;
            }
        }
        Some(rest.as_str())
    })
}

/// The category's name, and whether a parenthesis behind it leads to its top 100. Other parentheses are part of
/// the name (`Political Fiction (Books)`).
fn split_top_100(text: &str) -> (&str, bool) {
    let mut opened = text.char_indices().filter(|&(_, c)| matches!(c, '(' | '（'));
    let cut = opened.find(|&(at, _)| is_top_100(&text[at..]));
    let name = cut.map_or(text, |(at, _)| &text[..at]);
    let name = name.trim().trim_end_matches(['-', '›', '|', ';', ',', '。']).trim();
    (strip_turkish_case(name), cut.is_some())
}

/// True when the parenthesis that opens here speaks of a hundred or of a list of best sellers.
fn is_top_100(text: &str) -> bool {
    let end = text.find([')', '）']).unwrap_or(text.len());
    let inside = text[..end].to_lowercase();
    let numbers: Vec<&str> = inside.split(|c: char| !c.is_numeric()).collect();
    numbers.contains(&"100")
        || numbers.contains(&"١٠٠")
        || ["ランキング", "排行榜", "bestseller", "best sellers"].iter().any(|word| inside.contains(word))
}

fn strip_turkish_case(name: &str) -> &str {
    [" kategorisinde", " kategorisindeki"].iter().find_map(|word| name.strip_suffix(word)).unwrap_or(name)
}

/// `家電＆カメラ - 27位 (…) イヤホン - 3位`, `Elektronik kategorisinde 1.234 numara (…)`: the category comes first.
fn parse_category_first(text: &str) -> Vec<Rank> {
    let mut ranks: Vec<Rank> = Vec::new();
    let mut rest = text;
    while let Some(number) = Number::first(rest) {
        let unit = strip_any(number.after, &["位", " 位", "名", ". sırada", " numara", " sırada"]);
        let name = number.before.trim();
        let name = name.rsplit_once([':', '：']).map_or(name, |(_, name)| name);
        let name = strip_turkish_case(name.trim().trim_end_matches('-').trim());
        let (Some(after), Some(rank)) = (unit, number.whole()) else {
            // A digit inside a name: the entry cannot be told apart from its neighbours.
            return ranks;
        };
        let after = after.trim_start();
        let parenthesis = after.starts_with(['(', '（']).then(|| after.find([')', '）'])).flatten();
        let has_top_100 = parenthesis.is_some() && is_top_100(after);
        let closing = parenthesis.and_then(|at| after[at..].chars().next().map(|c| at + c.len_utf8()));
        rest = closing.map_or(after, |end| &after[end..]);
        if !name.is_empty() {
            let is_main = has_top_100 && !ranks.iter().any(|rank| rank.is_main);
            ranks.push(Rank { category_id: None, category: name.to_owned(), rank, is_main });
        }
    }
    ranks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let line = |r: Rank| format!("{}{} {}", if r.is_main { "*" } else { "" }, r.rank, r.category);
        parse_ranks(text).into_iter().map(line).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn ranks_are_read_in_every_language() {
        for (text, expected) in [
            (
                "#35,077 in Electronics (See Top 100 in Electronics) #2,607 in Earbud & In-Ear Headphones",
                "*35077 Electronics | 2607 Earbud & In-Ear Headphones",
            ),
            (
                "#304 in Electronics (See Top 100 in Electronics) #13 in Over-Ear Headphones #50 in Earbud & In-Ear Headphones",
                "*304 Electronics | 13 Over-Ear Headphones | 50 Earbud & In-Ear Headphones",
            ),
            (
                "#975 在 電子 (請參閱 電子 前 100 名) #150 在 耳塞式與耳道式耳機",
                "*975 電子 | 150 耳塞式與耳道式耳機",
            ),
            (
                "商品里排第1,234名电子产品 (查看商品销售排行榜电子产品) 商品里排第12名耳机",
                "*1234 电子产品 | 12 耳机",
            ),
            (
                "Nr. 1.234 in Elektronik & Foto (Siehe Top 100 in Elektronik & Foto) Nr. 12 in In-Ear-Kopfhörer",
                "*1234 Elektronik & Foto | 12 In-Ear-Kopfhörer",
            ),
            (
                "1\u{a0}234 en High-Tech (Voir les 100 premiers en High-Tech) 12 en Casques audio",
                "*1234 High-Tech | 12 Casques audio",
            ),
            (
                "n. 1.234 in Elettronica (Visualizza i Top 100 nella categoria Elettronica) n. 12 in Cuffie in-ear",
                "*1234 Elettronica | 12 Cuffie in-ear",
            ),
            (
                "nº1,234,567 en Electrónica (Ver el Top 100 en Electrónica) nº12 en Auriculares",
                "*1234567 Electrónica | 12 Auriculares",
            ),
            (
                "Nº 1.234 em Eletrônicos (Conheça o Top 100 na categoria Eletrônicos) Nº 12 em Fones de Ouvido",
                "*1234 Eletrônicos | 12 Fones de Ouvido",
            ),
            (
                "1,234 in Electronics & Photo (See Top 100 in Electronics & Photo) 12 in 2 in 1 Laptops",
                "*1234 Electronics & Photo | 12 2 in 1 Laptops",
            ),
            (
                "#1 234 i Elektronik (Visa topp 100 i Elektronik) #12 i Hörlurar",
                "*1234 Elektronik | 12 Hörlurar",
            ),
            (
                "1 234 w Elektronika (Zobacz Top 100 w kategorii Elektronika) 12 w Słuchawki",
                "*1234 Elektronika | 12 Słuchawki",
            ),
            (
                "#1'234 in Elektronica (Top 100 in Elektronica bekijken) #12 in Oordopjes",
                "*1234 Elektronica | 12 Oordopjes",
            ),
            (
                "Elektronik kategorisinde 1.234 numara (Elektronik kategorisindeki İlk 100'ü gör)",
                "*1234 Elektronik",
            ),
            (
                "- 3,057位家電＆カメラ (家電＆カメラの売れ筋ランキングを見る)- 208位イヤホン・ヘッドホン",
                "*3057 家電＆カメラ | 208 イヤホン・ヘッドホン",
            ),
            (
                "家電＆カメラ - 27位 (家電＆カメラの売れ筋ランキングを見る) イヤホン - 3位",
                "*27 家電＆カメラ | 3 イヤホン",
            ),
            (
                "#1,234 في إلكترونيات (شاهد أفضل 100 في إلكترونيات) #12 في سماعات",
                "*1234 إلكترونيات | 12 سماعات",
            ),
            (
                "Best Sellers Rank: #5 in Books (See Top 100 in Books) #1 in Political Fiction (Books)",
                "*5 Books | 1 Political Fiction (Books)",
            ),
            ("#9 in Political Fiction (Books) #77 in Satire", "9 Political Fiction (Books) | 77 Satire"),
            ("#10 in Electronics (See Top 100 in Electronics", "*10 Electronics"),
            ("nothing to see", ""),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn the_row_is_known_by_its_label() {
        for label in
            ["Best Sellers Rank", "暢銷商品排名", "Amazon Bestseller-Rang", "Amazon 売れ筋ランキング"]
        {
            assert!(is_rank_label(label), "{label}");
        }
        assert!(!is_rank_label("Customer Reviews"));
    }

    proptest! {
        #[test]
        fn ranks_that_were_rendered_are_read_back(
            ranks in prop::collection::vec((1_i64..300_000_000, "[A-Z][a-z]{2,8}( & [A-Z][a-z]{2,8})?"), 1..5),
        ) {
            let mut text = String::new();
            for (index, (rank, name)) in ranks.iter().enumerate() {
                text.push_str(&format!("#{rank} in {name} "));
                if index == 0 {
                    text.push_str(&format!("(See Top 100 in {name}) "));
                }
            }
            let read = parse_ranks(&text);
            let pairs: Vec<_> = read.iter().map(|r| (r.rank, r.category.clone())).collect();
            prop_assert_eq!(pairs, ranks);
            prop_assert!(read[0].is_main && read[1..].iter().all(|r| !r.is_main));
        }

        #[test]
        fn no_text_makes_the_rank_reader_panic(text in "[#0-9 ()（在位in,.名#\u{a0}a-zé-]{0,80}") {
            let _ = parse_ranks(&text);
        }
    }
}

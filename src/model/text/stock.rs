//! What a page's stock sentence means, by a word table per language.

use super::clean::clean_text;
use super::number::Number;
use crate::model::Availability;

/// Phrases in lower case, in the order in which they are looked for: what refuses comes before what promises, so
/// that "currently unavailable … back in stock" is not in stock.
const CONTAINED: &[(Availability, &[&str])] = &[
    (
        Availability::NotDeliverableToLocation,
        &[
            "cannot be shipped to",
            "cannot be delivered to",
            "can't be shipped to",
            "does not ship to",
            "doesn't ship to",
            "kann nicht an den",
            "kann nicht an die",
            "nicht an deinen ausgewählten",
            "nicht an ihren ausgewählten",
            "kann nicht nach",
            "nicht lieferbar an",
            "ne peut pas être expédié",
            "ne peut pas être livré",
            "no se puede enviar",
            "no puede enviarse",
            "no se envía a",
            "non può essere spedito",
            "non può essere consegnato",
            "não pode ser enviado",
            "não pode ser entregue",
            "kan niet worden verzonden",
            "kan niet worden bezorgd",
            "kan inte skickas",
            "kan inte levereras",
            "nie można wysłać",
            "nie można dostarczyć",
            "nie może zostać wysłany",
            "nie może zostać dostarczony",
            "gönderilemez",
            "gönderilemiyor",
            "gönderilememektedir",
            "お届けできません",
            "配送できません",
            "発送できません",
            "無法運送",
            "無法配送",
            "無法送達",
            "无法配送",
            "无法送达",
            "无法运送",
            "لا يمكن شحن",
            "لا يمكن توصيل",
        ],
    ),
    (
        Availability::PriceHidden,
        &[
            "to see product details, add this item to your cart",
            "to see our price, add",
            "see price in cart",
            "price hidden",
        ],
    ),
    (
        Availability::SelectVariant,
        &[
            "to buy, select",
            "um zu kaufen, wähle",
            "zum kaufen bitte",
            "pour acheter, sélectionne",
            "para comprar, selecciona",
            "para comprar, selecione",
            "per acquistare, seleziona",
            "om te kopen, selecteer",
            "för att köpa, välj",
            "aby kupić, wybierz",
            "satın almak için",
            "購入するには、",
            "若要購買，請選",
            "要購買，請選",
            "要购买，请选",
            "للشراء، اختر",
            "للشراء، حدد",
        ],
    ),
    (
        Availability::NoFeaturedOffer,
        &[
            "see all buying options",
            "available from these sellers",
            "no featured offers",
            "kaufoptionen",
            "erhältlich bei diesen anbietern",
            "options d'achat",
            "options d’achat",
            "disponible auprès de ces vendeurs",
            "opciones de compra",
            "disponible a través de estos vendedores",
            "opzioni d'acquisto",
            "opzioni d’acquisto",
            "opzioni di acquisto",
            "disponibile presso questi venditori",
            "opções de compra",
            "disponível por estes vendedores",
            "koopopties",
            "köpalternativ",
            "opcje zakupu",
            "satın alma seçenekleri",
            "出品者からお求め",
            "すべての出品",
            "購買選項",
            "购买选项",
            "خيارات الشراء",
        ],
    ),
    (
        Availability::PreOrder,
        &[
            "pre-order",
            "preorder",
            "will be released on",
            "has not yet been released",
            "not yet released",
            "vorbestell",
            "noch nicht erschienen",
            "précommand",
            "pré-command",
            "pas encore paru",
            "reserva ahora",
            "preventa",
            "todavía no se ha lanzado",
            "preordin",
            "pre-ordin",
            "prenota",
            "pré-venda",
            "pré-encomenda",
            "vooruitbestel",
            "förbeställ",
            "förhandsbeställ",
            "przedsprzeda",
            "ön sipariş",
            "予約受付",
            "予約商品",
            "發行",
            "預購",
            "預訂",
            "预购",
            "预订",
            "الطلب المسبق",
        ],
    ),
    (
        // "Temporarily out of stock" counts here, as "we don't know when or if" does.
        Availability::Unavailable,
        &[
            "unavailable",
            "temporarily out of stock",
            "nicht verfügbar",
            "vorübergehend nicht",
            "derzeit nicht auf lager",
            "nicht mehr verfügbar",
            "indisponible",
            "temporairement en rupture",
            "no disponible",
            "no está disponible",
            "temporalmente sin",
            "temporalmente agotado",
            "non disponibile",
            "temporaneamente esaurito",
            "indisponível",
            "não disponível",
            "temporariamente fora de estoque",
            "temporariamente sem stock",
            "niet verkrijgbaar",
            "niet beschikbaar",
            "tijdelijk niet op voorraad",
            "inte tillgänglig",
            "otillgänglig",
            "ej tillgänglig",
            "tillfälligt slut",
            "niedostępn",
            "chwilowo brak",
            "tymczasowo brak",
            "mevcut değil",
            "geçici olarak",
            "temin edilemiyor",
            "現在お取り扱いできません",
            "取り扱いできません",
            "一時的に在庫切れ",
            // "… this item's return is not planned": amazon.co.jp's "we don't know when or if".
            "入荷予定は立って",
            "在庫状況について",
            "無法供應",
            "無法供貨",
            "暫時缺貨",
            "暂时缺货",
            "目前無法",
            "目前无法",
            "不可用",
            "目前无货",
            "غير متوفر",
            "غير متاح",
        ],
    ),
    (
        Availability::OutOfStock,
        &[
            "out of stock",
            "out-of-stock",
            "sold out",
            "not in stock",
            "no longer in stock",
            "ausverkauft",
            "nicht auf lager",
            "nicht vorrätig",
            "rupture de stock",
            "épuisé",
            "sin stock",
            "agotado",
            "no hay stock",
            "esaurito",
            "fora de estoque",
            "sem stock",
            "esgotado",
            "niet op voorraad",
            "uitverkocht",
            "slut i lager",
            "slutsåld",
            "ej i lager",
            "inte i lager",
            "brak w magazynie",
            "brak na stanie",
            "wyprzedan",
            "stokta yok",
            "tükendi",
            "在庫切れ",
            "在庫なし",
            "品切れ",
            "缺貨",
            "缺货",
            "無貨",
            "无货",
            "نفدت الكمية",
            "نفذت الكمية",
        ],
    ),
    (
        Availability::BackOrder,
        &[
            "back-order",
            "backorder",
            "back order",
            "in stock on ",
            "in stock soon",
            "auf lager ab ",
            "wieder auf lager",
            "wieder vorrätig",
            "de nouveau en stock",
            "en stock le ",
            "en stock el ",
            "disponibile dal ",
            "em estoque em ",
            "op voorraad op ",
            "i lager den ",
            "入荷予定",
            "再入荷",
            "即將到貨",
            "即将到货",
        ],
    ),
    (
        Availability::ShipsLater,
        &[
            "ships within",
            "ships in ",
            "dispatched within",
            "dispatched in ",
            "ship within",
            "available to ship in",
            "versandfertig in",
            "versandfertig innerhalb",
            "versand in ",
            "expédié sous",
            "expédié habituellement",
            "habituellement expédié",
            "généralement expédié",
            "normalmente se envía",
            "suele enviarse",
            "se envía en ",
            "envío en ",
            "enviado habitualmente",
            "generalmente spedito",
            "di solito spedito",
            "normalmente spedito",
            "spedito entro",
            "geralmente enviado",
            "geralmente despachado",
            "enviado em ",
            "enviado de ",
            "meestal verzonden",
            "gewoonlijk verzonden",
            "verzonden binnen",
            "skickas vanligtvis",
            "skickas inom",
            "zwykle wysyłan",
            "wysyłka w ciągu",
            "wysyłane w ciągu",
            "içinde gönderilir",
            "içinde kargoya",
            "içinde kargolan",
            "以内に発送",
            "日で発送",
            "內出貨",
            "內發貨",
            "内发货",
            "日内发货",
            "يتم الشحن",
            "يشحن خلال",
            "يُشحن خلال",
        ],
    ),
];

/// Phrases of which the number in the sentence is the quantity that is left.
const LOW: &[&str] = &[
    "left in stock",
    "only a few left",
    "nur noch",
    "ne reste plus que",
    "plus que ",
    "solo ",
    "sólo ",
    "rimasti",
    "rimasto",
    "apenas ",
    "somente ",
    "restam ",
    "nog slechts",
    "nog maar",
    "endast ",
    "bara ",
    "zostało tylko",
    "pozostało tylko",
    "została tylko",
    "zostały tylko",
    "tylko ",
    "sadece ",
    "yalnızca ",
    "残り",
    "僅剩",
    "仅剩",
    "只剩",
    "尚餘",
    "تبقى",
    "يتبقى",
    "متبقي",
    "لم يتبق",
    "فقط",
];

/// Beginnings of a sentence that says plainly that the offer can be bought now.
const IN_STOCK: &[&str] = &[
    "in stock",
    "auf lager",
    "vorrätig",
    "sofort lieferbar",
    "en stock",
    "hay existencias",
    "disponibilità immediata",
    "em estoque",
    "em stock",
    "op voorraad",
    "i lager",
    "finns i lager",
    "w magazynie",
    "na stanie",
    "stokta",
    "在庫あり",
    "現貨",
    "有現貨",
    "有貨",
    "尚有庫存",
    "有庫存",
    "现货",
    "有现货",
    "有货",
    "有库存",
    "متوفر في المخزون",
    "في المخزون",
];

/// Words that mean it only when they are the whole sentence: "Disponible" is in stock, "Disponible en mayo" is not.
const IN_STOCK_ALONE: &[&str] = &[
    "available",
    "available now",
    "instock",
    "lieferbar",
    "disponible",
    "disponibile",
    "disponível",
    "dostępny",
    "dostępna",
    "dostępne",
    "mevcut",
    "متوفر",
    "متوفّر",
    "متاح",
];

/// Reads a stock sentence: what it means, and how many are left where it says so.
///
/// Some sources join the sentences of several offers by two spaces (`In Stock  Only 3 left in stock`): the first
/// is the featured offer's, and the only one that counts. Unrecognised text is `unknown`, never in stock.
pub fn parse_availability(text: &str) -> (Availability, Option<i64>) {
    let first = text.split(['\n', '\r']).flat_map(|line| line.split("  ")).map(str::trim);
    let Some(first) = first.into_iter().find(|segment| !segment.is_empty()) else {
        return (Availability::Unknown, None);
    };
    let sentence = clean_text(first).to_lowercase();
    // One more space, so that a phrase that ends in a space also matches at the end.
    let sentence = format!("{sentence} ");
    let found = CONTAINED.iter().find(|(_, phrases)| phrases.iter().any(|phrase| sentence.contains(phrase)));
    // What is left is said of stock that exists: after the refusals, before "ships later".
    let refused =
        found.filter(|(word, _)| !matches!(word, Availability::ShipsLater | Availability::BackOrder));
    if let Some((availability, _)) = refused {
        return (*availability, None);
    }
    if let Some(quantity) = low_stock(&sentence) {
        return (Availability::LowStock, quantity);
    }
    if let Some((availability, _)) = found {
        return (*availability, None);
    }
    let begins = IN_STOCK.iter().any(|phrase| {
        let rest = sentence.strip_prefix(phrase);
        // "in stockholm" is elsewhere; in scripts without spaces the next sign may be anything.
        rest.is_some_and(|rest| !phrase.is_ascii() || !rest.starts_with(char::is_alphabetic))
    });
    let whole = sentence.trim_end_matches([' ', '.', '!', '。']);
    let is_in_stock = begins || IN_STOCK_ALONE.contains(&whole);
    if is_in_stock { (Availability::InStock, None) } else { (Availability::Unknown, None) }
}

/// The quantity left, or null inside when the sentence says "a few"; null when it does not speak of what is left.
fn low_stock(sentence: &str) -> Option<Option<i64>> {
    LOW.iter().find(|phrase| sentence.contains(*phrase))?;
    let quantity = Number::first(sentence).and_then(|number| number.whole());
    let few =
        ["few", "wenige", "pocas", "pochi", "poucos", "quelques"].iter().any(|word| sentence.contains(word));
    (quantity.is_some() || few).then_some(quantity)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stock_sentences_mean_the_same_in_every_language() {
        let table: &[(&str, &[&str])] = &[
            (
                "in_stock",
                &[
                    "In Stock",
                    "In stock.",
                    "In Stock  In Stock.",
                    "In Stock  Only 3 left in stock - order soon",
                    "Auf Lager",
                    "Auf Lager.",
                    "En stock",
                    "Disponibilità immediata",
                    "Disponible.",
                    "Em estoque",
                    "Op voorraad",
                    "I lager",
                    "W magazynie",
                    "Stokta var",
                    "在庫あり。",
                    "現貨。",
                    "现货。",
                    "متوفر",
                    "Available now",
                ],
            ),
            (
                "low_stock 3",
                &[
                    "Only 3 left in stock",
                    "Only 3 left in stock - order soon.  Only 1 left in stock - order soon",
                    "Only 3 left in stock (more on the way).",
                    "Nur noch 3 auf Lager (mehr ist unterwegs).",
                    "Il ne reste plus que 3 exemplaire(s) en stock.",
                    "Solo quedan 3 en stock",
                    "Disponibilità: solo 3",
                    "Apenas 3 em estoque",
                    "Nog slechts 3 op voorraad",
                    "Endast 3 kvar i lager",
                    "Zostało tylko 3 szt.",
                    "Stokta sadece 3 adet kaldı",
                    "残り3点 ご注文はお早めに",
                    "庫存中僅剩 3 件",
                    "库存中仅剩 3 件",
                    "تبقى 3 فقط",
                ],
            ),
            ("low_stock", &["Only a few left in stock"]),
            (
                "ships_later",
                &[
                    "Usually ships within 5 to 6 days",
                    "In stock. Usually ships within 2 to 3 days.",
                    "Usually dispatched within 4 to 5 days",
                    "Gewöhnlich versandfertig in 4 bis 5 Tagen",
                    "Habituellement expédié sous 4 à 5 jours",
                    "Normalmente se envía en 4 a 5 días",
                    "Generalmente spedito entro 4-5 giorni",
                    "Geralmente enviado em 4 a 5 dias",
                    "Meestal verzonden binnen 4 tot 5 dagen",
                    "Skickas vanligtvis inom 4 till 5 dagar",
                    "Zwykle wysyłany w ciągu 4-5 dni",
                    "Genellikle 4 - 5 gün içinde gönderilir",
                    "通常4~5日以内に発送します。",
                    "通常在 4 到 5 天內出貨",
                    "عادةً ما يتم الشحن خلال 4 أيام",
                ],
            ),
            (
                "unavailable",
                &[
                    "Currently unavailable. We don't know when or if this item will be back in stock.",
                    "Currently unavailable.      Currently unavailable.",
                    "Temporarily out of stock.",
                    "Derzeit nicht verfügbar.",
                    "Actuellement indisponible.",
                    "No disponible por el momento.",
                    "Attualmente non disponibile.",
                    "Não disponível.",
                    "Momenteel niet verkrijgbaar.",
                    "För närvarande inte tillgänglig.",
                    "Obecnie niedostępny.",
                    "Şu anda mevcut değil.",
                    "現在お取り扱いできません。",
                    "現在在庫切れです。 この商品の再入荷予定は立っておりません。",
                    "目前無法供應。",
                    "غير متوفر حاليًا",
                ],
            ),
            (
                "out_of_stock",
                &["Out of stock", "Nicht auf Lager", "En rupture de stock", "在庫切れ", "缺貨", "Esaurito"],
            ),
            (
                "no_featured_offer",
                &[
                    "See All Buying Options",
                    "Available from these sellers.",
                    "Siehe alle Kaufoptionen",
                    "Ver todas las opciones de compra",
                    "Voir toutes les options d’achat",
                    "在庫あり。 出品者からお求めいただけます。",
                ],
            ),
            (
                "pre_order",
                &["Available for Pre-order.", "Jetzt vorbestellen", "This item will be released on May 1."],
            ),
            (
                "back_order",
                &["In stock on September 20, 2025. Order it now.", "Wieder auf Lager ab dem 3. Mai"],
            ),
            ("price_hidden", &["To see product details, add this item to your cart"]),
            ("select_variant", &["To buy, select Size"]),
            (
                "not_deliverable_to_location",
                &[
                    "This item cannot be shipped to your selected delivery location.",
                    "Dieser Artikel kann nicht an den ausgewählten Lieferort geliefert werden",
                ],
            ),
            (
                "unknown",
                &[
                    "",
                    "   ",
                    "Notify me when in stock",
                    "Free delivery Monday",
                    "???",
                    "3",
                    "Livraison gratuite",
                ],
            ),
        ];
        for (expected, texts) in table {
            for text in *texts {
                let (availability, quantity) = parse_availability(text);
                let shown = match quantity {
                    Some(quantity) => format!("{availability} {quantity}"),
                    None => availability.to_string(),
                };
                assert_eq!(shown, *expected, "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_stock_reader_panic(text in ".{0,60}") {
            let _ = parse_availability(&text);
        }
    }
}

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
        ("back_order", &["In stock on September 20, 2025. Order it now.", "Wieder auf Lager ab dem 3. Mai"]),
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
            &["", "   ", "Notify me when in stock", "Free delivery Monday", "???", "3", "Livraison gratuite"],
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

//! Small Amazon pages with the marks that real ones have.

use super::super::catalogue::{Fact, Stock};
use super::super::marketplaces::{Marketplace, Tongue, grouped};

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The words of a page in one language.
struct Words {
    stock: &'static str,
    gone: &'static str,
    rank_label: &'static str,
    store: fn(&str) -> String,
    stars: fn(i64) -> String,
    ratings: fn(i64) -> String,
    low: fn(i64) -> String,
    /// An entry of the rank list: rank, category, and for the main one the link to the top 100.
    rank: fn(i64, &str, bool) -> String,
}

fn point(tenths: i64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn comma(tenths: i64) -> String {
    format!("{},{}", tenths / 10, tenths % 10)
}

static ENGLISH: Words = Words {
    stock: "In Stock",
    gone: "Currently unavailable.",
    rank_label: "Best Sellers Rank",
    store: |brand| format!("Visit the {brand} Store"),
    stars: |tenths| format!("{} out of 5 stars", point(tenths)),
    ratings: |count| format!("{} ratings", grouped(count, ",")),
    low: |left| format!("Only {left} left in stock - order soon."),
    rank: |rank, name, main| match main {
        true => format!(
            "#{} in {name} (<a href=\"/gp/bestsellers\">See Top 100 in {name}</a>)",
            grouped(rank, ",")
        ),
        false => format!("#{} in <a href=\"/gp/bestsellers/1\">{name}</a>", grouped(rank, ",")),
    },
};

static GERMAN: Words = Words {
    stock: "Auf Lager",
    gone: "Derzeit nicht verfügbar.",
    rank_label: "Amazon Bestseller-Rang",
    store: |brand| format!("Besuche den {brand}-Store"),
    stars: |tenths| format!("{} von 5 Sternen", comma(tenths)),
    ratings: |count| format!("{} Sternebewertungen", grouped(count, ".")),
    low: |left| format!("Nur noch {left} auf Lager"),
    rank: |rank, name, main| match main {
        true => format!(
            "Nr. {} in {name} (<a href=\"/gp/bestsellers\">Siehe Top 100 in {name}</a>)",
            grouped(rank, ".")
        ),
        false => format!("Nr. {} in <a href=\"/gp/bestsellers/1\">{name}</a>", grouped(rank, ".")),
    },
};

static FRENCH: Words = Words {
    stock: "En stock",
    gone: "Actuellement indisponible.",
    rank_label: "Classement des meilleures ventes d'Amazon",
    store: |brand| format!("Visiter la boutique {brand}"),
    stars: |tenths| format!("{} sur 5 étoiles", comma(tenths)),
    ratings: |count| format!("{} évaluations", grouped(count, "\u{202f}")),
    low: |left| format!("Il ne reste plus que {left} exemplaire(s) en stock."),
    rank: |rank, name, main| match main {
        true => format!(
            "{} en {name} (<a href=\"/gp/bestsellers\">Voir les 100 premiers en {name}</a>)",
            grouped(rank, "\u{202f}")
        ),
        false => format!("{} en <a href=\"/gp/bestsellers/1\">{name}</a>", grouped(rank, "\u{202f}")),
    },
};

static SPANISH: Words = Words {
    stock: "En stock",
    gone: "No disponible por el momento.",
    rank_label: "Clasificación en los más vendidos de Amazon",
    store: |brand| format!("Visita la tienda de {brand}"),
    stars: |tenths| format!("{} de 5 estrellas", comma(tenths)),
    ratings: |count| format!("{} valoraciones", grouped(count, ".")),
    low: |left| format!("Sólo queda(n) {left} en stock."),
    rank: |rank, name, main| match main {
        true => format!(
            "nº{} en {name} (<a href=\"/gp/bestsellers\">Ver el Top 100 en {name}</a>)",
            grouped(rank, ",")
        ),
        false => format!("nº{} en <a href=\"/gp/bestsellers/1\">{name}</a>", grouped(rank, ",")),
    },
};

static PORTUGUESE: Words = Words {
    stock: "Em estoque",
    gone: "Não disponível.",
    rank_label: "Ranking dos mais vendidos",
    store: |brand| format!("Visite a loja {brand}"),
    stars: |tenths| format!("{} de 5 estrelas", comma(tenths)),
    ratings: |count| format!("{} avaliações de clientes", grouped(count, ".")),
    low: |left| format!("Apenas {left} em estoque."),
    rank: |rank, name, main| match main {
        true => format!(
            "Nº {} em {name} (<a href=\"/gp/bestsellers\">Conheça o Top 100 na categoria {name}</a>)",
            grouped(rank, ".")
        ),
        false => format!("Nº {} em <a href=\"/gp/bestsellers/1\">{name}</a>", grouped(rank, ".")),
    },
};

/// amazon.co.jp shows English to visitors who ask for it, as the saved pages do.
fn words(tongue: Tongue) -> &'static Words {
    match tongue {
        Tongue::English | Tongue::Japanese => &ENGLISH,
        Tongue::German => &GERMAN,
        Tongue::French => &FRENCH,
        Tongue::Spanish => &SPANISH,
        Tongue::Portuguese => &PORTUGUESE,
    }
}

/// What `metadata.title` holds.
pub(super) fn title(fact: &Fact) -> String {
    format!("Amazon{} : {}", &fact.marketplace.domain["amazon".len()..], fact.title)
}

/// A product page.
pub(super) fn product(fact: &Fact) -> String {
    let market = fact.marketplace;
    let words = words(market.tongue);
    let crumbs: Vec<String> = fact
        .categories
        .iter()
        .map(|(name, node)| {
            format!("<li><span class=\"a-list-item\"><a class=\"a-link-normal\" href=\"/b?node={node}\"> {} </a></span></li>", escape(name))
        })
        .collect();
    let bullets: Vec<String> = fact
        .bullets
        .iter()
        .map(|text| {
            format!("<li class=\"a-spacing-mini\"><span class=\"a-list-item\"> {} </span></li>", escape(text))
        })
        .collect();
    let ratings = fact.rating.map_or_else(String::new, |tenths| {
        format!(
            "<div id=\"averageCustomerReviews\"><span id=\"acrPopover\" class=\"reviewCountTextLinkedHistogram\" \
             title=\"{0}\"><i class=\"a-icon a-icon-star\"><span class=\"a-icon-alt\">{0}</span></i></span>\
             <span id=\"acrCustomerReviewText\" class=\"a-size-base\">{1}</span></div>",
            (words.stars)(tenths),
            (words.ratings)(fact.ratings)
        )
    });
    let image = fact.image_url(0, "SL1500");
    format!(
        "<!doctype html><html lang=\"{lang}\" class=\"a-no-js\"><head><meta charset=\"utf-8\"><title>{page_title}</title>\
         <link rel=\"canonical\" href=\"{url}\"><script>var ue_t0=0, ue_mid = '{mid}', ue_sn = 'www.{domain}';</script>\
         </head><body><div id=\"nav-global-location-slot\"><span id=\"glow-ingress-line2\">10001</span></div>\n\
         <div id=\"wayfinding-breadcrumbs_feature_div\"><ul>{crumbs}</ul></div>\n\
         <div id=\"centerCol\"><h1 id=\"title\"><span id=\"productTitle\" class=\"a-size-large\">        {title}       </span></h1>\
         <div id=\"bylineInfo_feature_div\"><a id=\"bylineInfo\" class=\"a-link-normal\" href=\"/stores\">{byline}</a></div>{ratings}\n\
         {price}\n<div id=\"feature-bullets\"><ul>{bullets}</ul></div></div>\n\
         <div id=\"imageBlock\"><img id=\"landingImage\" alt=\"\" data-old-hires=\"{image}\" \
         data-a-dynamic-image=\"{{&quot;{image}&quot;:[1500,1500]}}\"></div>\n\
         <div id=\"rightCol\"><form id=\"addToCart\"><input type=\"hidden\" id=\"ASIN\" name=\"ASIN\" value=\"{asin}\">{buy_box}</form></div>\n\
         <div id=\"prodDetails\"><table id=\"productDetails_detailBullets_sections1\"><tr><th class=\"prodDetSectionEntry\"> ASIN </th>\
         <td class=\"prodDetAttrValue\"> {asin} </td></tr><tr><th class=\"prodDetSectionEntry\"> {rank_label} </th>\
         <td><span><span>{main_rank}</span><br><span>{leaf_rank}</span><br></span></td></tr></table></div>\n</body></html>\n",
        lang = market.tongue.html_lang(),
        page_title = escape(&title(fact)),
        url = fact.url(),
        mid = market.amazon_id,
        domain = market.domain,
        crumbs = crumbs.join("<li class=\"a-breadcrumb-divider\">›</li>"),
        title = escape(&fact.title),
        byline = escape(&(words.store)(&fact.brand)),
        price = price(fact),
        bullets = bullets.concat(),
        asin = fact.asin,
        buy_box = buy_box(fact, words),
        rank_label = words.rank_label,
        main_rank = (words.rank)(fact.rank, &escape(fact.root().0), true),
        leaf_rank = (words.rank)(fact.leaf_rank, &escape(fact.leaf().0), false),
    )
}

fn price(fact: &Fact) -> String {
    let Some(price) = fact.price else { return String::new() };
    let market = fact.marketplace;
    let list = fact.list_price.map_or_else(String::new, |list| {
        let text = market.price_text(list);
        format!(
            "<span class=\"a-size-small basisPrice\">List: <span class=\"a-price a-text-price\">\
             <span class=\"a-offscreen\">{text}</span><span aria-hidden=\"true\">{text}</span></span></span>"
        )
    });
    format!(
        "<div id=\"corePriceDisplay_desktop_feature_div\"><span class=\"aok-offscreen\"> {text} </span>\
         <span class=\"a-price priceToPay\"><span class=\"a-offscreen\"> </span><span aria-hidden=\"true\">{parts}</span>\
         </span>{list}</div>",
        text = market.price_text(price),
        parts = price_parts(fact, price),
    )
}

/// Symbol, whole, mark and fraction in spans of their own, as pages since 2024 have them.
fn price_parts(fact: &Fact, price: i64) -> String {
    let market = fact.marketplace;
    let (group, mark) = market.tongue.marks();
    let symbol = format!("<span class=\"a-price-symbol\">{}</span>", market.symbol);
    let amount = match market.digits() {
        0 => format!("<span class=\"a-price-whole\">{}</span>", grouped(price, group)),
        _ => format!(
            "<span class=\"a-price-whole\">{}<span class=\"a-price-decimal\">{mark}</span></span>\
             <span class=\"a-price-fraction\">{:02}</span>",
            grouped(price / 100, group),
            price % 100
        ),
    };
    match market.tongue {
        Tongue::German | Tongue::French | Tongue::Spanish => amount + &symbol,
        _ => symbol + &amount,
    }
}

fn buy_box(fact: &Fact, words: &Words) -> String {
    let availability = match fact.stock {
        Stock::Plenty => words.stock.to_owned(),
        Stock::Low(left) => (words.low)(left),
        Stock::Unavailable => {
            return format!(
                "<div id=\"outOfStock\"><div id=\"availability\"><span class=\"a-color-price\"> {} </span></div></div>",
                words.gone
            );
        }
    };
    let seller = match &fact.seller {
        Some(seller) if seller.amazon => format!(
            "<div id=\"merchantInfoFeature_feature_div\"><span class=\"offer-display-feature-text-message\">{}</span></div>",
            escape(&seller.name)
        ),
        Some(seller) => format!(
            "<div id=\"merchantInfoFeature_feature_div\"><a id=\"sellerProfileTriggerId\" \
             href=\"/gp/help/seller/at-a-glance.html?ie=UTF8&amp;seller={}&amp;asin={}\">{}</a></div>\
             <input type=\"hidden\" id=\"merchantID\" name=\"merchantID\" value=\"{}\">",
            seller.id,
            fact.asin,
            escape(&seller.name),
            seller.id
        ),
        None => String::new(),
    };
    let hidden = fact.price.map_or_else(String::new, |price| {
        format!(
            "<input type=\"hidden\" name=\"items[0.base][customerVisiblePrice][amount]\" value=\"{}\">\
             <input type=\"hidden\" name=\"items[0.base][customerVisiblePrice][currencyCode]\" value=\"{}\">",
            fact.marketplace.plain(price),
            fact.marketplace.currency
        )
    });
    format!(
        "<div id=\"availability\" class=\"a-section\"><span class=\"a-size-medium a-color-success\"> {availability} </span></div>\
         {seller}{hidden}"
    )
}

/// The page that asks for letters; its size is that of real ones.
pub(super) fn captcha(market: &Marketplace) -> String {
    format!(
        "<!DOCTYPE html><html class=\"a-no-js\" lang=\"{lang}\"><head><meta charset=\"utf-8\"><title dir=\"ltr\">A{name}</title>\
         <script>var ue_mid = \"{mid}\", ue_sn = \"opfcaptcha.amazon.com\";</script></head><body>\n<!--\n\
         To discuss automated access to Amazon data please contact api-services-support@amazon.com.\n-->\n\
         <div class=\"a-container\"><h4>Enter the characters you see below</h4>\
         <p>Sorry, we just need to make sure you&apos;re not a robot.</p>\
         <form method=\"get\" action=\"/errors/validateCaptcha\"><input type=\"hidden\" name=\"amzn\" value=\"x==\">\
         <img src=\"https://images-na.ssl-images-amazon.com/captcha/simulated.jpg\">\
         <input autocomplete=\"off\" id=\"captchacharacters\" name=\"field-keywords\" type=\"text\">\
         <button type=\"submit\">Continue shopping</button></form></div>\n<!-- {filling} -->\n</body></html>\n",
        lang = market.tongue.html_lang(),
        name = &market.domain[1..],
        mid = market.amazon_id,
        filling = "·".repeat(2_800),
    )
}

/// The site's error page with a dog.
pub(super) fn dog() -> String {
    "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>Sorry! Something went wrong!</title></head><body>\
     <a href=\"/ref=cs_503_logo\"><img id=\"b\" src=\"https://images-na.ssl-images-amazon.com/images/G/01/error/logo._TTD_.png\" \
     alt=\"Amazon.com\"></a><form id=\"a\" action=\"/s\" method=\"GET\" role=\"search\"></form><div id=\"g\">\
     <a href=\"/ref=cs_503_link\"><img src=\"https://images-na.ssl-images-amazon.com/images/G/01/error/500_503.png\" \
     alt=\"Sorry! Something went wrong on our end. Please go back and try again or go to Amazon's home page.\"></a>\
     <a href=\"/dogsofamazon/ref=cs_503_d\" target=\"_blank\"><img id=\"d\" alt=\"Dogs of Amazon\" \
     src=\"https://images-na.ssl-images-amazon.com/images/G/01/error/14._TTD_.jpg\"></a></div>\
     <!-- please contact api-services-support@amazon.com. --></body></html>\n"
        .to_owned()
}

/// The page of a product that is gone.
pub(super) fn not_found() -> String {
    "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>Page Not Found</title></head><body><div id=\"g\">\
     <img src=\"https://images-na.ssl-images-amazon.com/images/G/01/error/title._TTD_.png\" \
     alt=\"Looking for something? We're sorry. The Web address you entered is not a functioning page on our site.\">\
     <a href=\"/ref=cs_404_link\">Go to Amazon's Home Page</a></div></body></html>\n"
        .to_owned()
}

//! Root categories and the names under which they appear: languages, Keepa's codes, the selling-partner API's groups.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::model::Marketplace;

/// A root category's canonical name, its other names, and its display groups: what Keepa prints, and the stem of
/// the selling-partner API's `<stem>_display_on_website`.
struct Root {
    canonical: &'static str,
    names: &'static [&'static str],
    groups: &'static [&'static str],
}

const fn root(
    canonical: &'static str,
    names: &'static [&'static str],
    groups: &'static [&'static str],
) -> Root {
    Root { canonical, names, groups }
}

const ELECTRONICS: &str = "Electronics";
const PHONES: &str = "Cell Phones & Accessories";

#[rustfmt::skip]
const ROOTS: &[Root] = &[
    root(ELECTRONICS,
        &["Electronics & Photo", "Elektronik & Foto", "Elektronik", "High-Tech", "High-tech", "Elettronica",
          "Electrónica", "Electrónicos", "Eletrônicos", "Eletrônicos e Tecnologia", "Eletrónica", "Elektronica",
          "Elektronik och foto", "Elektronika", "家電＆カメラ", "家電&カメラ", "エレクトロニクス", "電子", "電子產品",
          "电子", "电子产品", "إلكترونيات", "الإلكترونيات", "전자제품", "इलेक्ट्रॉनिक्स"],
        &["CE", "Home Theater", "Consumer Electronics", "home_theater", "photo", "Photography", "Camera", "GPS or Navigation System", "Speakers"]),
    root("Computers & Accessories",
        &["Computers", "Computer & Zubehör", "Informatique", "Informatica", "Informática",
          "Computadores e Informática", "Computers, componenten & accessoires", "Computers & accessoires",
          "Datorer", "Datorer och tillbehör", "Komputery", "Bilgisayar", "Bilgisayarlar", "パソコン・周辺機器",
          "電腦", "電腦與配件", "电脑", "电脑和配件", "أجهزة الكمبيوتر", "الكمبيوتر"],
        &["PC", "PC Accessory", "Personal Computer", "Personal Computers", "Notebook Computer", "Networking Device"]),
    root(PHONES,
        &["Cell Phones", "Handys & Zubehör", "Celulares e Comunicação", "Celulares y Accesorios", "手機及配件", "手机和配件"],
        &[]),
    root("Toys & Games",
        &["Spielzeug", "Jeux et Jouets", "Giochi e giocattoli", "Juguetes y juegos", "Juguetes", "Brinquedos e Jogos",
          "Speelgoed & spellen", "Speelgoed", "Leksaker och spel", "Leksaker", "Zabawki i gry", "Oyuncaklar ve Oyunlar",
          "Oyuncak", "おもちゃ", "玩具與遊戲", "玩具和游戏", "ألعاب"],
        &["Toy", "Toys", "toy"]),
    root("Home & Kitchen",
        &["Küche, Haushalt & Wohnen", "Cuisine et Maison", "Casa e cucina", "Hogar y cocina", "Cozinha",
          "Wonen & keuken", "Hem och kök", "Dom i kuchnia", "Ev ve Mutfak", "Mutfak", "ホーム＆キッチン", "ホーム&キッチン",
          "家居與廚房", "家居与厨房", "居家與廚房", "المنزل والمطبخ", "Home", "Casa"],
        &["Kitchen", "Home", "home_garden", "Furniture", "Home Furniture and Decor"]),
    root("Tools & Home Improvement",
        &["DIY & Tools", "Baumarkt", "Bricolage", "Fai da te", "Bricolaje y herramientas", "Herramientas y Mejoras del Hogar",
          "Ferramentas e Materiais de Construção", "Klussen & gereedschap", "Bygg, el & verktyg", "Verktyg och hemförbättring",
          "Renowacja domu", "Yapı Market", "DIY・工具・ガーデン", "工具與居家裝修", "工具和家居装修"],
        &["Home Improvement", "home_improvement", "Tools", "Hardware"]),
    root("Patio, Lawn & Garden",
        &["Garden", "Garden & Outdoors", "Garten", "Jardin", "Giardino e giardinaggio", "Jardín", "Jardim e Piscina",
          "Tuin, terras & gazon", "Trädgård", "Ogród", "Bahçe", "花園與戶外"],
        &["Lawn & Patio", "lawn_and_garden", "Lawn and Patio"]),
    root("Beauty & Personal Care",
        &["Beauty", "Beauté et Parfum", "Bellezza", "Belleza", "Beleza", "Mooi & verzorgd", "Skönhet", "Uroda", "Kişisel Bakım ve Kozmetik",
          "Kozmetik", "ビューティー", "美妝與個人護理", "美容与个人护理", "الجمال"],
        &["beauty", "Luxury Beauty"]),
    root("Health & Household",
        &["Health & Personal Care", "Drogerie & Körperpflege", "Hygiène et Santé", "Salute e cura della persona",
          "Salud y cuidado personal", "Salud y Cuidado Personal", "Saúde e Cuidados Pessoais", "Gezondheid & persoonlijke verzorging",
          "Hälsa, vård och hushåll", "Zdrowie i gospodarstwo domowe", "Sağlık ve Kişisel Bakım", "ドラッグストア", "健康與家庭用品"],
        &["HPC", "hpc", "Drugstore", "Health and Beauty", "Personal Care"]),
    root("Sports & Outdoors",
        &["Sport & Freizeit", "Sports et Loisirs", "Sport e tempo libero", "Deportes y aire libre", "Deportes y Aire Libre",
          "Esportes e Aventura", "Esporte e Aventura", "Sport & outdoor", "Sport och outdoor", "Sport och fritid", "Sport i turystyka",
          "Spor ve Outdoor", "スポーツ＆アウトドア", "スポーツ&アウトドア", "運動與戶外", "运动与户外"],
        &["Sports", "Outdoors", "sports", "Sporting Goods"]),
    root("Clothing, Shoes & Jewelry",
        &["Fashion", "Clothing", "Mode", "Moda", "Bekleidung", "Vêtements", "Abbigliamento", "Ropa, zapatos y accesorios", "Ropa, Zapatos y Accesorios",
          "Kleding, schoenen & sieraden", "Kläder, skor & smycken", "Kläder", "Odzież", "Odzież, obuwie i biżuteria", "Giyim",
          "ファッション", "服飾、鞋履與珠寶", "服装、鞋靴和珠宝", "الأزياء", "服装，鞋类和珠宝"],
        &["Apparel", "apparel", "fashion", "Shoes", "shoes", "Jewelry", "jewelry", "Watch", "watch", "Luggage", "luggage", "Handbags"]),
    root("Automotive",
        &["Auto & Motorrad", "Auto et Moto", "Auto e Moto", "Coche y moto", "Automotriz y Motocicletas", "Automotivo", "Auto & motor", "Bil och motorcykel",
          "Motoryzacja", "Otomotiv", "車＆バイク", "車&バイク", "汽車", "汽车"],
        &["Automotive Parts and Accessories", "automotive", "Motorcycle"]),
    root("Baby",
        &["Baby Products", "Bébé et Puériculture", "Bébé", "Prima infanzia", "Bebé", "Bebês", "Babyproducten", "Babyprodukter", "Dziecko", "Bebek", "ベビー&マタニティ",
          "ベビー＆マタニティ", "嬰兒用品", "婴儿用品"],
        &["Baby Product", "baby_product"]),
    root("Grocery & Gourmet Food",
        &["Grocery", "Lebensmittel & Getränke", "Epicerie", "Épicerie", "Alimentari e cura della casa", "Alimentación y bebidas",
          "Alimentos e Bebidas", "Levensmiddelen", "Livsmedel", "Artykuły spożywcze", "Gıda", "食品・飲料・お酒"],
        &["grocery", "Gourmet"]),
    root("Books",
        &["Bücher", "Livres", "Libri", "Libros", "Livros", "Boeken", "Böcker", "Książki", "Kitap", "本", "書籍", "图书", "كتب"],
        &["Book", "book"]),
    root("Kindle Store",
        &["Kindle-Shop", "Boutique Kindle", "Kindle Store (Kindle Store)", "Tienda Kindle", "Loja Kindle", "Kindleストア", "Kindle-Store"],
        &["eBooks", "Digital Ebook Purchase", "digital_ebook", "ABIS_EBOOKS"]),
    root("Movies & TV",
        &["DVD & Blu-ray", "DVD et Blu-ray", "Film e TV", "Películas y TV", "DVD", "Films & tv", "Filmer och tv", "Filmy i programy TV", "Film & TV"],
        &["dvd", "DVD", "Video"]),
    root("CDs & Vinyl",
        &["Musik-CDs & Vinyl", "Musik", "CD et Vinyles", "CD e Vinili", "CDs y vinilos", "CD e Vinil", "Muziek", "ミュージック", "CD i winyle"],
        &["Music", "music"]),
    root("Video Games",
        &["PC & Video Games", "Games", "Jeux vidéo", "Videogiochi", "Videojuegos", "Videogames", "Gry wideo", "Videospel", "Bilgisayar ve Video Oyunları",
          "ゲーム", "TVゲーム", "電玩遊戲", "电子游戏"],
        &["video_games", "Video Games", "Videogames"]),
    root("Software", &["Logiciels", "ソフトウェア", "PCソフト", "Oprogramowanie"], &["software", "Digital Software"]),
    root("Office Products",
        &["Stationery & Office Supplies", "Bürobedarf & Schreibwaren", "Fournitures de bureau", "Cancelleria e prodotti per ufficio",
          "Oficina y papelería", "Papelaria e Escritório", "Kantoorproducten", "Kontorsprodukter", "Artykuły biurowe", "Ofis ve Kırtasiye", "文房具・オフィス用品", "辦公用品", "办公用品"],
        &["Office Product", "office_product"]),
    root("Pet Supplies",
        &["Haustier", "Animalerie", "Prodotti per animali domestici", "Productos para mascotas", "Pet Shop", "Huisdierbenodigdheden", "Husdjursprodukter",
          "Artykuły dla zwierząt", "Evcil Hayvan Malzemeleri", "ペット用品", "寵物用品", "宠物用品"],
        &["Pet Products", "pet_products"]),
    root("Musical Instruments",
        &["Musical Instruments & DJ", "Musikinstrumente & DJ-Equipment", "Instruments de musique et Sono", "Strumenti musicali", "Instrumentos musicales",
          "Instrumentos Musicais", "Muziekinstrumenten", "Musikinstrument", "Instrumenty muzyczne", "楽器・音響機器", "樂器", "乐器"],
        &["musical_instruments"]),
    root("Industrial & Scientific",
        &["Business, Industry & Science", "Gewerbe, Industrie & Wissenschaft", "Commerce, Industrie et Science", "Commercio, Industria e Scienza",
          "Industria, empresas y ciencia", "Indústria e Ciência", "Zakelijk, industrie & wetenschap", "Przemysł i nauka", "産業・研究開発用品", "工業與科學"],
        &["BISS", "BISS Basic", "biss", "biss_basic"]),
    root("Appliances",
        &["Large Appliances", "Elektro-Großgeräte", "Gros électroménager", "Grandi elettrodomestici", "Grandes electrodomésticos", "Eletrodomésticos",
          "大型家電", "Vitvaror", "Duże AGD"],
        &["Major Appliances", "major_appliances"]),
    root("Arts, Crafts & Sewing",
        &["Basteln, Malen & Nähen", "Loisirs créatifs", "Arts & Crafts", "Arte y manualidades"],
        &["Art and Craft Supply", "art_and_craft_supply", "arts_and_crafts"]),
    root("Amazon Devices & Accessories",
        &["Amazon-Geräte & Zubehör", "Amazon Devices", "Appareils Amazon & Accessoires", "Dispositivi Amazon & Accessori", "Dispositivos Amazon y accesorios",
          "Dispositivos Amazon e Acessórios", "Amazonデバイス・アクセサリ"],
        &["amazon_devices", "Amazon Devices"]),
];

/// Folded name → canonical name.
static BY_NAME: LazyLock<HashMap<String, &'static str>> =
    LazyLock::new(|| by_folded(|root| root.names.iter().chain([&root.canonical])));

/// Folded display group → canonical name.
static BY_GROUP: LazyLock<HashMap<String, &'static str>> =
    LazyLock::new(|| by_folded(|root| root.groups.iter()));

fn by_folded<I>(names_of: impl Fn(&'static Root) -> I) -> HashMap<String, &'static str>
where
    I: Iterator<Item = &'static &'static str>,
{
    ROOTS.iter().flat_map(|root| names_of(root).map(|name| (folded(name), root.canonical))).collect()
}

fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The canonical name of a root category by one of its names; null for any other name.
fn root_by_name(marketplace: Marketplace, name: &str) -> Option<&'static str> {
    let name = folded(name);
    match name.strip_suffix("_display_on_website") {
        Some(stem) => root_by_group(marketplace, stem),
        None => BY_NAME.get(&name).copied(),
    }
}

/// The canonical name of a root category by one of its display groups.
fn root_by_group(marketplace: Marketplace, group: &str) -> Option<&'static str> {
    let group = folded(group);
    if matches!(group.as_str(), "wireless" | "wireless phone accessory") {
        return Some(phones_root(marketplace));
    }
    BY_GROUP.get(&group).copied()
}

/// Where phones are ranked: with electronics in Europe and Japan, in a store of their own elsewhere.
fn phones_root(marketplace: Marketplace) -> &'static str {
    use Marketplace::{Ae, Be, De, Eg, Es, Fr, Ie, It, Jp, Nl, Pl, Sa, Se, Tr, Uk};
    match marketplace {
        Uk | De | Fr | It | Es | Jp | Nl | Se | Pl | Be | Tr | Ie | Ae | Sa | Eg => ELECTRONICS,
        _ => PHONES,
    }
}

/// The name under which a category is compared: root categories by their English name, whatever language they were
/// read in; every other name exactly (trimmed).
///
/// A main rank may also be named by its display group, as Keepa and the selling-partner API do. Of other ranks the
/// same words are names of their own: there are leaves called "Speakers", "Camera" and "Shoes".
pub fn canonical_category(marketplace: Marketplace, name: &str, is_main: bool) -> Cow<'_, str> {
    let by_group = || if is_main { root_by_group(marketplace, name) } else { None };
    Cow::Borrowed(root_by_name(marketplace, name).or_else(by_group).unwrap_or_else(|| name.trim()))
}

/// True when the category is a root of the marketplace, so that a rank in it is the main rank.
pub fn is_root_category(marketplace: Marketplace, name: &str) -> bool {
    root_by_name(marketplace, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_category_is_the_same_in_every_language_and_code() {
        for (marketplace, name, canonical) in [
            (Marketplace::Us, "電子", "Electronics"),
            (Marketplace::Us, " electronics ", "Electronics"),
            (Marketplace::De, "Elektronik & Foto", "Electronics"),
            (Marketplace::Us, "wireless_display_on_website", "Cell Phones & Accessories"),
            (Marketplace::Jp, "ce_display_on_website", "Electronics"),
            (Marketplace::Jp, "家電＆カメラ", "Electronics"),
            (Marketplace::Fr, "High-Tech", "Electronics"),
            (Marketplace::Es, "Electrónica", "Electronics"),
            (Marketplace::It, "Elettronica", "Electronics"),
            (Marketplace::De, "Computer & Zubehör", "Computers & Accessories"),
        ] {
            for is_main in [true, false] {
                assert_eq!(canonical_category(marketplace, name, is_main), canonical, "{marketplace} {name}");
            }
            assert!(is_root_category(marketplace, name), "{marketplace} {name}");
        }
    }

    #[test]
    fn a_display_group_names_a_main_rank_and_no_other() {
        for (marketplace, name, canonical) in [
            (Marketplace::De, "CE", "Electronics"),
            (Marketplace::De, "Home Theater", "Electronics"),
            (Marketplace::Us, "Speakers", "Electronics"),
            (Marketplace::De, "Wireless", "Electronics"),
            (Marketplace::Us, "Wireless", "Cell Phones & Accessories"),
            (Marketplace::De, "PC Accessory", "Computers & Accessories"),
            (Marketplace::De, "BISS Basic", "Industrial & Scientific"),
            (Marketplace::De, "Major Appliances", "Appliances"),
        ] {
            assert_eq!(canonical_category(marketplace, name, true), canonical, "{marketplace} {name}");
            assert_eq!(canonical_category(marketplace, name, false), name, "{marketplace} {name}");
            assert!(!is_root_category(marketplace, name), "{marketplace} {name}");
        }
    }

    #[test]
    fn other_categories_are_compared_exactly() {
        for name in ["Earbud & In-Ear Headphones", "耳塞式與耳道式耳機", "Electronics Features"] {
            for is_main in [true, false] {
                assert_eq!(canonical_category(Marketplace::Us, &format!(" {name} "), is_main), name);
            }
            assert!(!is_root_category(Marketplace::Us, name));
        }
    }

    #[test]
    fn no_name_belongs_to_two_roots() {
        for root in ROOTS {
            for name in root.names.iter().chain([&root.canonical]) {
                assert_eq!(BY_NAME.get(&folded(name)), Some(&root.canonical), "{name}");
            }
            for group in root.groups {
                assert_eq!(BY_GROUP.get(&folded(group)), Some(&root.canonical), "{group}");
            }
        }
    }
}

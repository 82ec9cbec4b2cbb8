//! Saved pages as a source: which file is a product's page, what a bad one spoils, and when the shop itself is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use super::{Live, config};

const CAPTCHA: &str = include_str!("../../fixtures/html/captcha.uk.html");
const UNAVAILABLE: &str = include_str!("../../fixtures/html/error-503.us.html");
const NOT_FOUND: &str = include_str!("../../fixtures/html/not-found.us.html");
const PRODUCT: &str = include_str!("../../fixtures/html/product.de.html");

/// A page of amazon.de that offers this product for so many whole euros, as they are written there: `1.099`.
fn page(asin: &str, euros: &str) -> String {
    let page = PRODUCT.replace("B000000001", asin).replace("B000000002", asin);
    page.replace("1.299<", &format!("{euros}<"))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Products of amazon.de whose pages are looked for in the folder `saved`.
fn watching(asins: &[&str]) -> Live {
    let mut live = Live::new(config(), "html");
    live.set("html", "folder", "\"saved\"");
    let products: Vec<String> = asins.iter().map(|asin| format!("DE:{asin}")).collect();
    live.watch(&products, "");
    live
}

/// Puts a file into the folder as if it had been saved then.
fn save(live: &Live, name: &str, content: impl AsRef<[u8]>, saved_at: &str) {
    let name = format!("saved/{name}");
    live.sandbox.write(&name, content);
    let saved_at = chrono::DateTime::parse_from_rfc3339(saved_at).unwrap();
    let file = std::fs::File::options().write(true).open(live.sandbox.path(&name)).unwrap();
    file.set_modified(saved_at.into()).unwrap();
}

/// (product, source, reason) of those without an answer.
fn failures(live: &Live) -> Vec<String> {
    live.lines("SELECT asin || ' ' || source || ' ' || fault FROM fetch_failures ORDER BY 1")
}

/// A shop on this machine. It gives each reply once, those for the same product in their order.
struct Shop {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    /// (product, status, page)
    fn open(mut replies: Vec<(&'static str, u16, String)>) -> Shop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shop = Shop { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&shop.asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { continue };
                asked.lock().unwrap().push(path.to_owned());
                let place = replies.iter().position(|(asin, ..)| path == format!("/dp/{asin}"));
                let (status, page) = place.map_or((410, String::new()), |place| {
                    let (_, status, page) = replies.remove(place);
                    (status, page)
                });
                let length = page.len();
                let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close");
                write!(stream, "{head}\r\ncontent-type: text/html; charset=utf-8\r\n\r\n{page}").unwrap();
            }
        });
        shop
    }

    /// The addresses it was asked for, sorted.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }

    fn base_url(&self) -> String {
        format!("\"http://{}\"", self.address)
    }
}

#[test]
fn a_page_is_found_by_its_asin_in_the_folder_and_in_the_marketplaces_own_and_the_newest_counts() {
    let live = watching(&["B00000000A", "B00000000B", "B00000000C", "B00000000D", "B00000000E"]);
    let (older, newer, newest) = ("2026-02-26T08:00:00Z", "2026-02-27T09:00:00Z", "2026-02-28T10:00:00Z");
    save(&live, "B00000000A.html", page("B00000000A", "1.299"), older);
    save(&live, "DE/lampe_b00000000b.htm.gz", gzip(&page("B00000000B", "1.299")), older);
    save(&live, "B00000000C.html", page("B00000000C", "1.299"), older);
    let packed = zstd::encode_all(page("B00000000C", "1.099").as_bytes(), 3).unwrap();
    save(&live, "DE/DE_B00000000C.html.zst", packed, newer);
    save(&live, "DE/B00000000D.html", page("B00000000D", "1.299"), older);
    save(&live, "B00000000D.html.gz", gzip(&page("B00000000D", "1.099")), newer);
    // Newer, but of other marketplaces.
    save(&live, "B00000000E.html", page("B00000000E", "1.299"), older);
    save(&live, "UK_B00000000E.html", page("B00000000E", "1.099"), newer);
    save(&live, "US/B00000000E.html", page("B00000000E", "1.199"), newest);

    live.ok("ingest -q");
    assert_eq!(live.number("SELECT COUNT(*) FROM source_requests WHERE state = 'answered'"), 1);
    assert_eq!(live.number("SELECT SUM(cost_micros) FROM source_requests"), 0);
    live.ok("normalize -q");
    assert_eq!(live.lines("SELECT detail FROM quarantine"), [""; 0]);
    let daily = live.lines(
        "SELECT asin || ' ' || price_minor || ' ' || strftime('%d %H:%M', observed_at / 1000000, 'unixepoch')
         FROM product_metrics_daily WHERE marketplace = 'DE' AND source = 'html' ORDER BY 1",
    );
    let expected = [
        "B00000000A 129900 26 08:00",
        "B00000000B 129900 26 08:00",
        "B00000000C 109900 27 09:00",
        "B00000000D 109900 27 09:00",
        "B00000000E 129900 26 08:00",
    ];
    assert_eq!(daily, expected);
    let again = live.ok("ingest");
    assert!(again.stderr.contains("0 products due") && again.stderr.contains("5 not due"), "{again:#?}");
}

#[test]
fn a_bad_page_fails_only_its_own_product_and_the_shop_is_not_asked_for_what_is_missing() {
    let shop = Shop::open(vec![("B00000000E", 200, page("B00000000E", "1.299"))]);
    let mut live =
        watching(&["B00000000A", "B00000000B", "B00000000C", "B00000000D", "B00000000E", "B00000000F"]);
    live.set("html", "base_url", shop.base_url());
    let (saved_at, saved_again_at) = ("2026-02-27T08:00:00Z", "2026-02-28T08:00:00Z");
    for asin in ["B00000000A", "B00000000F"] {
        save(&live, &format!("{asin}.html"), page(asin, "1.299"), saved_at);
    }
    save(&live, "B00000000B.html", CAPTCHA, saved_at);
    let whole = gzip(&page("B00000000C", "1.299"));
    save(&live, "B00000000C.html.gz", &whole[..whole.len() / 2], saved_at);
    save(&live, "UK_B00000000D.html", page("B00000000D", "1.299"), saved_at);

    let ended = live.run("ingest");
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert_eq!(live.lines("SELECT asin FROM fetches ORDER BY 1"), ["B00000000A", "B00000000F"]);
    let expected = [
        "B00000000B html blocked",
        "B00000000C html refused",
        "B00000000D html missing",
        "B00000000E html missing",
    ];
    assert_eq!(failures(&live), expected);
    let named = live.lines("SELECT detail FROM fetch_failures WHERE asin = 'B00000000C'");
    assert!(named[0].contains("B00000000C.html.gz"), "nobody knows which file: {named:?}");
    live.ok("normalize -q");
    let read = "SELECT asin FROM observations WHERE is_current = 1 AND found = 1 ORDER BY 1";
    assert_eq!(live.lines(read), ["B00000000A", "B00000000F"]);

    // What was mended is read by the next run.
    for asin in ["B00000000B", "B00000000C", "B00000000D", "B00000000E"] {
        save(&live, &format!("DE/{asin}.html"), page(asin, "1.299"), saved_again_at);
    }
    live.ok("ingest -q");
    assert_eq!(failures(&live), [""; 0]);
    live.ok("normalize -q");
    assert_eq!(live.lines(read).len(), 6);
    assert_eq!(live.lines("SELECT detail FROM quarantine"), [""; 0]);
    assert_eq!(shop.asked(), [""; 0], "nobody had allowed it");
}

#[test]
fn where_it_is_allowed_the_shop_is_asked_for_missing_pages_once_each_and_slowly() {
    // Of amazon.de, as what is asked for.
    let gone = NOT_FOUND.replace("ATVPDKIKX0DER", "A1PA6795UKMFR9");
    let shop = Shop::open(vec![
        ("B00000000A", 200, page("B00000000A", "1.099")),
        ("B00000000B", 200, page("B00000000B", "1.299")),
        ("B00000000C", 503, UNAVAILABLE.to_owned()),
        ("B00000000C", 200, page("B00000000C", "1.299")),
        ("B00000000D", 200, CAPTCHA.to_owned()),
        ("B00000000D", 200, page("B00000000D", "1.299")),
        // A server that says nothing at all is asked once more.
        ("B00000000E", 503, String::new()),
        ("B00000000E", 200, page("B00000000E", "1.299")),
        ("B00000000F", 404, gone),
    ]);
    let mut live =
        watching(&["B00000000A", "B00000000B", "B00000000C", "B00000000D", "B00000000E", "B00000000F"]);
    live.set("html", "base_url", shop.base_url());
    live.set("html", "fetch", true);
    save(&live, "B00000000A.html", page("B00000000A", "1.299"), "2026-02-28T08:00:00Z");
    let plan = live.json("ingest --dry-run --format json");
    assert_eq!((&plan["due"], &plan["requests"]), (&6.into(), &6.into()));
    assert!(plan["sources"][0]["seconds"].as_u64() >= Some(20), "not slowly: {plan:#}");
    assert_eq!(shop.asked(), [""; 0], "a plan asks nobody");

    live.set("html", "requests_per_second", "1000.0");
    live.set("html", "burst", 1_000);
    let ended = live.run("ingest");
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    let mut asked = ["B", "C", "D", "E", "E", "F"].map(|end| format!("/dp/B00000000{end}")).to_vec();
    assert_eq!(shop.asked(), asked);
    assert_eq!(failures(&live), ["B00000000C html blocked", "B00000000D html blocked"]);
    let fetched = live.lines("SELECT asin || ' ' || outcome FROM fetches ORDER BY 1");
    let expected = ["B00000000A answered", "B00000000B answered", "B00000000E answered", "B00000000F absent"];
    assert_eq!(fetched, expected);

    live.ok("ingest -q");
    asked.extend(["C", "D"].map(|end| format!("/dp/B00000000{end}")));
    asked.sort();
    assert_eq!(shop.asked(), asked, "only what had failed is asked for again");
    assert_eq!(failures(&live), [""; 0]);
    live.ok("normalize -q");
    assert_eq!(live.lines("SELECT detail FROM quarantine"), [""; 0]);
    let found = live.lines("SELECT asin || ' ' || found FROM observations WHERE is_current = 1 ORDER BY 1");
    let expected = ["A 1", "B 1", "C 1", "D 1", "E 1", "F 0"].map(|end| format!("B00000000{end}"));
    assert_eq!(found, expected);
}

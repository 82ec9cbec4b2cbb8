//! The dashboard as a browser without scripts meets it: who gets in, what each may see and do, and what a form needs.

use amzctl::serve::{PageFacts, page_facts};

use super::access::{Objects, objects};
use super::browser::Browser;
use super::live::{Listener, next_day};
use super::{Server, key, roles};
use crate::sandbox::Sandbox;

/// What each page asks for, written down apart from the table that it is built from.
const EXPECTED: &str = "
    read           GET  /
    read           GET  /products
    read           GET  /products/{product}
    read           GET  /cohorts
    read           GET  /cohorts/{cohort}
    read           GET  /alerts
    read           GET  /alerts/{alert}
    read,write     POST /alerts/{alert}/acknowledge
    read,write     POST /alerts/{alert}/resolve
    read,write     POST /alerts/{alert}/dismiss
    read,write     POST /alerts/{alert}/snooze
    read           GET  /reports
    read           GET  /reports/{report}
    operate        GET  /operation
    write,operate  GET  /keys
    write,operate  POST /keys
    write,operate  POST /keys/{key}/revoke
    read           GET  /live
                   POST /logout
    -              GET  /login
    -              POST /login
    -              GET  /language
    -              GET  /assets/dash.css
    -              GET  /assets/dash.js
    -              GET  /assets/icon.svg";

#[test]
fn what_each_page_asks_for_is_as_written_down() {
    let line = |page: &PageFacts| {
        let needed = page.permissions.map(|permissions| {
            permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(",")
        });
        format!("{:15}{:5}{}", needed.as_deref().unwrap_or("-"), page.method, page.path).trim().to_owned()
    };
    let pages: Vec<String> = page_facts().iter().map(line).collect();
    assert_eq!(pages, EXPECTED.trim().lines().map(str::trim).collect::<Vec<_>>());
}

/// The paths of pages with objects of workspace main.
fn path(page: &PageFacts, objects: &Objects) -> String {
    page.path
        .replace("{product}", "US:B0FDKB341G")
        .replace("{cohort}", "earbuds")
        .replace("{alert}", &objects.alert)
        .replace("{report}", &objects.report)
        .replace("{key}", &"0".repeat(16))
}

fn fields(page: &PageFacts) -> &'static [(&'static str, &'static str)] {
    match page.id {
        "form_snooze" => &[("for_s", "3600")],
        "form_create_key" => &[("name", "made"), ("kind", "public"), ("tier", "basic"), ("days", "1")],
        _ => &[],
    }
}

#[test]
fn every_page_opens_to_whoever_may_and_to_nobody_else() {
    let sandbox = Sandbox::with_market();
    let objects = objects(&sandbox);
    let roles = roles(&sandbox);
    let server = Server::start(&sandbox, "");
    for page in page_facts() {
        let path = path(&page, &objects);
        let place = format!("{} {path}", page.method);
        let Some(needed) = page.permissions else { continue };
        if page.id == "form_logout" {
            continue;
        }
        let mut nobody = Browser::new(&server);
        if page.method == "GET" {
            let answer = nobody.get(&path);
            if page.id == "live_events" {
                assert_eq!(answer.status, 401, "{place}");
            } else {
                assert_eq!(answer.status, 303, "{place}");
                assert!(answer.header("location").starts_with("/login?next="), "{place}");
            }
        } else {
            nobody.get("/login");
            let answer = nobody.post(&path, fields(&page));
            assert_eq!((answer.status, answer.header("location")), (303, "/login?next=%2F"), "{place}");
        }
        for (key, permissions) in &roles {
            let mut browser = Browser::logged_in(&server, key);
            let may = needed.iter().all(|needed| permissions.allow(*needed));
            let status = match page.id {
                "live_events" => {
                    let cookie = browser.cookie();
                    match Listener::begin(&server, &path, &[("Cookie", &cookie)]) {
                        Ok(_) => 200,
                        Err(refused) => refused.status,
                    }
                }
                _ if page.method == "POST" => {
                    browser.get("/keys");
                    browser.post(&path, fields(&page)).status
                }
                _ => browser.get(&path).status,
            };
            let expected: &[u16] = match (may, page.method) {
                (false, _) => &[403],
                (true, "GET") => &[200],
                // An alert that was resolved cannot be acknowledged any more; there is no key of zeros.
                (true, _) => &[303, 200, 409, 404],
            };
            assert!(expected.contains(&status), "{place} by {permissions}: {status}");
        }
    }
}

#[test]
fn what_another_workspace_owns_has_no_page() {
    let sandbox = Sandbox::with_market();
    let objects = objects(&sandbox);
    let theirs = key(&sandbox, "--workspace eu --kind admin");
    key(&sandbox, "--kind public");
    let ours = sandbox.succeed("keys list --format csv --fields key_id");
    let ours = ours.lines().nth(1).unwrap();
    let server = Server::start(&sandbox, "");
    let mut browser = Browser::logged_in(&server, &theirs);
    for page in page_facts().into_iter().filter(|page| page.path.contains('{')) {
        let path = path(&page, &objects).replace(&"0".repeat(16), ours);
        browser.get("/keys");
        let answer = match page.method {
            "GET" => browser.get(&path),
            _ => browser.post(&path, fields(&page)),
        };
        assert_eq!(answer.status, 404, "{} {path}", page.method);
        assert!(answer.text().contains("There is nothing here"), "{}", answer.text());
    }
    for path in ["/", "/products", "/cohorts", "/alerts", "/reports", "/keys"] {
        let answer = browser.get(path);
        assert_eq!(answer.status, 200, "{path}");
        for secret in ["B0FDKB341G", "earbuds", ours] {
            assert!(!answer.text().contains(secret), "{path} tells of {secret}");
        }
    }
    assert!(sandbox.succeed("keys list --format csv").contains("active"));
}

#[test]
fn a_session_is_a_cookie_that_no_script_and_no_other_site_has() {
    let sandbox = Sandbox::with_market().with("AMZCTL_SERVE__TRUSTED_PROXIES", "[\"127.0.0.1\"]");
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let mut browser = Browser::new(&server);
    let page = browser.get("/login?next=/products%3Fq%3Dear");
    assert!(page.header("content-security-policy").contains("script-src 'self'; style-src 'self'"));
    assert!(!page.header("content-security-policy").contains("unsafe"));
    assert_eq!(page.header("cache-control"), "no-store");
    let text = page.text().replace("&#x2f;", "/");
    assert!(text.contains("name=\"next\" value=\"/products?q=ear\""), "{text}");
    let answer = browser.post("/login", &[("key", &key), ("next", "%2Fproducts%3Fq%3Dear")]);
    assert_eq!((answer.status, answer.header("location")), (303, "/products?q=ear"));
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"), "{cookie}");
    assert!(!cookie.contains(&key));
    // Behind a proxy that speaks TLS for it.
    let mut browser = Browser::new(&server);
    let page = browser.get_with("/login", &[("X-Forwarded-Proto", "https")]);
    assert!(page.header("set-cookie").ends_with("; Secure"), "{}", page.header("set-cookie"));
    for elsewhere in ["https://evil.example", "//evil.example", "/%5Cevil.example", "javascript:alert(1)"] {
        let mut browser = Browser::new(&server);
        browser.get("/login");
        let answer = browser.post("/login", &[("key", &key), ("next", elsewhere)]);
        assert_eq!(answer.header("location"), "/", "{elsewhere}");
    }
    // What programs ask does not know the cookie.
    let mut browser = Browser::logged_in(&server, &key);
    let cookie = browser.cookie();
    assert_eq!(server.send("GET", "/v1/products", &[("Cookie", &cookie)], "").code(), "unauthenticated");
    let token = cookie.split("amzctl_session=").nth(1).unwrap().split(';').next().unwrap();
    for file in ["amzctl.db", "amzctl.db-wal"] {
        let bytes = std::fs::read(sandbox.path(file)).unwrap_or_default();
        assert!(
            !bytes.windows(token.len()).any(|some| some == token.as_bytes()),
            "{file}: only a hash is kept"
        );
    }
    assert_eq!(browser.get("/login").header("location"), "/", "they are in already");
}

#[test]
fn a_form_of_another_page_does_nothing() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let mut browser = Browser::logged_in(&server, &key);
    browser.get("/alerts");
    let csv = sandbox.succeed("alert list --format csv --fields alert_id");
    let path = format!("/alerts/{}/acknowledge", csv.lines().nth(1).unwrap());
    let token = browser.form_token.clone();
    let mut other = Browser::logged_in(&server, &key);
    other.get("/alerts");
    assert_ne!(other.form_token, token, "each session has its own");
    for (fields, headers) in [
        (&[][..], &[][..]),
        (&[("form_token", "")], &[]),
        (&[("form_token", other.form_token.clone().leak() as &str)], &[]),
        (&[("form_token", token.clone().leak() as &str)], &[("Sec-Fetch-Site", "cross-site")]),
        (&[("form_token", token.clone().leak() as &str)], &[("Sec-Fetch-Site", "same-site")]),
    ] {
        let answer = browser.post_with(&path, fields, headers);
        assert_eq!(answer.status, 403, "{fields:?} {headers:?}");
    }
    assert!(!sandbox.succeed("alert list --format csv").contains("acknowledged"));
    browser.get("/alerts");
    let done = browser.post(&path, &[("back", "/alerts?state=all"), ("note", "looking")]);
    assert_eq!((done.status, done.header("location")), (303, "/alerts?state=all&done=acknowledged"));
    assert!(browser.get(done.header("location")).text().contains("Acknowledged."));
    let log = server.get(&self::key(&sandbox, "--kind admin"), "/v1/audit?limit=3").data();
    assert!(log.to_string().contains("alert.acknowledge") && log.to_string().contains("key test"), "{log}");
}

#[test]
fn who_guesses_at_the_door_waits() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let mut browser = Browser::new(&server);
    for _ in 0..5 {
        let answer = browser.log_in("sk_wrong");
        assert_eq!(answer.status, 401);
        assert!(answer.text().contains("unknown, expired or revoked"));
    }
    let answer = browser.log_in(&key);
    assert_eq!(answer.status, 429, "even the right one");
    assert!(answer.text().contains("Too many wrong keys"), "{}", answer.text());
}

#[test]
fn a_session_ends_when_it_is_idle_when_it_is_old_and_when_somebody_leaves() {
    let sandbox = Sandbox::with_market()
        .with("AMZCTL_SERVE__SESSION_IDLE_S", "600")
        .with("AMZCTL_SERVE__SESSION_S", "1500");
    let key = key(&sandbox, "");
    let server = Server::start(&sandbox, "");
    let cookies = Browser::logged_in(&server, &key).cookies;
    drop(server);
    let status_at = |time: &str| {
        let server = Server::start_at(&sandbox, "", time);
        Browser { server: &server, cookies: cookies.clone(), form_token: String::new() }.get("/alerts").status
    };
    assert_eq!(status_at("2026-03-01T12:09:00Z"), 200, "it was in use: it goes on");
    assert_eq!(status_at("2026-03-01T12:18:00Z"), 200, "from then on");
    assert_eq!(status_at("2026-03-01T12:24:59Z"), 200);
    assert_eq!(status_at("2026-03-01T12:25:01Z"), 303, "so long and no longer");
    let server = Server::start_at(&sandbox, "", "2026-03-02T12:00:00Z");
    let cookies = Browser::logged_in(&server, &key).cookies;
    drop(server);
    let server = Server::start_at(&sandbox, "", "2026-03-02T12:10:01Z");
    let mut late = Browser { server: &server, cookies, form_token: String::new() };
    assert_eq!(late.get("/alerts").status, 303, "it was idle");

    let mut browser = Browser::logged_in(&server, &key);
    let cookies = browser.cookies.clone();
    browser.get("/alerts");
    assert_eq!(browser.post("/logout", &[]).header("location"), "/login");
    assert!(browser.cookies.is_empty());
    let mut thief = Browser { server: &server, cookies, form_token: String::new() };
    assert_eq!(thief.get("/alerts").status, 303, "the cookie is worth nothing now");
}

#[test]
fn a_key_that_is_made_on_a_page_is_shown_once_and_revoked_there() {
    let sandbox = Sandbox::with_market();
    let admin = key(&sandbox, "--kind admin --name boss");
    let server = Server::start(&sandbox, "");
    let mut browser = Browser::logged_in(&server, &admin);
    browser.get("/keys");
    let page = browser.post("/keys", fields(&page_facts()[15])).text();
    let made = page.split("id=\"made\">").nth(1).expect("it is shown").split('<').next().unwrap().to_owned();
    assert!(made.starts_with("pk_") && made.len() == 46, "{made}");
    assert_eq!(server.get(&made, "/v1/products").status, 200);
    let list = browser.get("/keys").text();
    assert!(list.contains("made") && !list.contains(&made), "{list}");
    let ids = sandbox.succeed("keys list --format csv --fields key_id,name,created_by");
    let line = ids.lines().find(|line| line.contains(",made,")).unwrap();
    assert!(line.ends_with("key boss"), "{line}");
    let revoked = browser.post(&format!("/keys/{}/revoke", line.split(',').next().unwrap()), &[]);
    assert_eq!(revoked.header("location"), "/keys?done=revoked");
    for wrong in [
        [("name", ""), ("kind", "public"), ("tier", "basic")],
        [("name", "x"), ("kind", "king"), ("tier", "basic")],
    ] {
        browser.get("/keys");
        assert_eq!(browser.post("/keys", &wrong).status, 400, "{wrong:?}");
    }
}

#[test]
fn pages_say_what_the_routes_say() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "--kind admin");
    let server = Server::start(&sandbox, "");
    let mut browser = Browser::logged_in(&server, &key);
    let overview = browser.get("/").text();
    assert!(overview.contains("2026-02-28") && overview.contains("US:B0FDKB341G"), "{overview}");
    let all = browser.get("/products").text();
    for product in ["US:B0FDKB341G", "UK:B0FDKB341G", "US:B0FM2YDLHP", "19.99 USD", "out of stock"] {
        assert!(all.contains(product), "{product}: {all}");
    }
    for (query, there, not_there) in [
        ("q=speaker", "US:B0FM2YDLHP", "US:B0FDKB341G"),
        ("q=US:B0FCL55CFF", "US:B0FCL55CFF", "US:B0FM2YDLHP"),
        ("marketplace=UK", "UK:B0FDKB341G", "US:B0FM2YDLHP"),
        ("q=%3Cscript%3E", "No product is like that", "<script>"),
    ] {
        let found = browser.get(&format!("/products?{query}&part=1")).text();
        assert!(found.contains(there) && !found.contains(not_there), "{query}: {found}");
        assert!(!found.contains("<html"), "only the part that changes");
    }
    let product = browser.get("/products/US:B0FDKB341G?days=30").text();
    assert!(product.contains("<svg class=\"chart\"") && product.contains("19.99 USD"), "{product}");
    assert!(!product.contains("style="), "the policy forbids it");
    let cohort = browser.get("/cohorts/earbuds").text();
    assert!(cohort.contains("main is better") || cohort.contains("rival is better"), "{cohort}");
    let operation = browser.get("/operation").text();
    assert!(operation.contains("key.create"), "{operation}");
    assert_eq!(browser.get("/products/US:B000000000").status, 404);
    assert_eq!(browser.get("/products/B0FDKB341G").status, 409, "it is in two marketplaces");
    let nothing = browser.get("/nowhere");
    assert_eq!(nothing.status, 404);
    assert!(nothing.text().contains("There is nothing here"));
    // A program is told so as a program.
    assert_eq!(server.get(&key, "/nowhere").code(), "not_found");
}

#[test]
fn pages_are_in_the_language_of_whoever_looks() {
    let sandbox = Sandbox::with_market();
    let key = key(&sandbox, "--kind admin");
    let server = Server::start(&sandbox, "");
    let mut browser = Browser::logged_in(&server, &key);
    let chinese = browser.get_with("/products/US:B0FDKB341G", &[("Accept-Language", "zh-TW,zh;q=0.9")]);
    assert!(chinese.text().contains("<html lang=\"zh-Hant\">"));
    assert_eq!(chinese.header("content-language"), "zh-Hant");
    assert!(chinese.text().contains("未觀測") || chinese.text().contains("天中有"), "charts too");
    let chosen = browser.get("/language?to=zh-Hant&next=/alerts%3Fstate%3Dall");
    assert_eq!(chosen.header("location"), "/alerts?state=all");
    let alerts = browser.get("/alerts").text();
    assert!(alerts.contains("警示") && !alerts.contains(">Acknowledge<"), "{alerts}");
    assert_eq!(browser.get("/language?to=tlh&next=/").status, 404);
}

#[test]
fn where_no_key_is_asked_for_pages_are_read_and_nothing_is_changed() {
    let sandbox = Sandbox::with_market();
    let server = Server::start(&sandbox, "--open");
    let mut browser = Browser::new(&server);
    let alerts = browser.get("/alerts").text();
    assert!(alerts.contains("class=\"alert ") && !alerts.contains("/acknowledge"), "{alerts}");
    assert_eq!(browser.get("/operation").status, 200);
    assert_eq!(browser.get("/keys").status, 403);
    let mut live = Listener::begin(&server, "/live", &[]).unwrap();
    next_day(&sandbox);
    assert!(live.next().unwrap().data.contains("2026-03-01"));
}

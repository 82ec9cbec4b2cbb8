//! No key in any byte that is written: not when it is accepted, not when it is refused and repeated back, not when
//! nobody is there.

use std::path::Path;

use super::{Ended, Live, config};
use crate::simulator::{Config, Faults, Keys, Source};

/// Every secret says what it is; some hold what an address has to encode.
fn keys(variant: &str) -> Keys {
    let secret = |what: &str| format!("S3CRET-{what}-{variant}|a/b+c=d");
    Keys {
        apify: secret("apify"),
        keepa: secret("keepa"),
        sp_client_id: secret("client-id"),
        sp_client_secret: secret("client-secret"),
        sp_refresh_token: secret("refresh"),
        firecrawl: secret("firecrawl"),
        rainforest: secret("rainforest"),
    }
}

/// What no byte may hold: the beginning of all secrets, and of the access tokens that the simulator gives out.
const FORBIDDEN: [&[u8]; 2] = [b"S3CRET", b"Atza"];

fn holds(bytes: &[u8]) -> Option<String> {
    FORBIDDEN.iter().find_map(|secret| {
        let at = bytes.windows(secret.len()).position(|window| window == *secret)?;
        let around = &bytes[at.saturating_sub(200)..(at + 60).min(bytes.len())];
        Some(String::from_utf8_lossy(around).into_owned())
    })
}

/// Every file below a folder.
fn assert_clean(folder: &Path, case: &str) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_clean(&path, case);
        } else {
            let found = holds(&std::fs::read(&path).unwrap());
            assert_eq!(found, None, "{case}: {} holds a secret", path.display());
            files += 1;
        }
    }
    files
}

/// Every body in the database as it was received: no search of the file finds what is compressed.
fn assert_bodies_clean(live: &Live, case: &str) {
    for row in live.lines("SELECT sha256 || ' ' || codec || ' ' || hex(bytes) FROM raw_bodies") {
        let columns: Vec<&str> = row.split(' ').collect();
        let (sha256, codec, hex) = (columns[0], columns[1], columns[2]);
        let digits = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
        let stored: Vec<u8> = digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect();
        let body = match codec {
            "plain" => stored,
            "zstd" => zstd::decode_all(stored.as_slice()).unwrap(),
            other => panic!("{case}: {sha256} is stored as {other}"),
        };
        assert_eq!(holds(&body), None, "{case}: the body {sha256} holds a secret");
    }
}

/// Runs every command that may know a key, as talkative as it can be, with the keys of this variant.
fn run_all(live: &Live, variant: &str, expected: &[i32]) -> usize {
    let given = keys(variant);
    let mut log = 0;
    let mut said = 0;
    for line in [
        "ingest --dry-run",
        "ingest --dry-run --format json",
        "ingest --deadline 4s",
        "doctor",
        "doctor --format json",
        "normalize",
        "build-mart",
        "status --format json",
        "costs --by product",
        "runs list --format json",
        "config show --origin",
        "report --watchlist --format html -o report.html",
        "export observations -o observations.ndjson --format ndjson",
    ] {
        log += 1;
        let mut command = live.command(&format!("{line} -vvv --log-format json --log-file run-{log}.log"));
        command.env("RUST_LOG", "trace").envs([
            ("APIFY_TOKEN", &given.apify),
            ("KEEPA_API_KEY", &given.keepa),
            ("FIRECRAWL_API_KEY", &given.firecrawl),
            ("RAINFOREST_API_KEY", &given.rainforest),
            ("SP_API_CLIENT_ID", &given.sp_client_id),
            ("SP_API_CLIENT_SECRET", &given.sp_client_secret),
            ("SP_API_REFRESH_TOKEN_NA", &given.sp_refresh_token),
        ]);
        let ended = Ended::of(&mut command);
        if line.starts_with("ingest --deadline") {
            let code = ended.code.unwrap();
            assert!(expected.contains(&code), "{variant}: {line}: {ended:#?}");
        }
        for text in [&ended.stdout, &ended.stderr] {
            said += text.len();
            assert_eq!(holds(text.as_bytes()), None, "{variant}: {line} says a secret");
        }
    }
    assert_clean(live.sandbox.path("").as_path(), variant);
    assert_bodies_clean(live, variant);
    said
}

fn watching(config: Config) -> Live {
    // Nobody answers for another: each is asked.
    let live = Live::new(config, "apify");
    let products = live.products(20, 2);
    for (source, products) in Source::ALL.iter().zip(products.chunks(4)) {
        live.watch(products, &format!("--source-chain {}", source.name()));
    }
    live
}

#[test]
fn no_key_is_in_any_byte_of_what_is_written() {
    let accepted = watching(Config { keys: keys("good"), echoes: true, ..config() });
    assert!(run_all(&accepted, "good", &[0]) > 1_000, "nothing was said");
    assert_eq!(accepted.number("SELECT COUNT(*) FROM fetches WHERE source <> 'sp-api'"), 16);
    let compressed = accepted.number("SELECT COUNT(*) FROM raw_bodies WHERE codec = 'zstd'");
    assert!(compressed > 16, "{compressed} bodies were looked into");

    // The same, refused: every provider repeats what it was sent.
    let refused = watching(Config { keys: keys("good"), echoes: true, ..config() });
    run_all(&refused, "bad", &[12]);
    let quoted = refused.number("SELECT COUNT(*) FROM fetch_failures WHERE detail LIKE '%***%'");
    assert!(
        quoted > 0,
        "no provider's words were kept: {:?}",
        refused.lines("SELECT detail FROM fetch_failures")
    );

    let mut alone = watching(Config { keys: keys("good"), ..config() });
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for source in Source::ALL {
        let section = source.name().replace('-', "_");
        alone.set(&section, "base_url", format!("\"http://{closed}\""));
    }
    alone.set("sp_api", "token_url", format!("\"http://{closed}\""));
    run_all(&alone, "good", &[6, 7]);

    let broken = Faults {
        html_page: 0.3,
        reset: 0.2,
        reset_mid_body: 0.2,
        truncated: 0.3,
        max_attempts: 4,
        ..Faults::default()
    };
    let broken = watching(Config { keys: keys("good"), faults: broken, ..config() });
    run_all(&broken, "good", &[0, 3, 6, 7]);
}

use std::sync::Mutex;

use super::*;

/// (how it is written, a word of why it is refused; nothing where it may be connected to)
const LITERALS: [(&str, Option<&str>); 62] = [
    ("https://8.8.8.8/x", None),
    ("https://1.1.1.1:8443/", None),
    ("https://[2606:4700:4700::1111]/", None),
    ("https://[64:ff9b::8.8.8.8]/", None),
    ("https://[::ffff:8.8.8.8]/", None),
    ("https://172.15.255.255/", None),
    ("https://172.32.0.0/", None),
    ("https://100.63.255.255/", None),
    ("https://100.128.0.0/", None),
    ("https://192.167.255.255/", None),
    ("https://198.17.255.255/", None),
    ("https://198.20.0.0/", None),
    ("https://223.255.255.255/", None),
    // This machine, in every spelling that a browser knows.
    ("https://127.0.0.1/", Some("this machine")),
    ("https://127.255.255.255/", Some("this machine")),
    ("https://127.1/", Some("this machine")),
    ("https://2130706433/", Some("this machine")),
    ("https://017700000001/", Some("this machine")),
    ("https://0177.0.0.1/", Some("this machine")),
    ("https://0x7f000001/", Some("this machine")),
    ("https://0x7f.1/", Some("this machine")),
    ("https://127.0.0.1./", Some("this machine")),
    ("https://%31%32%37.0.0.1/", Some("this machine")),
    ("https://①②⑦.0.0.1/", Some("this machine")),
    ("https://user:pass@127.0.0.1/", Some("this machine")),
    ("https://example.com@127.0.0.1/", Some("this machine")),
    ("https://[::1]/", Some("this machine")),
    ("https://[0:0:0:0:0:0:0:1]/", Some("this machine")),
    ("https://[::ffff:127.0.0.1]/", Some("this machine")),
    ("https://[::ffff:7f00:1]/", Some("this machine")),
    ("https://[64:ff9b::127.0.0.1]/", Some("this machine")),
    ("https://[64:ff9b::a9fe:a9fe]/", Some("this link")),
    ("https://[::127.0.0.1]/", Some("reserved")),
    ("https://[2002:7f00:1::]/", Some("a relay")),
    // Private networks, from their first to their last address.
    ("https://10.0.0.0/", Some("a private network")),
    ("https://10.255.255.255/", Some("a private network")),
    ("https://172.16.0.0/", Some("a private network")),
    ("https://172.31.255.255/", Some("a private network")),
    ("https://192.168.0.0/", Some("a private network")),
    ("https://192.168.255.255/", Some("a private network")),
    ("https://100.64.0.0/", Some("a carrier")),
    ("https://100.127.255.255/", Some("a carrier")),
    ("https://169.254.169.254/latest/meta-data/", Some("this link")),
    ("https://[fe80::1]/", Some("this link")),
    ("https://[fc00::1]/", Some("a private network")),
    ("https://[fdff:ffff::1]/", Some("a private network")),
    ("https://[fec0::1]/", Some("a private network")),
    ("https://[fd00:ec2::254]/", Some("a private network")),
    // No host's addresses, groups, and what is kept for other uses.
    ("https://0.0.0.0/", Some("no address")),
    ("https://0/", Some("no address")),
    ("https://[::]/", Some("no address")),
    ("https://224.0.0.1/", Some("a group")),
    ("https://255.255.255.255/", Some("reserved")),
    ("https://[ff02::1]/", Some("a group")),
    ("https://192.0.0.8/", Some("special-purpose")),
    ("https://192.0.2.1/", Some("documentation")),
    ("https://198.18.0.1/", Some("benchmarks")),
    ("https://203.0.113.9/", Some("documentation")),
    ("https://[2001::1]/", Some("special-purpose")),
    ("https://[2001:db8::1]/", Some("documentation")),
    ("https://[64:ff9b:1::1]/", Some("reserved")),
    ("http://example.com/", Some("plain http")),
];

#[test]
fn every_range_and_every_spelling_of_it_is_judged() {
    let guard = Guard::new(false, &[]);
    for (text, expected) in LITERALS {
        let url = Url::parse(text).unwrap();
        let found = guard.check(&url).err();
        match (expected, &found) {
            (None, None) => {}
            (Some(word), Some(blocked)) => assert!(blocked.what.contains(word), "{text}: {}", blocked.what),
            _ => panic!("{text}: {found:?}"),
        }
        assert_eq!(Guard::new(true, &[]).check(&url), Ok(()), "{text}: allow_private opens all");
    }
}

#[test]
fn a_host_that_is_named_is_open_and_no_other() {
    let guard = Guard::new(false, &["Hooks.Internal.".into(), "10.1.2.3".into(), "[fd00::7]".into()]);
    let is_open = |text: &str| guard.check(&Url::parse(text).unwrap()).is_ok();
    assert!(
        is_open("http://10.1.2.3/") && is_open("https://10.1.2.3:8443/x") && is_open("https://[fd00::7]/")
    );
    assert!(is_open("http://hooks.internal/") && is_open("http://HOOKS.internal.:8080/"));
    assert!(!is_open("https://10.1.2.4/") && !is_open("http://other.internal/"));
}

/// Answers the addresses in turn, and counts how often it is asked.
fn scripted(answers: &[&str]) -> (Lookup, Arc<Mutex<usize>>) {
    let answers: Vec<IpAddr> = answers.iter().map(|text| text.parse().unwrap()).collect();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        let mut asked = count.lock().unwrap();
        let answer = answers[(*asked).min(answers.len() - 1)];
        *asked += 1;
        Box::pin(async move { Ok(vec![answer]) })
    });
    (lookup, asked)
}

#[tokio::test]
async fn a_name_is_judged_by_where_it_leads() {
    for (address, is_open) in [("127.0.0.1", false), ("::ffff:10.0.0.1", false), ("8.8.8.8", true)] {
        let guard = Guard::with_lookup(false, &[], scripted(&[address]).0);
        let found = guard.addresses("rebound.example".into()).await;
        assert_eq!(found.is_ok(), is_open, "{address}");
        if let Err(error) = found {
            assert!(error.downcast_ref::<Blocked>().is_some(), "{error}");
        }
    }
    // Of several addresses only those are connected to that may be.
    let both: Lookup =
        Arc::new(|_| Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap(), "8.8.4.4".parse().unwrap()]) }));
    let found = Guard::with_lookup(false, &[], both).addresses("both.example".into()).await.unwrap();
    assert_eq!(found, ["8.8.4.4:0".parse().unwrap()]);
}

/// The name leads to an open address when it is first looked up, and elsewhere ever after.
#[tokio::test]
async fn a_name_that_moves_between_check_and_use_is_not_followed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (lookup, asked) = scripted(&["127.0.0.1", "127.0.0.2"]);
    // Only where the first answer leads is open; the name itself is not.
    let guard = Guard::with_lookup(false, &["127.0.0.1".into()], lookup);
    let client = reqwest::Client::builder().no_proxy().dns_resolver(guard).build().unwrap();
    let url = format!("http://moving.example:{port}/");

    let (first, accepted) = tokio::join!(
        tokio::time::timeout(std::time::Duration::from_secs(5), client.get(&url).send()),
        async {
            let (connection, _) = open.accept().await.unwrap();
            drop(connection);
        }
    );
    let () = accepted;
    assert!(first.unwrap().is_err(), "the connection was closed");
    let before = *asked.lock().unwrap();
    let patience = std::time::Duration::from_secs(5);
    let error = client.get(&url).timeout(patience).send().await.unwrap_err();
    assert!(super::super::http::blocked_by(&error).is_some(), "{error:?}");
    assert_eq!(*asked.lock().unwrap(), before + 1, "one look-up for one connection");
    // Nobody came to where the second answer leads.
    let visitor = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    assert!(visitor.is_err());
}

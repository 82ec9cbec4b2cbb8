//! What `sslmode` and `sslrootcert` of the database URL promise, against a server whose authority only the test knows.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::own::{OwnServer, given_to_server};
use super::sql;
use crate::sandbox::{Sandbox, answers};

/// Makes an authority `NAME.pem` in the folder, and with it a certificate of `localhost` alone, `NAME-server.pem`.
fn make_authority(folder: &Path, name: &str) {
    let openssl = |line: &str| {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}"));
    openssl(&format!("req {key} -keyout {name}-server.key -out {name}.csr -subj /CN=localhost"));
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(&format!(
        "x509 -req -in {name}.csr -CA {name}.pem -CAkey {name}.key -CAcreateserial -days 2 -extfile names \
         -out {name}-server.pem"
    ));
}

/// A port of the loopback that nobody listened on a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_server_is_trusted_as_far_as_the_url_says() {
    let port = free_port();
    let listen = format!("port={port}");
    let settings = [
        "listen_addresses=127.0.0.1",
        &listen,
        "ssl=on",
        "ssl_cert_file=ours-server.pem",
        "ssl_key_file=ours-server.key",
    ];
    let Some(server) = OwnServer::start(&settings) else { return };
    if Command::new("openssl").arg("version").output().is_err() {
        println!("openssl is not here: skipped");
        return;
    }
    let data = server.path("data");
    make_authority(&data, "ours");
    make_authority(&data, "theirs");
    std::fs::write(data.join("pg_hba.conf"), "local all all trust\nhostssl all all 127.0.0.1/32 trust\n")
        .unwrap();
    given_to_server(&data);
    server.up();
    sql(&server.url(&format!("postgres?port={port}")).replacen("?host", "&host", 1), "CREATE DATABASE watch");

    let sandbox = Sandbox::empty();
    for name in ["ours.pem", "theirs.pem"] {
        std::fs::copy(data.join(name), sandbox.path(name)).unwrap();
    }
    let told = |host: &str, query: &str, line: &str| {
        let url = format!("postgres://postgres@{host}:{port}/watch?{query}");
        sandbox.run_with("AMZCTL_STORE__URL", &url, line).replace(&port.to_string(), "[PORT]")
    };
    for (host, query) in [
        ("localhost", "sslmode=require"),
        ("localhost", "sslmode=verify-full&sslrootcert=ours.pem"),
        ("localhost", "sslmode=verify-ca&sslrootcert=ours.pem"),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=ours.pem"),
        ("127.0.0.1", "sslmode=require"),
        // Where nothing is said a connection is encrypted if the server can.
        ("localhost", ""),
    ] {
        let told = told(host, query, "init -q");
        assert_eq!(told, "exit 0\n", "{host} {query}");
    }
    // A host that the certificate does not name, an authority that did not sign it, and only those of the system.
    answers!(told("127.0.0.1", "sslmode=verify-full&sslrootcert=ours.pem", "status"), @r#"
    exit 1
    --- stderr
    error: failed to open postgres://postgres@127.0.0.1:[PORT]/watch
      caused by: no secure connection to the database server
      caused by: error communicating with database: invalid peer certificate: certificate not valid for name "127.0.0.1"; certificate is only valid for DnsName("localhost")
    hint: check host, sslmode and sslrootcert of the database URL against the server's certificate
    "#);
    let unknown = told("localhost", "sslmode=verify-full&sslrootcert=theirs.pem", "status");
    answers!(unknown, @"
    exit 1
    --- stderr
    error: failed to open postgres://postgres@localhost:[PORT]/watch
      caused by: no secure connection to the database server
      caused by: error communicating with database: invalid peer certificate: UnknownIssuer
    hint: check host, sslmode and sslrootcert of the database URL against the server's certificate
    ");
    for query in ["sslmode=verify-ca&sslrootcert=theirs.pem", "sslmode=verify-full", "sslmode=verify-ca"] {
        assert_eq!(told("localhost", query, "status"), unknown, "{query}");
    }
    answers!(told("localhost", "sslmode=verify-full&sslrootcert=none.pem", "status"), @"
    exit 2
    --- stderr
    error: environment variable AMZCTL_STORE__URL: sslrootcert: cannot read none.pem: No such file or directory (os error 2)
    ");
    answers!(told("localhost", "sslmode=disable", "status"), @r#"
    exit 12
    --- stderr
    error: failed to open postgres://postgres@localhost:[PORT]/watch
      caused by: the database server let nobody in under this name and password
      caused by: error returned from database: no pg_hba.conf entry for host "127.0.0.1", user "postgres", database "watch", no encryption
    hint: check user, password and sslmode of the database URL, and what the server's pg_hba.conf asks for
    "#);
}

#[test]
fn a_server_without_encryption_is_refused_where_it_is_asked_for() {
    let port = free_port();
    let listen = format!("port={port}");
    let Some(server) = OwnServer::start(&["listen_addresses=127.0.0.1", &listen]) else { return };
    server.up();
    let url = format!("postgres://postgres@localhost:{port}/postgres");
    let sandbox = Sandbox::empty();
    let told = |query: &str| sandbox.run_with("AMZCTL_STORE__URL", &format!("{url}?{query}"), "init -q");
    assert_eq!(told("sslmode=disable"), "exit 0\n");
    answers!(told("sslmode=require").replace(&port.to_string(), "[PORT]"), @"
    exit 1
    --- stderr
    error: no secure connection to the database server
      caused by: error occurred while attempting to establish a TLS connection: server does not support TLS
    hint: check host, sslmode and sslrootcert of the database URL against the server's certificate
    ");
}

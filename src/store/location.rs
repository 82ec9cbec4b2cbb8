//! Where a database is.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;

/// A file of the embedded engine, or a server's database.
#[derive(Clone, Debug)]
pub enum Location {
    File(PathBuf),
    Server(ServerLocation),
}

/// A PostgreSQL database. It is shown without its password.
#[derive(Clone)]
pub struct ServerLocation {
    pub(super) options: Box<PgConnectOptions>,
    /// A pooler in transaction mode lies in between.
    pub(super) is_pooled: bool,
    /// Where this host keeps what it needs beside the database.
    pub(super) beside: PathBuf,
}

/// What may stand behind the `?` of a URL. A password may not: it would not be hidden there.
const KNOWN_KEYS: [&str; 9] =
    ["host", "hostaddr", "port", "dbname", "user", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// Those that name a file.
const FILE_KEYS: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

impl Location {
    /// Reads a URL such as `postgres://user:password@host:5432/database?sslmode=verify-full`; `beside` names what this
    /// host keeps for it.
    ///
    /// Errors: what is wrong with it, in words without the password.
    pub fn of_server(url: &str, is_pooled: bool, beside: &Path) -> Result<Location, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("a database URL begins with postgres://".to_owned());
        }
        let (_, query) = url.split_once('?').unwrap_or((url, ""));
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            if !KNOWN_KEYS.contains(&key) {
                let known = KNOWN_KEYS.join(", ");
                return Err(format!("`{key}` cannot be said in a database URL here; known are {known}"));
            }
            // Later it would look as if the server could not be reached.
            if FILE_KEYS.contains(&key)
                && !value.contains('%')
                && let Err(error) = File::open(value)
            {
                return Err(format!("{key}: cannot read {value}: {error}"));
            }
        }
        let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| match error {
            sqlx::Error::Configuration(what) => what.to_string(),
            _ => "it cannot be read".to_owned(),
        })?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err("it names no database: postgres://host/database".to_owned());
        }
        let beside = beside.to_owned();
        Ok(Location::Server(ServerLocation { options: Box::new(options), is_pooled, beside }))
    }

    /// The path that names what this host keeps beside the database: `<path>.pipeline.lock`, `<path>.spool`.
    pub fn beside(&self) -> &Path {
        match self {
            Location::File(path) => path,
            Location::Server(server) => &server.beside,
        }
    }

    /// The file of the embedded engine.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Location::File(path) => Some(path),
            Location::Server(_) => None,
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Location {
        Location::File(path.to_owned())
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Location {
        Location::File(path)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => path.display().fmt(f),
            Location::Server(server) => server.fmt(f),
        }
    }
}

impl fmt::Display for ServerLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let host = options.get_socket().map_or(options.get_host().into(), |socket| socket.to_string_lossy());
        let database = options.get_database().unwrap_or_default();
        write!(f, "postgres://{}@{host}:{}/{database}", options.get_username(), options.get_port())
    }
}

impl fmt::Debug for ServerLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_shown_without_its_password() {
        let url = "postgres://amz:s3cr3t@db.example:6543/watch?sslmode=require";
        let location = Location::of_server(url, false, Path::new("amzctl")).unwrap();
        assert_eq!(location.to_string(), "postgres://amz@db.example:6543/watch");
        assert_eq!(format!("{location:?}"), "Server(postgres://amz@db.example:6543/watch)");
    }

    #[test]
    fn what_is_no_url_of_a_database_is_refused_in_words() {
        for (url, said) in [
            ("mysql://host/watch", "a database URL begins with postgres://"),
            ("postgres://host", "it names no database: postgres://host/database"),
            ("postgres://host:port/watch", "invalid port number"),
            (
                "postgres://host/watch?sslmode=verify-full&sslrootcert=/none/ca.pem",
                "sslrootcert: cannot read /none/ca.pem: No such file or directory (os error 2)",
            ),
            (
                "postgres://host/watch?sslmod=verify-full",
                "`sslmod` cannot be said in a database URL here; known are host, hostaddr, port, dbname, user, sslmode, \
                 sslrootcert, sslcert, sslkey",
            ),
        ] {
            assert_eq!(Location::of_server(url, false, Path::new("amzctl")).unwrap_err(), said);
        }
    }
}

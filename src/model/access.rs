//! Who may ask serve-lite for what: kinds of keys, permissions, and how much a key may ask.

use std::fmt;
use std::str::FromStr;

use super::observation::words;

/// What a key is meant for. Its first letters say so: `pk_`, `sk_`, `ak_`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyKind {
    /// May lie where others can read it, as in a page: it only ever reads.
    Public,
    /// Of a program of the workspace's own: reads, and changes alerts.
    Secret,
    /// Of whoever looks after the installation.
    Admin,
}

words!(KeyKind { Public = "public", Secret = "secret", Admin = "admin" });

impl KeyKind {
    /// What keys of this kind begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            KeyKind::Public => "pk_",
            KeyKind::Secret => "sk_",
            KeyKind::Admin => "ak_",
        }
    }

    /// All that a key of this kind may be allowed, which is also what it is where nothing else is said.
    pub fn permissions(self) -> Permissions {
        match self {
            KeyKind::Public => Permissions(vec![Permission::Read]),
            KeyKind::Secret => Permissions(vec![Permission::Read, Permission::Write]),
            KeyKind::Admin => Permissions(Permission::ALL.to_vec()),
        }
    }
}

/// Something that a key may be allowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Permission {
    /// The workspace's products, cohorts, alerts and reports.
    Read,
    /// Changes of its alerts.
    Write,
    /// What is the whole installation's: runs, costs, quarantine, the audit log, metrics.
    Operate,
}

words!(Permission { Read = "read", Write = "write", Operate = "operate" });

/// Permissions, sorted, without repeats. Written with commas between them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Permissions(Vec<Permission>);

impl Permissions {
    pub fn of(permissions: impl IntoIterator<Item = Permission>) -> Permissions {
        let mut all: Vec<Permission> = permissions.into_iter().collect();
        all.sort();
        all.dedup();
        Permissions(all)
    }

    pub fn allow(&self, permission: Permission) -> bool {
        self.0.contains(&permission)
    }

    /// The first of these that `most` does not have.
    pub fn beyond(&self, most: &Permissions) -> Option<Permission> {
        self.0.iter().copied().find(|permission| !most.allow(*permission))
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|permission| permission.as_str()).collect();
        f.pad(&words.join(","))
    }
}

impl FromStr for Permissions {
    type Err = String;

    fn from_str(text: &str) -> Result<Permissions, String> {
        let words = text.split(',').filter(|word| !word.is_empty());
        let read: Result<Vec<Permission>, String> = words
            .map(|word| {
                Permission::from_word(word)
                    .ok_or_else(|| format!("`{word}` is no permission: they are read, write, operate"))
            })
            .collect();
        read.map(Permissions::of)
    }
}

/// How much a key may ask.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum KeyTier {
    #[default]
    Basic,
    Standard,
    Premium,
}

words!(KeyTier { Basic = "basic", Standard = "standard", Premium = "premium" });

impl KeyTier {
    /// Requests, by their weights, in any minute.
    pub fn per_minute(self) -> u32 {
        match self {
            KeyTier::Basic => 60,
            KeyTier::Standard => 300,
            KeyTier::Premium => 1_000,
        }
    }

    /// The same in any hour.
    pub fn per_hour(self) -> u32 {
        match self {
            KeyTier::Basic => 1_000,
            KeyTier::Standard => 10_000,
            KeyTier::Premium => 50_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_read_as_they_are_written() {
        for text in ["", "read", "read,write,operate"] {
            assert_eq!(text.parse::<Permissions>().unwrap().to_string(), text);
        }
        assert_eq!("operate,read,read".parse::<Permissions>().unwrap().to_string(), "read,operate");
        assert!("read,rule".parse::<Permissions>().is_err());
    }

    #[test]
    fn a_key_that_others_can_read_never_changes_anything() {
        let wanted = Permissions::of([Permission::Read, Permission::Write]);
        assert_eq!(wanted.beyond(&KeyKind::Public.permissions()), Some(Permission::Write));
        assert_eq!(wanted.beyond(&KeyKind::Secret.permissions()), None);
        assert!(!KeyKind::Secret.permissions().allow(Permission::Operate));
    }
}

//! Keys and tokens: read from the environment, a file or a command, and never shown.

use std::fmt;
use std::path::Path;
use std::process::Command;

/// A secret text. It prints as `***`; only what sends it looks inside.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Where a secret is to be found; the first that is given counts.
#[derive(Clone, Debug, Default)]
pub struct SecretPlace<'a> {
    /// The name of an environment variable.
    pub env: &'a str,
    pub file: Option<&'a Path>,
    /// A command whose first line of output it is.
    pub command: &'a str,
}

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// A text as a secret, unless it cannot be one.
    pub fn checked(text: &str, from: &str) -> Result<Secret, String> {
        if text.is_empty() {
            return Err(format!("{from} is empty"));
        }
        if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
            return Err(format!("{from} holds characters that no key has"));
        }
        Ok(Secret(text.to_owned()))
    }

    /// Reads the secret; `variable` looks an environment variable up. Errors say where it was looked for, never what was
    /// found.
    pub fn read(
        place: &SecretPlace<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Secret, String> {
        let (found, from) = if let Some(path) = place.file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            (text, path.display().to_string())
        } else if !place.command.is_empty() {
            (run(place.command)?, format!("the output of `{}`", place.command))
        } else {
            let text = variable(place.env)
                .ok_or_else(|| format!("the environment variable {} is not set", place.env))?;
            (text, format!("the environment variable {}", place.env))
        };
        let secret = found.lines().next().unwrap_or_default().trim();
        Secret::checked(secret, &from)
    }
}

fn run(command: &str) -> Result<String, String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .output()
        .map_err(|error| format!("cannot run `{command}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{command}` ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("the output of `{command}` is not text"))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_trimmed_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "k-123 \nsecond line\n").unwrap();
        let place = SecretPlace { file: Some(&path), ..SecretPlace::default() };
        let secret = Secret::read(&place, &|_| None).unwrap();
        assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("k-123", "***"));
        let place = SecretPlace { command: "printf 'from-command\\n'", ..SecretPlace::default() };
        assert_eq!(Secret::read(&place, &|_| None).unwrap().reveal(), "from-command");
    }

    #[test]
    fn what_is_missing_is_named_by_its_place() {
        let place = SecretPlace { env: "AMZCTL_TEST_NO_SUCH_VARIABLE", ..SecretPlace::default() };
        assert!(
            Secret::read(&place, &|_| None).unwrap_err().contains("AMZCTL_TEST_NO_SUCH_VARIABLE is not set")
        );
        let place = SecretPlace { command: "echo sesame; exit 3", ..SecretPlace::default() };
        let error = Secret::read(&place, &|_| None).unwrap_err();
        assert!(error.contains("exit status: 3") && !error.contains("ended with sesame"), "{error}");
        let place = SecretPlace { command: "true", ..SecretPlace::default() };
        assert!(Secret::read(&place, &|_| None).unwrap_err().ends_with("is empty"));
    }
}

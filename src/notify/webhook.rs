//! The channel type `webhook`: events as JSON, signed as <https://www.standardwebhooks.com> has it, so that
//! receivers can use any of its libraries to check who sent them and to drop what they have already.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use ring::hmac;

use super::address::{Address, addressed};
use super::body::body_of;
use super::http::Poster;
use super::{Message, NotSent, Notifier, NotifyError, Sending};
use crate::sources::secret::Secret;

/// What a key begins with.
const KEY_PREFIX: &str = "whsec_";
/// How many bytes a key may have.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The key, and the one before it.
const MOST_KEYS: usize = 2;

/// Signing keys, the current one first.
#[derive(Clone)]
pub struct SigningKeys(Vec<hmac::Key>);

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl SigningKeys {
    /// Reads `whsec_…`, or two of them with a space between.
    pub fn parse(secret: &Secret) -> Result<SigningKeys, NotifyError> {
        let no_key = |what: &str| NotifyError::new(NotSent::KeyMissing, format!("the signing key {what}"));
        let mut keys = Vec::new();
        for text in secret.reveal().split_whitespace() {
            let encoded =
                text.strip_prefix(KEY_PREFIX).ok_or_else(|| no_key("does not begin with whsec_"))?;
            let bytes = STANDARD.decode(encoded).map_err(|_| no_key("is not base64 after whsec_"))?;
            if !KEY_BYTES.contains(&bytes.len()) {
                return Err(no_key("must have 24 to 64 bytes"));
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        }
        match keys.len() {
            0 => Err(no_key("is empty")),
            1..=MOST_KEYS => Ok(SigningKeys(keys)),
            _ => Err(no_key("is more than two keys")),
        }
    }

    /// The header `webhook-signature`: one signature for each key.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let signatures: Vec<String> = self
            .0
            .iter()
            .map(|key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes()))))
            .collect();
        signatures.join(" ")
    }
}

/// Posts signed JSON to one address.
#[derive(Debug)]
pub struct WebhookNotifier {
    address: Address,
    poster: Poster,
    url: Url,
    keys: SigningKeys,
}

impl WebhookNotifier {
    pub fn new(address: Address, poster: Poster, url: Url, keys: SigningKeys) -> WebhookNotifier {
        WebhookNotifier { address, poster, url, keys }
    }
}

impl Notifier for WebhookNotifier {
    addressed!();

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(async move {
            let body = body_of(message)?;
            // The time of the attempt: receivers refuse what is too old.
            let timestamp = self.poster.now().timestamp();
            let signature = self.keys.sign(&message.message_id, timestamp, &body);
            let request = self
                .poster
                .post(self.url.clone())
                .header("content-type", "application/json")
                .header("webhook-id", &message.message_id)
                .header("webhook-timestamp", timestamp.to_string())
                .header("webhook-signature", signature)
                .body(body);
            self.poster.send(request).await.map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<SigningKeys, NotifyError> {
        SigningKeys::parse(&Secret::new(text))
    }

    /// The example of the specification's own test suite.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let keys = keys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_keys_give_two_signatures_the_current_one_first() {
        let (new, old) =
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBka");
        let both = keys(&format!("{new} {old}")).unwrap().sign("m", 1, "{}");
        let alone = |key| keys(key).unwrap().sign("m", 1, "{}");
        assert_eq!(both, format!("{} {}", alone(new), alone(old)));
    }

    #[test]
    fn what_is_no_key_is_said_without_showing_it() {
        for (text, word) in
            [("sesame", "whsec_"), ("whsec_!!!", "base64"), ("whsec_c2hvcnQ=", "24 to 64"), ("", "empty")]
        {
            let error = keys(text).unwrap_err();
            assert!(error.detail.contains(word) && !error.detail.contains("sesame"), "{error}");
            assert_eq!(error.kind, NotSent::KeyMissing);
        }
    }
}

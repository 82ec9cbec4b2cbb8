//! Cursors: where a page ended, in a form that nobody can make or change but the servers on this database.
//!
//! A cursor names its list with everything that was asked of it but the length of a page, so that one of another list,
//! another workspace or other filters is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::problem::{Kind, Problem};

/// Bytes of the signature that are kept: nobody guesses 128 bits.
const SIGNED: usize = 16;

/// Makes and reads cursors.
pub(super) struct Cursors(hmac::Key);

impl Cursors {
    pub(super) fn new(secret: &[u8]) -> Cursors {
        Cursors(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The cursor behind `place` of `list`.
    pub(super) fn make(&self, list: &str, place: &[String]) -> String {
        let place = serde_json::to_vec(place).unwrap_or_default();
        let mut bytes = self.sign(list, &place)[..SIGNED].to_vec();
        bytes.extend(place);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place of a cursor of `list`, which has so many parts.
    pub(super) fn read<const N: usize>(&self, list: &str, cursor: &str) -> Result<[String; N], Problem> {
        let place = || {
            let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let (signature, place) = bytes.split_at_checked(SIGNED)?;
            let is_ours: bool =
                subtle::ConstantTimeEq::ct_eq(&self.sign(list, place)[..SIGNED], signature).into();
            let parts: Vec<String> = is_ours.then(|| serde_json::from_slice(place).ok()).flatten()?;
            parts.try_into().ok()
        };
        place().ok_or_else(|| {
            Problem::new(
                Kind::InvalidCursor,
                "take `next_cursor` of the page before, and ask for the same again",
            )
        })
    }

    fn sign(&self, list: &str, place: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&(list.len() as u64).to_be_bytes());
        context.update(list.as_bytes());
        context.update(place);
        let mut signature = [0; 32];
        signature.copy_from_slice(context.sign().as_ref());
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_where_it_belongs_and_nowhere_else() {
        let cursors = Cursors::new(b"secret");
        let place = ["a".to_owned(), "US".to_owned()];
        let cursor = cursors.make("main products", &place);
        assert_eq!(cursors.read::<2>("main products", &cursor).unwrap(), place);
        assert!(cursors.read::<2>("eu products", &cursor).is_err());
        assert!(cursors.read::<3>("main products", &cursor).is_err());
        assert!(Cursors::new(b"other").read::<2>("main products", &cursor).is_err());
    }

    #[test]
    fn a_cursor_that_was_changed_anywhere_is_refused() {
        let cursors = Cursors::new(b"secret");
        let cursor = cursors.make("list", &["B000000001".to_owned()]);
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1;
            assert!(cursors.read::<1>("list", &URL_SAFE_NO_PAD.encode(bytes)).is_err(), "byte {place}");
        }
        for nonsense in ["", "x", "!!!!", "ÿ", &cursor[..20]] {
            assert!(cursors.read::<1>("list", nonsense).is_err(), "{nonsense}");
        }
    }
}

//! A channel that cannot be made: its key is not there, or its template is none. It holds up no other
//! channel; what it would have told waits until it is set right.

use super::address::{Address, addressed};
use super::{Message, Notifier, NotifyError, Sending};

/// Fails every attempt, with the reason why the channel could not be made.
#[derive(Debug)]
pub struct Unready {
    address: Address,
    error: NotifyError,
}

impl Unready {
    pub fn new(address: Address, error: NotifyError) -> Unready {
        Unready { address, error }
    }
}

impl Notifier for Unready {
    addressed!();

    fn send<'a>(&'a self, _: &'a Message) -> Sending<'a> {
        let error = self.error.clone();
        Box::pin(async move { Err(error) })
    }
}

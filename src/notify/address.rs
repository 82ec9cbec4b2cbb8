//! Who a notifier is: what all of them have in common.

use super::ONLY_RECIPIENT;

/// A channel, one of its recipients, and how many events a message may tell of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    pub channel: String,
    pub recipient: String,
    pub most_events: usize,
}

impl Address {
    /// Of a channel with nobody else behind it.
    pub fn only(channel: &str, most_events: u32) -> Address {
        Address::to(channel, ONLY_RECIPIENT, most_events)
    }

    pub fn to(channel: &str, recipient: &str, most_events: u32) -> Address {
        Address {
            channel: channel.to_owned(),
            recipient: recipient.to_owned(),
            most_events: (most_events as usize).max(1),
        }
    }
}

/// The part of [`Notifier`](super::Notifier) that is the same for all that have an `address`.
macro_rules! addressed {
    () => {
        fn channel(&self) -> &str {
            &self.address.channel
        }

        fn recipient(&self) -> &str {
            &self.address.recipient
        }

        fn most_events(&self) -> usize {
            self.address.most_events
        }
    };
}
pub(super) use addressed;

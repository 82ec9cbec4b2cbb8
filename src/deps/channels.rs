//! The ways out that the configuration asks for.

use crate::clock::Clock;
use crate::config::{Channel, Config, Transport};
use crate::notify::{FileNotifier, Notifier, StdoutNotifier};

/// A notifier for every channel and recipient of the configuration.
pub fn notifiers(
    config: &Config,
    clock: Clock,
    stdout: impl Fn() -> StdoutNotifier,
) -> Vec<Box<dyn Notifier>> {
    config.channels.iter().flat_map(|channel| notifiers_of(channel, config, clock, &stdout)).collect()
}

/// A notifier for every recipient of a channel.
pub fn notifiers_of(
    channel: &Channel,
    _config: &Config,
    _clock: Clock,
    stdout: &dyn Fn() -> StdoutNotifier,
) -> Vec<Box<dyn Notifier>> {
    match &channel.transport {
        Transport::Stdout => vec![Box::new(stdout())],
        Transport::File { recipient, path } => vec![Box::new(FileNotifier::new(recipient, path))],
        Transport::Section(_) => Vec::new(),
    }
}

//! What a test of amzctl relies on when it trusts the simulator.

mod accounting;
mod breaking;
mod client;
mod formats;
mod quotas;

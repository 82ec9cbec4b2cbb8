//! `serve-lite`: the mart for programs and people, by HTTP, until a signal ends it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use super::alert::audience;
use super::context::Context;
use crate::error::{Failure, Outcome};
use crate::lake::Lake;
use crate::serve::{self, App, Options};

/// Answer programs and people by HTTP: products, alerts, reports, a dashboard
///
/// Only this machine is listened to unless told otherwise, and nothing but /health and /ready is answered without a key:
/// `amzctl keys create` makes them. / is a dashboard, /docs describes what programs can ask. SIGINT and SIGTERM end it after
/// the requests that are under way (exit 130, 143).
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ServeLiteArgs {
    /// Address and port to listen on; port 0 takes any that is free [default: the configured one, else 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Let whoever asks from this machine read without a key
    #[arg(long)]
    open: bool,
}

pub(super) async fn run(args: ServeLiteArgs, context: &Context) -> anyhow::Result<Outcome> {
    let address = address(&args, context)?;
    let store = context.open_store().await?;
    let active_keys = store.count_active_keys(context.clock.now()).await?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::failed(format!("failed to listen on {address}: {error}"))
            .hint("name another address with --listen, or end whoever listens there")
    })?;
    let address = listener.local_addr()?;
    let app = App::new(store, options(&args, context)).await?;
    context.ui.note(&format!("listening on http://{address}"));
    if args.open {
        context.ui.note("whoever asks from this machine may read without a key");
    } else if active_keys == 0 {
        context
            .ui
            .note("there is no key yet, so nothing is told but /health: `amzctl keys create --name NAME`");
    }
    if !address.ip().is_loopback() {
        context.ui.complain("keys travel as they are: put a proxy with TLS in front");
    }
    tracing::info!(operation = "serve-lite", address = %address, "serving");
    let cancel = context.cancel();
    serve::serve(listener, app, async move { cancel.cancelled().await }).await;
    tracing::info!(operation = "serve-lite", "ended");
    Ok(Outcome::Done)
}

/// Errors: usage, where data without a key would be told beyond this machine.
fn address(args: &ServeLiteArgs, context: &Context) -> Result<SocketAddr, Failure> {
    let configured = &context.config.settings.serve.listen;
    let address = match args.listen {
        Some(address) => address,
        None => configured
            .parse()
            .map_err(|_| Failure::usage(format!("`{configured}` is no address and port")))?,
    };
    if args.open && !address.ip().is_loopback() {
        return Err(Failure::usage(format!("--open on {address} would tell everything to everybody"))
            .hint("listen on 127.0.0.1, or make keys with `amzctl keys create`"));
    }
    Ok(address)
}

fn options(args: &ServeLiteArgs, context: &Context) -> Options {
    let settings = &context.config.settings.serve;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Options {
        clock: context.clock,
        zone: context.config.zone,
        lake: Lake::new(&context.config.lake_root),
        workspace: context.workspace().clone(),
        is_open: args.open,
        subscribers: audience(context).subscribers,
        max_connections: settings.max_connections as usize,
        header_timeout: seconds(settings.header_timeout_s),
        request_timeout: seconds(settings.request_timeout_s),
        fresh: seconds(settings.fresh_s),
        stale: seconds(settings.stale_s),
        cache_bytes: settings.cache_mb as usize * (1 << 20),
        cors_origins: settings.cors_origins.clone(),
        trusted_proxies: settings.trusted_proxies.iter().filter_map(|proxy| proxy.parse().ok()).collect(),
        public_docs: settings.public_docs,
        session_idle: seconds(settings.session_idle_s),
        session: seconds(settings.session_s),
        secure_cookies: settings.secure_cookies,
    }
}

//! What every subcommand is given: configuration, clock, output, and the ways to open the store.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::ui::Ui;
use super::{GlobalArgs, alert};
use crate::cancel::CancelToken;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Failure, Outcome};
use crate::ids::new_run_id;
use crate::lock::{Holder, LockError, RunLock, deliver_lock, deliver_locks, host_name, is_gone, those_gone};
use crate::logging::RunIdSlot;
use crate::model::{Day, Marketplace, Workspace};
use crate::store::leases::{EVERYTHING, Leases, Shared};
use crate::store::ops::RunStart;
use crate::store::{Migrate, Store};

/// How long the end of the program waits for the database's own tidying up.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// What every subcommand is given.
#[derive(Clone, Debug)]
pub struct Context {
    pub config: Config,
    pub clock: Clock,
    pub ui: Ui,
    pub global: GlobalArgs,
    cancel: CancelToken,
    /// Set when a lease could not be kept.
    lapsed: CancelToken,
    /// Somebody looks at the token, so that a first signal is a request and not the end.
    listening: Arc<AtomicBool>,
    run_id: RunIdSlot,
    open_run: Arc<Mutex<Option<OpenRun>>>,
    open_stores: Arc<Mutex<Vec<Store>>>,
}

/// A run whose end has not been written yet.
#[derive(Clone, Debug)]
struct OpenRun {
    store: Store,
    start: RunStart,
}

impl Context {
    pub fn new(config: Config, clock: Clock, ui: Ui, global: GlobalArgs, run_id: RunIdSlot) -> Context {
        Context {
            config,
            clock,
            ui,
            global,
            cancel: CancelToken::default(),
            lapsed: CancelToken::default(),
            listening: Arc::default(),
            run_id,
            open_run: Arc::default(),
            open_stores: Arc::default(),
        }
    }

    /// The same session on another configuration.
    pub fn with_config(&self, config: Config) -> Context {
        Context { config, ..self.clone() }
    }

    /// Whose watchlist, cohorts, alerts and reports are meant: the flag's, else the configured one.
    pub fn workspace(&self) -> &Workspace {
        self.global.workspace.as_ref().unwrap_or(&self.config.workspace)
    }

    /// Today in the reporting zone.
    pub fn today(&self) -> Day {
        self.config.zone.day_of(self.clock.now())
    }

    /// Opens the database of the configuration.
    ///
    /// Errors: not initialised (exit 10) without configuration or database; usage (exit 2) when the configured
    /// zone is not the one that the database was initialised with.
    pub async fn open_store(&self) -> anyhow::Result<Store> {
        let migrate = if self.global.no_migrate { Migrate::Refuse } else { Migrate::Yes };
        let store = self.open(migrate).await?;
        let Some(identity) = store.identity().await? else {
            return Err(Failure::new(
                Outcome::NotInitialised,
                format!("{} was not initialised to its end", self.config.database),
            )
            .hint("finish it with `amzctl init`")
            .into());
        };
        self.check_zone("the database", &identity.zone)?;
        self.note_unused_workspace(&store).await?;
        Ok(store)
    }

    /// A name that was mistyped looks like one under which there is nothing to do.
    async fn note_unused_workspace(&self, store: &Store) -> anyhow::Result<()> {
        let workspace = self.workspace();
        if !workspace.is_main() && !store.is_in_use(workspace).await? {
            self.ui.note(&format!("there is nothing in workspace `{workspace}` yet"));
        }
        Ok(())
    }

    /// Opens the database of the configuration as it is, with an older schema too, for those who look after it.
    pub(super) async fn open_store_as_it_is(&self) -> anyhow::Result<Store> {
        self.open(Migrate::Later).await
    }

    async fn open(&self, migrate: Migrate) -> anyhow::Result<Store> {
        self.check_found()?;
        let store = Store::open_waiting(self.config.database.clone(), migrate, self.busy_timeout())
            .await
            .with_context(|| format!("failed to open {}", self.config.database))?;
        self.close_at_end(&store);
        Ok(store)
    }

    /// Errors: there is no configuration (exit 10).
    pub(super) fn check_found(&self) -> anyhow::Result<()> {
        if !self.config.is_found {
            return Err(Failure::new(
                Outcome::NotInitialised,
                "no configuration found: no amzctl.toml here or above",
            )
            .hint("create one with `amzctl init`, or name one with --config FILE")
            .into());
        }
        Ok(())
    }

    /// How long a writer waits for another process.
    pub(super) fn busy_timeout(&self) -> Duration {
        Duration::from_secs(self.config.settings.store.busy_timeout_s.into())
    }

    /// Closes the store with the program, however that ends.
    pub(super) fn close_at_end(&self, store: &Store) {
        self.open_stores.lock().unwrap_or_else(PoisonError::into_inner).push(store.clone());
    }

    /// Closes what was opened, so that the database is one file again that can be copied as it is.
    pub(super) async fn close_stores(&self) {
        let stores = std::mem::take(&mut *self.open_stores.lock().unwrap_or_else(PoisonError::into_inner));
        for store in stores {
            // Whoever still reads is about to be ended with the process; nothing is lost without this.
            let _ = tokio::time::timeout(CLOSE_WAIT, store.close()).await;
        }
    }

    /// Errors: usage (exit 2) when `what` keeps its days in another zone than the configured one.
    pub(super) fn check_zone(&self, what: &str, zone: &str) -> anyhow::Result<()> {
        let configured = self.config.zone.0.name();
        if zone != configured {
            return Err(Failure::usage(format!(
                "{what} keeps its days in time zone {zone}, the configuration says {configured}"
            ))
            .hint(format!("the zone is fixed when a database is made: set `zone = \"{zone}\"` under [time]"))
            .into());
        }
        Ok(())
    }

    /// Takes the lock of a pipeline of this database: `pipeline` for everything that writes facts, `deliver` for
    /// `alert deliver`. Waits as long as --lock-wait says.
    ///
    /// Errors: locked (exit 11); with --skip-if-locked an error whose outcome is done.
    pub async fn lock(&self, store: &Store, pipeline: &str) -> anyhow::Result<RunLock> {
        self.lock_within(store, pipeline, Duration::ZERO).await
    }

    /// [`Context::lock`] that waits so long on a server where --lock-wait does not say how long.
    async fn lock_within(&self, store: &Store, pipeline: &str, wait: Duration) -> anyhow::Result<RunLock> {
        let Some(leases) = store.leases() else {
            return self.lock_file(store.location().beside(), pipeline);
        };
        let wait = if self.global.skip_if_locked { Duration::ZERO } else { wait };
        let wait = self.global.lock_wait.unwrap_or(wait);
        self.lease(leases, pipeline, wait).await
    }

    /// [`Context::lock`] of an embedded database that stands by for `wait`, saying so, where --lock-wait does not say how long.
    pub(super) async fn stand_by(
        &self,
        store: &Store,
        pipeline: String,
        wait: Duration,
    ) -> anyhow::Result<RunLock> {
        let pipeline = pipeline.as_str();
        let first = self.lock(store, pipeline).await;
        let is_held = |error: &anyhow::Error| {
            error.downcast_ref::<Failure>().is_some_and(|failure| failure.outcome == Outcome::Locked)
        };
        match first {
            Err(error) if is_held(&error) && self.global.lock_wait.is_none() => {
                self.ui.note(&format!("{error}; standing by"));
                let (database, pipeline) = (store.location().beside().to_owned(), pipeline.to_owned());
                let (holder, cancel) = (self.holder(), self.cancel());
                // The wait blocks its thread.
                let waited = tokio::task::spawn_blocking(move || {
                    RunLock::acquire(&database, &pipeline, &holder, wait, &cancel)
                });
                waited.await.context("failed to wait for the lock")?.map_err(|error| self.not_locked(error))
            }
            taken => taken,
        }
    }

    /// [`Context::lock`] of the embedded database at `database`, whatever lies there.
    pub(super) fn lock_file(&self, database: &Path, pipeline: &str) -> anyhow::Result<RunLock> {
        let wait = self.global.lock_wait.unwrap_or(Duration::ZERO);
        RunLock::acquire(database, pipeline, &self.holder(), wait, &self.cancel())
            .map_err(|error| self.not_locked(error))
    }

    /// Takes part in what runs share: on a server's database by a lease of its own, in the name of which it claims some of
    /// it; of an embedded one, where one run at a time has everything, by the lock of the pipeline.
    ///
    /// Errors: as [`Context::lock`].
    pub async fn share(&self, store: &Store, what: Shared, id: &str) -> anyhow::Result<RunLock> {
        let Some(leases) = store.leases() else {
            return match what {
                Shared::Ingest => self.lock(store, what.pipeline()).await,
                Shared::Deliver => self.lock(store, &deliver_lock(self.workspace())).await,
            };
        };
        let lease = what.lease(id);
        let gone = those_gone(leases.sharers(what).await?);
        leases.end_others(what, &lease, &gone).await?;
        let share = self.lease(leases.clone(), &lease, Duration::ZERO).await?;
        // Whoever has everything looks for us behind taking it, as we look for them.
        let Some(holder) = leases.holder(EVERYTHING).await?.filter(|holder| !is_gone(holder)) else {
            return Ok(share);
        };
        share.release().await?;
        Err(self.not_locked(LockError::held(EVERYTHING, &holder)))
    }

    /// Keeps everybody else from the database: whoever would write to it, on a server also those who share something.
    ///
    /// Errors: as [`Context::lock`].
    pub(super) async fn lock_all(&self, store: &Store) -> anyhow::Result<Vec<RunLock>> {
        let mut locks = vec![self.lock(store, Shared::Ingest.pipeline()).await?];
        let Some(leases) = store.leases() else {
            locks.extend(self.lock_deliveries(store.location().beside())?);
            return Ok(locks);
        };
        locks.push(self.lock(store, EVERYTHING).await?);
        for shared in Shared::ALL {
            let sharers = leases.sharers(shared).await?;
            if let Some((lease, holder)) = sharers.iter().find(|(_, holder)| !is_gone(holder)) {
                let held = LockError::held(lease, holder);
                for lock in locks {
                    lock.release().await?;
                }
                return Err(self.not_locked(held));
            }
        }
        Ok(locks)
    }

    /// The locks of every workspace's outbox of the embedded database at `database`.
    pub(super) fn lock_deliveries(&self, database: &Path) -> anyhow::Result<Vec<RunLock>> {
        deliver_locks(database).iter().map(|lock| self.lock_file(database, lock)).collect()
    }

    /// Waits at most so long for a run's turn at what one host does at a time: everything but what hosts share. Null where
    /// whoever takes part in that has everything anyway.
    pub async fn turn(&self, store: &Store, wait: Duration) -> anyhow::Result<Option<RunLock>> {
        match store.is_shared() {
            true => self.lock_within(store, Shared::Ingest.pipeline(), wait).await.map(Some),
            false => Ok(None),
        }
    }

    async fn lease(&self, leases: Leases, name: &str, wait: Duration) -> anyhow::Result<RunLock> {
        let lasts = Duration::from_secs(self.config.settings.store.lease_s.into());
        let (cancel, lapsed) = (self.cancel(), self.lapsed.clone());
        let taken = RunLock::lease(leases, name, &self.holder(), lasts, wait, &cancel, lapsed).await;
        taken.map_err(|error| self.not_locked(error))
    }

    fn holder(&self) -> Holder {
        Holder::current(self.clock.now(), &self.global.command_line)
    }

    fn not_locked(&self, error: LockError) -> anyhow::Error {
        match error {
            LockError::Held { .. } if self.global.skip_if_locked => {
                Failure::new(Outcome::Done, format!("skipped: {error}")).into()
            }
            LockError::Held { .. } => Failure::new(Outcome::Locked, error.to_string())
                .hint("wait for it with --lock-wait 10m, or leave quietly with --skip-if-locked")
                .into(),
            LockError::Cancelled(_) => {
                Failure::new(self.cancel.outcome().unwrap_or(Outcome::Interrupted), error.to_string()).into()
            }
            LockError::Store(error) => anyhow::Error::from(error),
            LockError::Io { .. } => anyhow::Error::from(error),
        }
    }

    /// Returns, with the failure of the run, when its lease could not be kept.
    pub(super) async fn lapse(&self) -> anyhow::Error {
        self.lapsed.cancelled().await;
        let lasts = self.config.settings.store.lease_s;
        let message =
            format!("the database server has not answered for {lasts} s: the lease of this run is over");
        Failure::new(Outcome::Transient, message)
            .hint("check that the server runs and can be reached, and run the command again: what was committed is kept")
            .into()
    }

    /// Writes the beginning of a run into the ledger. Its end is written by `finish`, or, when the command fails
    /// before that, by the shell with the failure as its summary.
    pub async fn begin_run(&self, store: &Store, command: &str) -> anyhow::Result<RunGuard> {
        self.begin_run_as(new_run_id(), store, command).await
    }

    /// [`Context::begin_run`] of a run that asks providers, which several may do at a time.
    ///
    /// Errors: also those of [`Context::share`]; nothing is in the ledger then.
    pub async fn begin_asking(&self, store: &Store, command: &str) -> anyhow::Result<(RunGuard, RunLock)> {
        let run_id = new_run_id();
        let share = self.share(store, Shared::Ingest, &run_id).await?;
        Ok((self.begin_run_as(run_id, store, command).await?, share))
    }

    async fn begin_run_as(&self, run_id: String, store: &Store, command: &str) -> anyhow::Result<RunGuard> {
        let start = RunStart {
            run_id: run_id.clone(),
            command: command.to_owned(),
            started_at: self.clock.now(),
            host: host_name(),
            pid: std::process::id(),
        };
        store.begin_run(&start).await.context("failed to write the beginning of the run")?;
        self.run_id.set(&run_id);
        tracing::info!(operation = command, "run begins");
        *self.lock_open_run() = Some(OpenRun { store: store.clone(), start });
        Ok(RunGuard { run_id, context: self.clone() })
    }

    /// Ends the run that is still open with a failure; nothing when there is none.
    pub(super) async fn fail_open_run(&self, outcome: Outcome, message: &str) -> anyhow::Result<()> {
        let summary = json!({ "error": message });
        tokio::time::timeout(CLOSE_WAIT, self.end_run(outcome, &summary)).await?
    }

    async fn end_run(&self, outcome: Outcome, summary: &Value) -> anyhow::Result<()> {
        let Some(run) = self.lock_open_run().take() else { return Ok(()) };
        let finished_at = self.clock.now();
        run.store
            .finish_run(&run.start, finished_at, outcome.exit_code(), summary, &alert::audience(self))
            .await
            .context("failed to write the end of the run")?;
        let duration_ms = (finished_at - run.start.started_at).num_milliseconds();
        let (operation, exit_code) = (run.start.command, outcome.exit_code());
        tracing::info!(operation, duration_ms, exit_code, outcome = outcome.code(), "run ends");
        Ok(())
    }

    fn lock_open_run(&self) -> std::sync::MutexGuard<'_, Option<OpenRun>> {
        self.open_run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the run that was begun last.
    pub fn run_id(&self) -> Option<String> {
        self.run_id.get()
    }

    /// The marketplace of a flag, else of the configuration.
    pub fn marketplace_or_default(&self, flag: Option<Marketplace>) -> Option<Marketplace> {
        flag.or(self.config.marketplace)
    }

    /// The token that SIGINT and SIGTERM set: whoever takes it looks at it between two units of work.
    pub fn cancel(&self) -> CancelToken {
        self.listening.store(true, Ordering::SeqCst);
        self.cancel.clone()
    }

    /// Called on a signal; answers whether somebody will act on it.
    pub(super) fn request_stop(&self, reason: Outcome) -> bool {
        let first = !self.cancel.is_cancelled();
        self.cancel.cancel(reason);
        first && self.listening.load(Ordering::SeqCst)
    }

    pub(super) fn stop_requested(&self) -> Option<Outcome> {
        self.cancel.outcome()
    }
}

/// A run in the ledger that has begun.
#[derive(Debug)]
pub struct RunGuard {
    pub run_id: String,
    context: Context,
}

impl RunGuard {
    /// Writes the end of the run; `summary` is one object per stage. A stop that was asked for shows in the exit
    /// code.
    pub async fn finish(self, outcome: Outcome, summary: &Value) -> anyhow::Result<()> {
        let outcome = self.context.cancel.outcome().map_or(outcome, |stopped| outcome.and(stopped));
        self.context.end_run(outcome, summary).await
    }
}

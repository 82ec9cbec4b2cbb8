//! One writer for all requests of a run: steps that come together share a transaction. Answers are paid for: a database that
//! is away for a while is waited for.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::cancel::CancelToken;
use crate::store::fetching::{Step, StepEffect};
use crate::store::{Store, StoreError};

/// Steps of one transaction, at most.
const TOGETHER: usize = 64;
/// So long a database that is away is waited for, and so long once a stop was asked for.
const PATIENCE: Duration = Duration::from_secs(600);
const GRACE: Duration = Duration::from_secs(25);
const AGAIN: Duration = Duration::from_millis(500);

/// Why a request cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The writing end broke off: the writer's own error says why.
    #[error("the ledger of requests cannot be written")]
    WriterGone,
    #[error("failed to wait for a turn")]
    Store(#[from] StoreError),
}

type Waiting = (Step, oneshot::Sender<StepEffect>);

/// Hands steps to the writer.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    steps: mpsc::Sender<Waiting>,
}

impl Ledger {
    /// Starts the writer; it ends when every ledger is gone, or with the first failure that does not pass.
    pub(super) fn start(store: Store, cancel: CancelToken) -> (Ledger, JoinHandle<Result<(), StoreError>>) {
        let (steps, receiver) = mpsc::channel(TOGETHER);
        (Ledger { steps }, tokio::spawn(write(store, cancel, receiver)))
    }

    /// Returns when the step is committed.
    pub(super) async fn commit(&self, step: Step) -> Result<StepEffect, Broken> {
        let (done, effect) = oneshot::channel();
        self.steps.send((step, done)).await.map_err(|_| Broken::WriterGone)?;
        effect.await.map_err(|_| Broken::WriterGone)
    }
}

async fn write(
    store: Store,
    cancel: CancelToken,
    mut receiver: mpsc::Receiver<Waiting>,
) -> Result<(), StoreError> {
    let mut waiting = Vec::with_capacity(TOGETHER);
    while receiver.recv_many(&mut waiting, TOGETHER).await > 0 {
        let (steps, senders): (Vec<Step>, Vec<_>) = waiting.drain(..).unzip();
        let effects = commit(&store, &cancel, &steps).await?;
        for (sender, effect) in senders.into_iter().zip(effects) {
            // Whoever asked may have been stopped; the step is committed all the same.
            let _ = sender.send(effect);
        }
    }
    Ok(())
}

async fn commit(store: &Store, cancel: &CancelToken, steps: &[Step]) -> Result<Vec<StepEffect>, StoreError> {
    let mut patience = Patience::new(cancel);
    loop {
        match store.commit_steps(steps, patience.is_again).await {
            Err(error) => patience.wait(error).await?,
            done => return done,
        }
    }
}

/// What a database that is away is given: it is asked again for a while.
pub(super) struct Patience<'a> {
    cancel: &'a CancelToken,
    began: Instant,
    /// Nobody knows whether what was asked is done already.
    pub(super) is_again: bool,
}

impl Patience<'_> {
    pub(super) fn new(cancel: &CancelToken) -> Patience<'_> {
        Patience { cancel, began: Instant::now(), is_again: false }
    }

    /// Returns when it may be asked again. Errors: what it said, where that does not pass or the time is over.
    pub(super) async fn wait(&mut self, error: StoreError) -> Result<(), StoreError> {
        let most = if self.cancel.is_cancelled() { GRACE } else { PATIENCE };
        if !error.is_passing() || self.began.elapsed() >= most {
            return Err(error);
        }
        if !self.is_again {
            tracing::warn!("the database is waited for: {error}");
        }
        self.is_again = true;
        tokio::time::sleep(AGAIN).await;
        Ok(())
    }
}

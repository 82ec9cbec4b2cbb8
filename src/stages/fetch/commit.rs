//! One writer for all requests of a run: steps that come together share a transaction.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::store::fetching::{Step, StepEffect};
use crate::store::{Store, StoreError};

/// Steps of one transaction, at most.
const TOGETHER: usize = 64;

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
    /// Starts the writer; it ends when every ledger is gone, or with the first failure.
    pub(super) fn start(store: Store) -> (Ledger, JoinHandle<Result<(), StoreError>>) {
        let (steps, receiver) = mpsc::channel(TOGETHER);
        (Ledger { steps }, tokio::spawn(write(store, receiver)))
    }

    /// Returns when the step is committed.
    pub(super) async fn commit(&self, step: Step) -> Result<StepEffect, Broken> {
        let (done, effect) = oneshot::channel();
        self.steps.send((step, done)).await.map_err(|_| Broken::WriterGone)?;
        effect.await.map_err(|_| Broken::WriterGone)
    }
}

async fn write(store: Store, mut receiver: mpsc::Receiver<Waiting>) -> Result<(), StoreError> {
    let mut waiting = Vec::with_capacity(TOGETHER);
    while receiver.recv_many(&mut waiting, TOGETHER).await > 0 {
        let (steps, senders): (Vec<Step>, Vec<_>) = waiting.drain(..).unzip();
        let effects = store.commit_steps(&steps).await?;
        for (sender, effect) in senders.into_iter().zip(effects) {
            // Whoever asked may have been stopped; the step is committed all the same.
            let _ = sender.send(effect);
        }
    }
    Ok(())
}

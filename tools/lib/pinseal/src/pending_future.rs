// SPDX-License-Identifier: MIT OR Apache-2.0

//! A pending seal as a future, for tokio.

use crate::{Outcome, Pending, Progress, SealError, Sealed};
use std::{future::Future, pin::Pin};
use tokio::io::{Interest, unix::AsyncFd};

impl Pending {
    /// Waits for the end.
    ///
    /// If the future is dropped, the seal is cancelled. Other than [`wait`](Self::wait), it is not ready
    /// when another caller cancels the seal or takes its result: where a seal is shared, await it with a
    /// timeout.
    ///
    /// # Errors
    ///
    /// Those of [`Sealing::run`](crate::Sealing::run); also an error without a report if the descriptor
    /// cannot be added to the runtime's epoll instance. The seal is cancelled then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O enabled.
    pub async fn ended(self) -> Result<Sealed, SealError> {
        let mut pending = self;
        loop {
            pending = match pending.poll() {
                Progress::Done(result) => return result,
                Progress::Pending(pending, _) => pending,
            };
            // SAFETY: a pending seal owns its descriptor, and has the same one until it is taken out.
            let watched = unsafe { AsyncFd::register_with_interest(pending, Interest::PRIORITY) };
            let watched = match watched {
                Ok(watched) => watched,
                Err(refused) => {
                    let (pending, error) = refused.into_parts();
                    return match pending.cancel() {
                        Err(cancelled) if cancelled.outcome() == Some(Outcome::Cancelled) => {
                            Err(cancelled.because(error))
                        }
                        ended => ended,
                    };
                }
            };
            // However this ends, the next call tells more.
            let _ = watched.ready(Interest::PRIORITY).await;
            pending = watched.into_inner();
        }
    }
}

impl IntoFuture for Pending {
    type Output = Result<Sealed, SealError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.ended())
    }
}

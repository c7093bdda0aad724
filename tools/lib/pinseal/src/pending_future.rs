// SPDX-License-Identifier: MIT OR Apache-2.0

//! A pending seal as a future, for tokio.

use crate::{Pending, Progress, SealError, Sealed, abi};
use std::{future::Future, pin::Pin};
use tokio::io::{Interest, unix::AsyncFd};

impl Pending {
    /// Waits for the end.
    ///
    /// If the future is dropped, the seal is cancelled.
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
                    let object = match pending.cancel() {
                        Ok(sealed) => return Ok(sealed),
                        Err(cancelled) => cancelled.into_object(),
                    };
                    return Err(SealError::new(object, error, abi::Seal::default()));
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

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pending seals as futures; only with the feature.
#![cfg(feature = "tokio")]

use crate::support::{LONG, SHORT, fdinfo, filled};
use pinseal::{Outcome, Seals};
use std::{future::Future, os::fd::AsRawFd, time::Duration};
use tokio::io::{Interest, unix::AsyncFd};

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn it_is_ready_when_the_pages_are_released() {
    block_on(async {
        let object = filled(4);
        let pin = object.pin(0..1).take().unwrap();
        let pending = object.seal(Seals::WRITE).timeout(LONG).start().unwrap();
        let release = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(pin);
        };
        let (sealed, ()) = tokio::join!(pending.ended(), release);
        assert_eq!(sealed.unwrap().report().outcome, Outcome::Sealed);
    });
}

#[test]
fn many_are_awaited_at_once() {
    block_on(async {
        let mut seals = Vec::new();
        let mut pins = Vec::new();
        for _ in 0..20 {
            let object = filled(2);
            pins.push(object.pin(0..1).take().unwrap());
            let pending = object.seal(Seals::WRITE).timeout(LONG).start().unwrap();
            seals.push(pending.into_future());
        }
        drop(pins);
        for seal in seals {
            seal.await.unwrap();
        }
    });
}

#[test]
fn its_error_has_the_object() {
    block_on(async {
        let object = filled(4);
        let _pin = object.pin(1..2).take().unwrap();
        let pending = object.seal(Seals::WRITE).timeout(SHORT).start().unwrap();
        let refused = pending.await.unwrap_err();
        assert_eq!(refused.outcome(), Some(Outcome::Pinned));
        assert!(refused.into_object().seals().unwrap().is_empty());
    });
}

#[test]
fn what_cannot_be_watched_is_cancelled_and_not_sealed() {
    block_on(async {
        let object = filled(4);
        let _pin = object.pin(1..2).take().unwrap();
        let pending = object.seal(Seals::CONTENT).timeout(LONG).start().unwrap();
        // It cannot be added to an epoll instance twice.
        let fd = pending.as_raw_fd();
        // SAFETY: only the runtime looks at it, and it is closed together with the object.
        let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::PRIORITY) };
        assert!(watched.is_ok());
        let refused = pending.ended().await.unwrap_err();
        assert!(refused.report().is_none(), "{refused}");
        assert_eq!(fdinfo(refused.object(), "sealing"), None);
        let refused = refused.resume().timeout(SHORT).run().unwrap_err();
        assert_eq!(refused.outcome(), Some(Outcome::Pinned));
    });
}

#[test]
fn a_dropped_future_cancels() {
    block_on(async {
        let object = filled(4);
        let other = object.reopen().unwrap();
        let _pin = object.pin(1..2).take().unwrap();
        let pending = object.seal(Seals::WRITE).timeout(LONG).start().unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(50), pending.ended()).await;
        assert!(waited.is_err());
        assert_eq!(fdinfo(&other, "sealing"), None);
    });
}

// SPDX-License-Identifier: GPL-2.0-only

//! What all open files of one object have in common, until the last of them is closed: the object,
//! and what goes on in its background.

use crate::{
    object::Object,
    seal::async_seal::AsyncSeal,
    sync::workqueue::OwnQueue, //
};
use core::ops::Deref;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// An object that is open. Dropped with the last file, whoever else has the object.
#[pin_data(PinnedDrop)]
pub(crate) struct OpenObject {
    object: Arc<Object>,
    /// Where it goes on.
    queue: Arc<OwnQueue>,
    /// Once somebody has asked for it.
    #[pin]
    background: Mutex<Option<Arc<AsyncSeal>>>,
}

impl OpenObject {
    /// Opens an object that nobody has open.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(object: Arc<Object>, queue: Arc<OwnQueue>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                object,
                queue,
                background <- new_mutex!(None, "pinseal::OpenObject::background"),
            }),
            GFP_KERNEL,
        )
    }

    /// The object.
    pub(crate) fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// The sealing in its background.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn background(&self) -> Result<Arc<AsyncSeal>> {
        let mut background = self.background.lock();
        Ok(match &*background {
            Some(background) => background.clone(),
            None => background
                .insert(AsyncSeal::new(self.queue.clone())?)
                .clone(),
        })
    }

    /// The same, if there was ever any.
    pub(crate) fn used_background(&self) -> Option<Arc<AsyncSeal>> {
        self.background.lock().clone()
    }
}

impl Deref for OpenObject {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.object
    }
}

#[pinned_drop]
impl PinnedDrop for OpenObject {
    fn drop(self: Pin<&mut Self>) {
        if let Some(background) = &*self.background.lock() {
            background.stop();
        }
    }
}

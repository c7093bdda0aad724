// SPDX-License-Identifier: GPL-2.0-only

//! State shared by all open files of an object, until the last one is closed: the object, and its
//! asynchronous seal.

use crate::{
    fs::{
        memfd::NewMemfd,
        memfd_file::MemfdFlags, //
    },
    object::{
        Object,
        ObjectFile, //
    },
    seal::{
        AsyncSeal,
        Workers, //
    }, //
};
use core::ops::Deref;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::Atomic,
        Arc,
        Mutex, //
    }, //
};

/// The asynchronous seal of an open object, created at its first use, and stopped when this is
/// dropped.
struct Background(Option<Arc<AsyncSeal>>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(background) = &self.0 {
            background.stop();
        }
    }
}

/// Numbers of ranges of pages, in all mappings.
pub(crate) struct Ranges {
    /// Those that do not have the protection of their mapping.
    pub(crate) protected: Atomic<isize>,
    /// Those that are shown elsewhere than at their place.
    pub(crate) remapped: Atomic<isize>,
}

/// An open object. Dropped with its last file, although handles may still refer to the object.
#[pin_data]
pub(crate) struct OpenObject {
    #[pin]
    background: Mutex<Background>,
    object: Arc<Object>,
    ranges: Ranges,
    /// They take the steps of asynchronous seals.
    workers: Arc<Workers>,
}

impl OpenObject {
    /// The state of an object that is being opened.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(object: Arc<Object>, workers: Arc<Workers>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                background <- new_mutex!(Background(None), "pinseal::OpenObject::background"),
                object,
                ranges: Ranges {
                    protected: Atomic::new(0),
                    remapped: Atomic::new(0),
                },
                workers,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// What the mappings know of their pages.
    pub(crate) fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// A new object that is a memfd: its state, and the file that the state is to own.
    ///
    /// # Errors
    ///
    /// Those of [`Object::new_memfd`].
    pub(crate) fn new_memfd(&self, name: &str, flags: MemfdFlags) -> Result<(Arc<Self>, NewMemfd)> {
        let (object, memfd) = Object::new_memfd(name, flags)?;
        Ok((Self::new(object, self.workers.clone())?, memfd))
    }

    /// The asynchronous seal of the object.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn background(&self) -> Result<Arc<AsyncSeal>> {
        let mut background = self.background.lock();
        Ok(match &background.0 {
            Some(background) => background.clone(),
            None => background
                .0
                .insert(AsyncSeal::new(self.workers.clone())?)
                .clone(),
        })
    }

    /// The asynchronous seal of the object, if it was used.
    pub(crate) fn used_background(&self) -> Option<Arc<AsyncSeal>> {
        self.background.lock().0.clone()
    }
}

impl ObjectFile for OpenObject {
    fn object(&self) -> &Arc<Object> {
        &self.object
    }
}

impl Deref for OpenObject {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.object
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why an object was not sealed.

use crate::{Object, Outcome, SealReport, Sealing, abi};
use rustix::io::Errno;
use std::{fmt, io};

/// An object was not sealed. The error has the object, which is as it was, and the report.
///
/// It displays as one sentence, with what would help.
#[derive(Debug)]
pub struct SealError {
    object: Object,
    error: io::Error,
    argument: abi::Seal,
}

impl SealError {
    pub(crate) fn new(object: Object, error: io::Error, mut argument: abi::Seal) -> Self {
        if !has_reason(&error, argument.outcome) {
            argument.outcome = abi::OUTCOME_SEALED;
        }
        Self {
            object,
            error,
            argument,
        }
    }

    /// The error of an asynchronous seal that was cancelled, for which the kernel has none.
    pub(crate) fn cancelled(object: Object, argument: abi::Seal) -> Self {
        Self::new(object, Errno::CANCELED.into(), argument)
    }

    /// The same for another reason, which is not the kernel's.
    #[cfg(feature = "tokio")]
    pub(crate) fn because(mut self, error: io::Error) -> Self {
        self.argument.outcome = abi::OUTCOME_SEALED;
        self.error = error;
        self
    }

    /// Gives the object back.
    pub fn into_object(self) -> Object {
        self.object
    }

    /// The object.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// How the seal ended. There is no report if it could not begin; then [`io_error`](Self::io_error)
    /// says why.
    pub fn report(&self) -> Option<SealReport> {
        // The kernel leaves the struct alone then, where 0 would be success.
        (self.argument.outcome != abi::OUTCOME_SEALED).then(|| SealReport::new(&self.argument))
    }

    /// Why it ended, if there is a report.
    pub fn outcome(&self) -> Option<Outcome> {
        self.report().map(|report| report.outcome)
    }

    /// The kernel's error. For [`Outcome::Cancelled`] it is `ECANCELED`.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }

    /// A call that goes on where this one ended: the time waited and the scans count against the same
    /// bounds. For [`Outcome::Interrupted`], or with a longer [`timeout`](Sealing::timeout).
    pub fn resume(self) -> Sealing {
        Sealing::resumed(self.object, self.argument)
    }

    /// What would help, as the second part of a sentence.
    fn help(&self) -> Option<&'static str> {
        Some(match self.outcome() {
            Some(Outcome::WritableMapping) => {
                "drop the mapping, or let the seal wait for that with wait_mapped()"
            }
            Some(Outcome::Pinned) if self.argument.pinned_pages == 0 => "set a longer timeout",
            Some(Outcome::Pinned) => {
                "pins() tells of what kind the users are; set a longer timeout, break leases with \
                 revoke(), or replace the pages by copies with isolate()"
            }
            Some(Outcome::Interrupted) => "resume() goes on",
            Some(Outcome::NoMemory) => "free memory, or raise the limit of the cgroup",
            Some(Outcome::LargeFolio) => "set a longer timeout",
            Some(Outcome::NotFilled) => "another call goes on from there",
            Some(_) => return None,
            None => match Errno::from_io_error(&self.error)? {
                Errno::PERM => {
                    "the descriptor must be open for writing, and the object must not have \
                     Seals::SEAL"
                }
                Errno::INVAL => "info() tells which seals and flags this kernel knows",
                Errno::ALREADY => {
                    "other seals are being added in the background, or their result was not \
                     collected"
                }
                Errno::NOENT => "nothing is being sealed in the background",
                _ => return None,
            },
        })
    }
}

/// Whether the outcome is the reason of this error. For others the kernel leaves the struct as an
/// earlier call has filled it, perhaps an interrupted one that was restarted.
fn has_reason(error: &io::Error, outcome: u32) -> bool {
    match Errno::from_io_error(error) {
        Some(Errno::INTR) => true,
        Some(Errno::BUSY | Errno::NOMEM | Errno::CANCELED) => outcome != abi::OUTCOME_INTERRUPTED,
        _ => false,
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the object was not sealed: ")?;
        match self.report() {
            Some(report) => report.fmt(f)?,
            None => self.error.fmt(f)?,
        }
        match self.help() {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SealError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Drops the object.
impl From<SealError> for io::Error {
    fn from(error: SealError) -> Self {
        io::Error::new(error.error.kind(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sealed;
    use std::{fs::File, time::Duration};

    /// The object does not matter.
    fn error(errno: Errno, argument: abi::Seal) -> SealError {
        let object = Object::from(abi::Descriptor::unchecked(File::open("/dev/null").unwrap()));
        SealError::new(object, errno.into(), argument)
    }

    /// The words for an outcome.
    fn words(errno: Errno, argument: abi::Seal) -> String {
        error(errno, argument).to_string()
    }

    #[test]
    fn pages_are_named() {
        let argument = abi::Seal {
            outcome: abi::OUTCOME_PINNED,
            pinned_pages: 3,
            first_pinned: 100,
            scans: 219,
            waited_ns: Duration::from_micros(50_100).as_nanos() as u64,
            ..Default::default()
        };
        assert_eq!(
            words(Errno::BUSY, argument),
            "the object was not sealed: 3 pages are in use, the first of them page 100, after 219 \
             scans in 50.100ms; pins() tells of what kind the users are; set a longer timeout, \
             break leases with revoke(), or replace the pages by copies with isolate()"
        );
    }

    #[test]
    fn without_pages_it_is_a_writer() {
        let argument = abi::Seal {
            outcome: abi::OUTCOME_PINNED,
            first_pinned: abi::NO_PAGE,
            ..Default::default()
        };
        assert_eq!(
            words(Errno::BUSY, argument),
            "the object was not sealed: a write or another sealer is under way; set a longer timeout"
        );
    }

    #[test]
    fn a_pending_seal_without_pages_claims_none() {
        let mut argument = abi::Seal {
            outcome: abi::OUTCOME_PENDING,
            first_pinned: abi::NO_PAGE,
            ..Default::default()
        };
        let words = SealReport::new(&argument).to_string();
        assert_eq!(
            words,
            "it has just begun, or waits for a mapping, a write or another sealer"
        );
        (argument.pinned_pages, argument.first_pinned) = (1, 3);
        assert_eq!(SealReport::new(&argument).to_string(), "page 3 is in use");
    }

    #[test]
    fn every_outcome_is_one_sentence() {
        for outcome in 1..=9 {
            let argument = abi::Seal {
                outcome,
                ..Default::default()
            };
            let errno = match outcome {
                abi::OUTCOME_INTERRUPTED => Errno::INTR,
                _ => Errno::BUSY,
            };
            let words = words(errno, argument);
            assert!(words.starts_with("the object was not sealed: "), "{words}");
            assert!(!words.contains('.') && !words.contains('\n'), "{words}");
        }
    }

    #[test]
    fn an_outcome_of_an_earlier_call_is_none() {
        let interrupted = abi::Seal {
            outcome: abi::OUTCOME_INTERRUPTED,
            ..Default::default()
        };
        let outcome = |errno| error(errno, interrupted).outcome();
        assert_eq!(outcome(Errno::INTR), Some(Outcome::Interrupted));
        for errno in [Errno::PERM, Errno::NOMEM, Errno::NFILE] {
            assert_eq!(outcome(errno), None, "{errno}");
        }
        let resumed = error(Errno::INTR, interrupted).resume();
        let refused = resumed.run().unwrap_err();
        assert_eq!(
            refused.io_error().raw_os_error(),
            Some(Errno::NOTTY.raw_os_error())
        );
        assert_eq!(refused.outcome(), None);
    }

    #[test]
    fn only_a_seal_is_one() {
        for outcome in 1..=9 {
            let argument = abi::Seal {
                outcome,
                ..Default::default()
            };
            let object = error(Errno::BUSY, argument).into_object();
            assert!(Sealed::new(object, argument).is_err(), "{outcome}");
        }
    }

    #[test]
    fn without_a_report_the_error_speaks() {
        let words = words(Errno::PERM, abi::Seal::default());
        assert!(words.contains("Operation not permitted"), "{words}");
        assert!(words.contains("open for writing"), "{words}");
    }
}

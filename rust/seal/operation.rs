// SPDX-License-Identifier: GPL-2.0-only

//! A seal operation, as a sequence of steps none of which waits for what user space does.
//!
//! 1. Acquire the seal exclusion: sealers of one object run one after the other.
//! 2. Deny shared writable mappings of the memory: none exists, and none can be made. If the caller asks
//!    for that, wait for those that exist.
//! 3. Scan all pages under the inode lock, and swap in what is swapped out. When all pages are clean,
//!    set the seals under the same hold of the lock.
//! 4. When extra references may be readers', block new readers for a moment, zap, and rescan.
//! 5. Otherwise unlock the inode and rescan the pages that were not clean, with a backoff in between
//!    and no lock held, until they are; then go to 3, because a descriptor that is not ours may have
//!    made new references meanwhile.
//! 6. At the deadline, isolate pages that are still pinned, if the caller asks for that, and set the
//!    seals under the same hold of the inode lock.
//! 7. When that is not asked for or fails, or a signal comes, undo 2 and report.
//!
//! The exclusion and the denial belong to the operation, whichever thread takes its steps. Why this is
//! sound is argued in `Documentation/design.rst`.

use super::{
    commit::{
        Commit,
        SealCommit, //
    },
    request::{
        Outcome,
        SealReport,
        SealRequest, //
    },
    uncontended::Contended, //
};
use crate::{
    fs::memfd_inode::WritableDenied,
    object::{
        HasSealExclusion,
        Object,
        SealGuard,
        Waiter,
        Wake, //
    },
    sync::sleep::{
        signal_pending,
        SleepState, //
    },
    trampolines::trace,
    wait::{
        CancelToken,
        Context,
        LeaseBreak,
        RetryPolicy,
        Scan,
        DRAIN_NS, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        Instant,
        Monotonic, //
    }, //
};

/// How many times [`DRAIN_NS`] a drain may take before pages are isolated.
const DRAIN_SLEEPS: u32 = 33;

/// Number of attempts to isolate, with at most one such sleep in between, and the longest time for
/// them, in milliseconds: the bounds of the caller are used up by then.
const ISOLATE_ATTEMPTS: u32 = 50;
const ISOLATE_MS: i64 = 500;

/// Longest time between two steps for which reads and seeks stay blocked, in nanoseconds.
const LONG_PAUSE_NS: u64 = 5_000_000;

/// Result of a step.
#[must_use]
pub(super) enum Step {
    /// The operation has ended.
    Done(Outcome),
    /// Another step is to be taken.
    Retry(RetryAfter),
}

/// When to take the next step. Times are in nanoseconds.
#[derive(Clone, Copy)]
pub(super) enum RetryAfter {
    /// When the seal exclusion is released (a task only), or after this time.
    Contention(u64),
    /// After a backoff.
    Backoff {
        /// How long to sleep.
        ns: u64,
        /// Time left until the deadline, which is no shorter.
        left_ns: u64,
        /// Whether to wait for work of the kernel that is over soon.
        soon: bool,
    },
    /// After this time. The bounds are used up: there are few of these, all short.
    Drain(u64),
}

/// Phase of an operation that owns the seal exclusion.
enum Phase {
    /// Find out which seals are implied, and so what it takes to set them.
    Plan,
    /// Set seals that do not depend on the pages.
    Set,
    /// Deny shared writable mappings.
    Deny,
    /// Scan, and set the seals.
    Scan,
    /// The deadline has passed: drain LRU batches before pages are isolated. So many sleeps are left
    /// for that, and so many attempts to isolate.
    Drain { sleeps: u32, attempts: u32 },
    /// Isolate, and set the seals. So many attempts are left, with this one.
    Isolate { attempts: u32 },
}

/// A seal operation.
pub(super) struct SealOperation {
    object: Arc<Object>,
    /// Whether to wait for shared writable mappings.
    wait_mapped: bool,
    /// Whether to isolate pages at the deadline.
    isolate: bool,
    /// Breaks leases, if the caller asks for that.
    lease_break: Option<LeaseBreak>,
    phase: Phase,
    /// When the first [`Phase::Drain`] began.
    isolating_since: Option<Instant<Monotonic>>,
    /// From [`Phase::Scan`] on.
    denied: Option<WritableDenied>,
    /// Since the exclusion was acquired.
    guard: Option<SealGuard<Arc<Object>>>,
    /// To be woken when pins are released; until the exclusion was acquired.
    waker: Option<KBox<dyn Wake>>,
    commit: SealCommit,
}

/// Adds seals to an object, and waits for that: after an attempt of [`try_add_seals`] that was `contended`,
/// or without one.
///
/// [`try_add_seals`]: super::try_add_seals
///
/// Context: sleeps. The caller must have opened the object for writing and hold no lock.
///
/// # Errors
///
/// `EPERM` when no seals can be added (any more), `ENOMEM`. How the operation ended is no error but
/// [`SealReport::outcome`]; unless that is [`Outcome::Sealed`], nothing that a caller can see has
/// changed.
pub(crate) fn add_seals(
    object: Arc<Object>,
    request: SealRequest,
    contended: Option<Contended>,
) -> Result<SealReport> {
    if contended.is_none() {
        trace_begin(&object, &request);
    }
    let mut operation = SealOperation::new(object, request, Context::Task);
    if let Some(Contended { guard, scan }) = contended {
        operation.guard = guard;
        operation.commit.set_hint(scan);
    }
    let ended = loop {
        let after = match operation.step() {
            Err(err) => break Err(err),
            Ok(Step::Done(outcome)) => break Ok(outcome),
            Ok(Step::Retry(after)) => after,
        };
        // The bounds come first: a task that always has task work still meets its deadline.
        if signal_pending() && !matches!(after, RetryAfter::Drain(_)) {
            break Ok(Outcome::Interrupted);
        }
        operation.sleep(after);
    };
    operation.end(ended)
}

fn trace_begin(object: &Object, request: &SealRequest) {
    trace::seal_begin(
        object.number(),
        request.seals.bits(),
        request.flags,
        request.bounds.timeout_ns(),
    );
}

/// The next backoff, when `left_ns` are left and the last scan started at `start`.
fn backoff(
    policy: &mut RetryPolicy,
    left_ns: u64,
    start: Option<Instant<Monotonic>>,
) -> RetryAfter {
    RetryAfter::Backoff {
        ns: policy.next_backoff(left_ns, start),
        left_ns,
        soon: policy.waits_for_kernel(),
    }
}

impl SealOperation {
    /// An operation in the background, before its first step.
    pub(super) fn new_in_background(
        object: Arc<Object>,
        request: SealRequest,
        token: Arc<CancelToken>,
    ) -> Self {
        trace_begin(&object, &request);
        Self::new(object, request, Context::Worker(token))
    }

    fn new(object: Arc<Object>, request: SealRequest, context: Context) -> Self {
        Self {
            object,
            wait_mapped: request.wait_mapped,
            isolate: request.isolate.is_some(),
            lease_break: request.revoke.map(|revoked| {
                LeaseBreak::new(current!().group_leader().into(), 0..usize::MAX, revoked)
            }),
            phase: Phase::Plan,
            isolating_since: None,
            denied: None,
            guard: None,
            waker: None,
            commit: SealCommit::new(
                context,
                request.seals,
                request.bounds,
                request.isolate.unwrap_or(0),
            ),
        }
    }

    /// Has `waker` woken when the next step is worth taking early.
    pub(super) fn set_waker(mut self, waker: KBox<dyn Wake>) -> Self {
        self.waker = Some(waker);
        self
    }

    /// Takes a step. None may be taken after [`Step::Done`] or an error.
    ///
    /// Context: sleeps, but for nothing that takes long except for swap.
    ///
    /// # Errors
    ///
    /// `EPERM` when no seals can be added (any more). Those of [`Object::memory`].
    pub(super) fn step(&mut self) -> Result<Step> {
        if self.guard.is_none() {
            self.guard = SealGuard::try_acquire(self.object.clone());
            if let Some(guard) = &self.guard {
                if let Some(waker) = self.waker.take() {
                    guard.set_waiter(|| Waiter::Other(waker));
                }
            }
        }
        // Another sealer may have set F_SEAL_SEAL.
        self.object.seals().check_addable()?;
        let start = self.commit.policy().scan_start();
        if let (Some(guard), false) = (&self.guard, self.commit.has_hint()) {
            guard.begin_scan();
        }
        loop {
            if let Some(step) = self.advance(start)? {
                return Ok(step);
            }
        }
    }

    /// Does the work of the phase. Returns the result of the step, unless the next phase follows at
    /// once.
    fn advance(&mut self, start: Option<Instant<Monotonic>>) -> Result<Option<Step>> {
        let object = &*self.object;
        let memory = object.memory()?;
        let commit = &mut self.commit;
        let Some(guard) = &self.guard else {
            return Ok(Some(match commit.policy().left_for_exclusion_ns() {
                Some(ns) => Step::Retry(RetryAfter::Contention(ns)),
                None => {
                    // The report tells what the other sealer waits for.
                    commit.scan_for_report(memory);
                    Step::Done(Outcome::Pinned)
                }
            }));
        };

        let result = match &mut self.phase {
            Phase::Plan => {
                commit.policy().reset_backoff();
                self.phase = match commit.ends_writing(object, memory) {
                    false => Phase::Set,
                    true => Phase::Deny,
                };
                return Ok(None);
            }
            Phase::Deny => {
                self.denied = memory.deny_writable();
                if self.denied.is_none() {
                    commit.forget_hint();
                    return Ok(Some(self.after_mapped(start)));
                }
                commit.policy().reset_backoff();
                self.phase = Phase::Scan;
                return Ok(None);
            }
            Phase::Set => commit.set_seals(memory, guard)?,
            Phase::Scan => {
                let result = commit.scan_and_commit(memory, guard)?;
                commit.trace(object.number());
                result
            }
            Phase::Drain { sleeps, attempts } => {
                let policy = commit.policy();
                if *sleeps == 0 || policy.is_drained() {
                    policy.stop_drain();
                    self.phase = Phase::Isolate {
                        attempts: *attempts,
                    };
                    return Ok(None);
                }
                *sleeps -= 1;
                return Ok(Some(Step::Retry(RetryAfter::Drain(DRAIN_NS))));
            }
            Phase::Isolate { .. } => {
                let before = commit.isolated_pages();
                let result = commit.isolate_and_commit(memory, guard)?;
                trace::isolate(object.number(), commit.isolated_pages() - before);
                result
            }
        };
        let outcome = match result {
            Commit::Sealed => {
                if let Some(denied) = self.denied.take() {
                    denied.make_permanent();
                }
                return Ok(Some(Step::Done(Outcome::Sealed)));
            }
            Commit::NeedsScan => {
                self.phase = Phase::Plan;
                return Ok(None);
            }
            Commit::Failed(outcome) => return Ok(Some(Step::Done(outcome))),
            Commit::Blocked(outcome) => outcome,
        };
        guard.block_writes();

        Ok(self.after_blocked(outcome, start))
    }

    /// What follows when shared writable mappings exist.
    #[cold]
    fn after_mapped(&mut self, start: Option<Instant<Monotonic>>) -> Step {
        let (true, Some(guard)) = (self.wait_mapped, &self.guard) else {
            return Step::Done(Outcome::WritableMapping);
        };
        let policy = self.commit.policy();
        // It ends here, but counts.
        policy.begin_scan();
        trace::seal_mapped(self.object.number(), policy.bounds().scans());
        match policy.left_ns() {
            Some(left_ns) => {
                guard.block_mappings();
                Step::Retry(backoff(policy, left_ns, start))
            }
            None => Step::Done(Outcome::WritableMapping),
        }
    }

    /// What follows an attempt that was blocked.
    #[cold]
    fn after_blocked(
        &mut self,
        outcome: Outcome,
        start: Option<Instant<Monotonic>>,
    ) -> Option<Step> {
        if let Phase::Isolate { attempts } = self.phase {
            let is_late = self
                .isolating_since
                .is_some_and(|since| since.elapsed().as_millis() > ISOLATE_MS);
            if attempts <= 1 || is_late {
                return Some(Step::Done(outcome));
            }
            // Copies may be in an LRU batch of a CPU that this ran on before.
            return self.drain_and_isolate(1, attempts - 1);
        }
        let left_ns = self.commit.policy().left_ns();
        if let (Some(lease_break), true) = (&mut self.lease_break, self.commit.found_references()) {
            // Pages are revoked only while a scan is left to profit from it.
            let bounds = self.commit.bounds();
            let may_wait = left_ns.is_some() && bounds.waits_for_references();
            if bounds.allows_scan() && lease_break.request_and_revoke(self.object.pins(), may_wait)
            {
                return None;
            }
        }
        let Some(left_ns) = left_ns else {
            if let (true, Phase::Scan) = (self.isolate, &self.phase) {
                // Pages that are only in an LRU batch are not to be copied.
                return self.drain_and_isolate(DRAIN_SLEEPS, ISOLATE_ATTEMPTS);
            }
            return Some(Step::Done(outcome));
        };
        if let Some(guard) = &self.guard {
            self.commit.unblock_reads_between_attempts(guard);
        }
        Some(Step::Retry(backoff(self.commit.policy(), left_ns, start)))
    }

    fn drain_and_isolate(&mut self, sleeps: u32, attempts: u32) -> Option<Step> {
        if let Some(guard) = &self.guard {
            // Until the next attempt.
            guard.unblock_reads();
        }
        self.isolating_since.get_or_insert_with(Instant::now);
        self.commit.policy().drain_unbounded();
        self.phase = Phase::Drain { sleeps, attempts };
        None
    }

    /// Sleeps until the next step: until the time is up, an event comes that is waited for, or the
    /// current task should return to user space.
    ///
    /// Context: sleeps.
    #[cold]
    fn sleep(&self, after: RetryAfter) {
        match after {
            RetryAfter::Contention(ns) => self.object.exclusion().wait_released(ns),
            RetryAfter::Backoff { ns, .. } => self.hrtimer_sleep(SleepState::Interruptible, ns),
            RetryAfter::Drain(ns) => self.hrtimer_sleep(SleepState::Uninterruptible, ns),
        }
    }

    fn hrtimer_sleep(&self, state: SleepState, ns: u64) {
        if let Some(guard) = &self.guard {
            guard.sleep(state, ns, || self.commit.is_drained());
        }
    }

    /// To be called when the next step is not taken before `ns` nanoseconds. Unblocks what is to be blocked
    /// for moments only: the next step blocks it again.
    pub(super) fn begin_pause(&self, ns: u64) {
        if let (Some(guard), LONG_PAUSE_NS..) = (&self.guard, ns) {
            guard.unblock_reads();
            guard.unblock_seeks();
        }
    }

    /// How far it got.
    pub(super) fn report(&self, outcome: Outcome) -> SealReport {
        let scan = match outcome {
            Outcome::Sealed => None,
            _ => self.commit.last_scan(),
        };
        SealReport {
            outcome,
            scans: self.commit.bounds().scans(),
            waited_ns: self.commit.bounds().waited_ns(),
            pinned_pages: scan.map_or(0, Scan::pinned_pages),
            first_pinned: scan.and_then(Scan::first_pinned),
            isolated_pages: self.commit.isolated_pages(),
            revoked_pages: self
                .lease_break
                .as_ref()
                .map_or(0, LeaseBreak::revoked_pages),
        }
    }

    /// Ends the operation: releases the exclusion, allows mappings again unless the seals are set, and
    /// reports.
    ///
    /// Context: sleeps, and takes mmap locks.
    pub(super) fn end(&mut self, ended: Result<Outcome>) -> Result<SealReport> {
        let report = self.report(ended.unwrap_or(Outcome::Pending));
        trace::seal_end(
            self.object.number(),
            match ended {
                // CAST: Small.
                Ok(outcome) => outcome.number() as i32,
                Err(err) => err.to_errno(),
            },
            report.scans,
            report.waited_ns,
            report.isolated_pages,
            report.revoked_pages,
        );
        if let (Some(lease_break), Ok(Outcome::Interrupted)) = (&mut self.lease_break, ended) {
            lease_break.keep_for_restart();
        }
        // Withdrawn before the exclusion is released: there is one requester at a time.
        self.lease_break = None;
        self.denied = None;
        self.guard = None;
        if let Some(memory) = self.object.used_memory() {
            self.commit.zapped().remap_mlocked(memory.pages());
        }
        ended.map(|_| report)
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! Asynchronous seals: one operation at a time for each object, whose steps workers take.
//!
//! A timer queues the next step, so no thread sleeps, however many objects are being sealed. The more a
//! user has, the longer each pauses.
//!
//! # Lock order
//!
//! 1. `AsyncSeal::state`
//! 2. `Object::name`, when the operation begins and creates the memory; or `Workers::users`
//!
//! Nothing else is waited for under `state`, but memory for a new operation and a timer callback that
//! has just fired.

use super::{
    operation::{
        RetryAfter,
        SealOperation,
        Step, //
    },
    request::{
        Outcome,
        SealReport,
        SealRequest, //
    },
    workers::{
        OperationSlots,
        Workers, //
    }, //
};
use crate::{
    compat::ealready,
    mm::memcg::MemoryCgroup,
    object::{
        Object,
        SealSet,
        Wake, //
    },
    sync::{
        poll::{
            PollQueue,
            Poller, //
        },
        task::CpuTime,
        workqueue::cancel_work_sync, //
    },
    wait::{
        CancelToken, //
    }, //
};
use core::mem::replace;
use kernel::{
    impl_has_hr_timer,
    new_condvar,
    new_mutex,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        ArcBorrow,
        CondVar,
        Mutex, //
    },
    time::{
        hrtimer::{
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativeMode, //
        },
        Delta,
        Instant,
        Monotonic, //
    },
    workqueue::{
        impl_has_work,
        new_work,
        Work,
        WorkItem, //
    }, //
};

/// Longest backoff while another sealer owns the seal exclusion, in nanoseconds.
const CONTENTION_NS: u64 = 500_000;

/// Shortest time between two steps, in nanoseconds. A program that releases pins over and over must
/// not keep a worker busy.
const MIN_BACKOFF_NS: u64 = 50_000;

/// An operation between two steps.
struct Pending {
    seals: SealSet,
    operation: SealOperation,
    /// Charged for what workers allocate.
    memcg: MemoryCgroup,
    slots: OperationSlots,
    /// The timer of the backoff. Dropping it stops the timer.
    timer: Option<ArcHrTimerHandle<AsyncSeal>>,
    /// When the backoff began.
    since: Option<Instant<Monotonic>>,
}

/// State of the operation.
enum State {
    /// There is none, or its result was returned.
    Idle,
    /// It is between two steps.
    Pending(Pending),
    /// A worker takes a step, or ends it.
    Stepping {
        seals: SealSet,
        so_far: SealReport,
        /// Callers that cancel the operation and wait for its result.
        cancellers: u32,
    },
    /// It ended after it was cancelled. The result is the cancellers', one at least, and no operation
    /// begins before the last has it: a canceller must not meet one that it did not cancel.
    Cancelled {
        seals: SealSet,
        so_far: SealReport,
        result: Result<SealReport>,
        cancellers: u32,
    },
    /// It ended by itself.
    Ended {
        seals: SealSet,
        result: Result<SealReport>,
    },
}

impl State {
    /// The seals that the operation adds or added.
    fn seals(&self) -> Option<SealSet> {
        match self {
            State::Idle => None,
            State::Pending(Pending { seals, .. })
            | State::Stepping { seals, .. }
            | State::Cancelled { seals, .. }
            | State::Ended { seals, .. } => Some(*seals),
        }
    }

    /// Takes the state, and stops the timer: there is one, and the next operation may start it as soon
    /// as the lock is released.
    fn take(&mut self) -> Self {
        if let State::Pending(pending) = self {
            pending.timer = None;
        }
        replace(self, State::Idle)
    }

    /// Checks that the operation, if any, adds these seals.
    ///
    /// # Errors
    ///
    /// `EALREADY` when it adds others.
    fn check_seals(&self, wanted: SealSet) -> Result {
        match self.seals() {
            Some(seals) if seals != wanted => Err(ealready()),
            _ => Ok(()),
        }
    }
}

/// The asynchronous seal of one object.
///
/// [`AsyncSeal::stop`] must be called while the module is sure to stay.
#[pin_data]
pub(crate) struct AsyncSeal {
    #[pin]
    state: Mutex<State>,
    /// A cancelled operation has ended.
    #[pin]
    ended: CondVar,
    /// Cancelled under the lock of `state`, and polled by the worker.
    token: Arc<CancelToken>,
    /// Whether it is [`State::Ended`].
    has_ended: Atomic<bool>,
    #[pin]
    pollers: PollQueue,
    workers: Arc<Workers>,
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    work: Work<Self>,
}

impl AsyncSeal {
    /// No operation. `workers` will take the steps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(workers: Arc<Workers>) -> Result<Arc<Self>> {
        let token = Arc::new(CancelToken::new(), GFP_KERNEL_ACCOUNT)?;
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(State::Idle, "pinseal::AsyncSeal::state"),
                ended <- new_condvar!("pinseal::AsyncSeal::ended"),
                token,
                has_ended: Atomic::new(false),
                pollers <- PollQueue::new(c"pinseal::AsyncSeal::pollers", static_lock_class!()),
                workers,
                timer <- HrTimer::new(),
                work <- new_work!("pinseal::AsyncSeal::work"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Begins an operation, or reports the progress or the result of the one that exists.
    ///
    /// # Errors
    ///
    /// `EALREADY` when the operation adds other seals and its result was not returned. Otherwise those of
    /// [`add_seals`](super::add_seals).
    pub(crate) fn seal(
        self: ArcBorrow<'_, Self>,
        object: &Arc<Object>,
        request: SealRequest,
    ) -> Result<SealReport> {
        let mut state = self.state.lock();
        if let Some(report) = self.report_of(&mut state, request.seals)? {
            return Ok(report);
        }
        let pending = self.begin(object, request)?;
        let report = pending.operation.report(Outcome::Pending);
        *state = State::Pending(pending);
        Ok(report)
    }

    /// Reports the progress or the result of the operation that adds `seals`. `None` when there is none.
    ///
    /// # Errors
    ///
    /// Those of [`AsyncSeal::seal`].
    pub(crate) fn report(&self, seals: SealSet) -> Result<Option<SealReport>> {
        self.report_of(&mut self.state.lock(), seals)
    }

    /// As [`AsyncSeal::report`], under the lock.
    fn report_of(&self, state: &mut State, seals: SealSet) -> Result<Option<SealReport>> {
        state.check_seals(seals)?;
        match state {
            State::Idle => Ok(None),
            State::Pending(pending) => Ok(Some(pending.operation.report(Outcome::Pending))),
            // Of a cancelled operation, only the cancellers get the result.
            State::Stepping { so_far, .. } | State::Cancelled { so_far, .. } => Ok(Some(*so_far)),
            State::Ended { result, .. } => {
                let result = *result;
                *state = State::Idle;
                self.has_ended.store(false, Release);
                result.map(Some)
            }
        }
    }

    /// Begins an operation: it waits for its first step. To be called under the lock of `state`.
    fn begin(
        self: ArcBorrow<'_, Self>,
        object: &Arc<Object>,
        request: SealRequest,
    ) -> Result<Pending> {
        // Errors that are known at once are returned at once.
        object.seals().check_addable()?;
        object.memory()?;
        let waker = KBox::new(QueueStep(self.into()), GFP_KERNEL_ACCOUNT)?;
        self.token.set(false);
        let slots = OperationSlots::new(self.workers.clone())?;
        let mut pending = Pending {
            seals: request.seals,
            operation: SealOperation::new_in_background(
                object.clone(),
                request,
                self.token.clone(),
            )
            .set_waker(waker),
            memcg: MemoryCgroup::current(),
            slots,
            timer: None,
            since: None,
        };
        match pending.slots.reserve(0, u64::MAX, true) {
            0 => self.enqueue(),
            ns => pending.timer = Some(Arc::from(self).start(duration(ns))),
        }
        Ok(pending)
    }

    /// Cancels the operation that adds `seals`, and returns its result. No step of it runs after that.
    /// Of concurrent cancels, those that find a step under way all get the result.
    ///
    /// Context: sleeps for a step that is under way, uninterruptibly: a step waits for nothing that
    /// user space does, and polls the token. A wait that signals end would leave the result to a
    /// caller that may never come back for it.
    ///
    /// # Errors
    ///
    /// `ENOENT` when there is none, `EALREADY` when it adds other seals. Otherwise those of the
    /// operation, if it ended by itself.
    pub(crate) fn cancel(&self, seals: SealSet) -> Result<SealReport> {
        let mut state = self.state.lock();
        state.check_seals(seals)?;
        if let State::Stepping { cancellers, .. } = &mut *state {
            *cancellers += 1;
            self.token.set(true);
            loop {
                self.ended.wait(&mut state);
                match &mut *state {
                    State::Stepping { .. } => (),
                    State::Cancelled {
                        result, cancellers, ..
                    } => {
                        let result = *result;
                        *cancellers -= 1;
                        if *cancellers == 0 {
                            *state = State::Idle;
                        }
                        return result;
                    }
                    // Not reached: only the last canceller changes that state.
                    _ => return Err(ENOENT),
                }
            }
        }
        if let State::Cancelled { result, .. } = *state {
            return result;
        }
        let old = state.take();
        self.has_ended.store(false, Release);
        drop(state);
        match old {
            State::Pending(pending) => pending.cancel(),
            State::Ended { result, .. } => result,
            State::Idle | State::Stepping { .. } | State::Cancelled { .. } => Err(ENOENT),
        }
    }

    /// Cancels the operation, if any. No step runs any more when this returns, nor will.
    ///
    /// Context: sleeps. No caller may use it any more.
    pub(crate) fn stop(self: &Arc<Self>) {
        let mut state = self.state.lock();
        // A worker that takes a step ends the operation.
        self.token.set(true);
        let old = state.take();
        drop(state);
        if let State::Pending(pending) = old {
            let _ = pending.cancel();
        }
        // No timer queues it any more.
        cancel_work_sync(self);
    }

    /// The seals that an operation adds, or added if its result was not returned.
    pub(crate) fn seals(&self) -> Option<SealSet> {
        self.state.lock().seals()
    }

    /// Whether an operation has ended by itself and its result was not returned. `poller` is woken when
    /// that becomes so.
    pub(crate) fn poll(&self, poller: &Poller<'_>) -> bool {
        self.pollers.register(poller);
        // ORDERING: Acquire: a poller that sees the end finds it in `state`.
        self.has_ended.load(Acquire)
    }

    /// Queues a step, unless one is queued.
    fn enqueue(self: ArcBorrow<'_, Self>) {
        let _ = self.workers.queue().enqueue::<Arc<Self>, 0>(self.into());
    }

    /// Takes a step, and arranges for the next.
    fn step(self: &Arc<Self>) {
        let Some(mut pending) = self.take_pending() else {
            return;
        };
        let cost = CpuTime::begin();
        let result = pending.memcg.charge(|| pending.operation.step());

        let mut state = self.state.lock();
        let ended = match result {
            Ok(Step::Retry(_)) if self.token.is_cancelled() => Ok(Outcome::Cancelled),
            Ok(Step::Retry(after)) => {
                pending.slots.settle(cost.elapsed_ns());
                let pause_ns = pending.reserve(after);
                pending.operation.begin_pause(pause_ns);
                pending.since = Some(Instant::now());
                pending.timer = Some(self.clone().start(duration(pause_ns)));
                *state = State::Pending(pending);
                return;
            }
            Ok(Step::Done(outcome)) => Ok(outcome),
            Err(err) => Err(err),
        };
        // The end may have to wait for mmap locks. Callers that ask for progress should not.
        drop(state);
        let result = pending.operation.end(ended);
        pending.slots.settle(cost.elapsed_ns());

        let mut state = self.state.lock();
        match *state {
            State::Stepping {
                seals,
                so_far,
                cancellers: cancellers @ 1..,
            } => {
                *state = State::Cancelled {
                    seals,
                    so_far,
                    result,
                    cancellers,
                };
                drop(state);
                self.ended.notify_all();
            }
            State::Stepping { seals, .. } => {
                *state = State::Ended { seals, result };
                // ORDERING: Release, see `poll`.
                self.has_ended.store(true, Release);
                drop(state);
                self.pollers.wake();
            }
            // It was stopped.
            _ => (),
        }
    }

    /// Takes the operation to step it. `None` when it was cancelled, or it is too early.
    fn take_pending(self: &Arc<Self>) -> Option<Pending> {
        let mut state = self.state.lock();
        let State::Pending(pending) = &mut *state else {
            return None;
        };
        // There is one timer: it has to be stopped before it is started again.
        pending.timer = None;
        if let Some(left_ns) = pending.left_ns() {
            pending.timer = Some(self.clone().start(duration(left_ns)));
            return None;
        }
        let stepping = State::Stepping {
            seals: pending.seals,
            so_far: pending.operation.report(Outcome::Pending),
            cancellers: 0,
        };
        match replace(&mut *state, stepping) {
            State::Pending(pending) => Some(pending),
            _ => None,
        }
    }
}

/// Queues the next step at once.
struct QueueStep(Arc<AsyncSeal>);

impl Wake for QueueStep {
    fn wake(&self) {
        self.0.as_arc_borrow().enqueue();
    }
}

impl Pending {
    /// Reserves the next step. Returns the time until then, in nanoseconds.
    fn reserve(&mut self, after: RetryAfter) -> u64 {
        match after {
            RetryAfter::Contention(left_ns) => {
                self.slots
                    .reserve(left_ns.min(CONTENTION_NS), left_ns, false)
            }
            RetryAfter::Backoff { ns, left_ns, soon } => self.slots.reserve(ns, left_ns, soon),
            RetryAfter::Drain(ns) => self.slots.reserve(ns, ns, true),
        }
    }

    /// How long it is until the next step may be taken, in nanoseconds.
    fn left_ns(&mut self) -> Option<u64> {
        let slept_ns = self.since.map_or(u64::MAX, |since| {
            // CAST: The clock is monotonic, so this is never negative.
            since.elapsed().as_nanos() as u64
        });
        match MIN_BACKOFF_NS.saturating_sub(slept_ns) {
            0 => self.slots.left_ns(),
            left_ns => Some(left_ns),
        }
    }

    /// Context: sleeps.
    fn cancel(mut self) -> Result<SealReport> {
        self.operation.end(Ok(Outcome::Cancelled))
    }
}

fn duration(ns: u64) -> Delta {
    // No pause is as long.
    Delta::from_nanos(ns.try_into().unwrap_or(i64::MAX))
}

impl WorkItem for AsyncSeal {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.step();
    }
}

impl_has_work! {
    impl HasWork<Self> for AsyncSeal { self.work }
}

impl HrTimerCallback for AsyncSeal {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        this.enqueue();
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for AsyncSeal {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

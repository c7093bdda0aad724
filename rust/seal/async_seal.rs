// SPDX-License-Identifier: GPL-2.0-only

//! Sealing in the background: one attempt at a time for each object, whose steps a worker takes.
//!
//! Between two steps nobody sleeps: a timer queues the next. So it takes no thread to wait, however
//! many objects are being sealed.
//!
//! # Lock order
//!
//! `state` is taken with no other lock held but that of the `OpenObject` that goes. Under it, an attempt
//! that begins may take `Object::name`, to make the memory. Else nothing is waited for, except that a
//! timer which has just gone off is through.

use crate::{
    compat::ealready,
    object::exclusion::Wake,
    object::seals::SealSet,
    object::Object,
    seal::operation::{
        Attempt,
        Pause,
        Progress, //
    },
    seal::request::{
        Outcome,
        SealReport,
        SealRequest, //
    },
    sync::{
        poll::{
            PollQueue,
            Poller, //
        }, //
        workqueue::{
            take_back,
            OwnQueue, //
        },
    }, //
    wait::context::{
        Cancellation,
        Driver, //
    },
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

/// How long to wait at most until the next look at the turn while somebody else has it, in
/// nanoseconds.
const TURN_NS: u64 = 500_000;

/// How long a pause is at least, in nanoseconds, also when somebody lets go of pages in it: who does
/// so over and over is not to keep a worker busy.
const LEAST_PAUSE_NS: i64 = 50_000;

/// An attempt that goes on.
struct Pending {
    seals: SealSet,
    attempt: Attempt,
    /// The pause it is in. Dropping it stops the timer.
    pause: Option<ArcHrTimerHandle<AsyncSeal>>,
    /// When that began.
    since: Option<Instant<Monotonic>>,
}

/// What became of the last attempt.
enum State {
    /// There is none of which anybody would want to know.
    Idle,
    /// It goes on, and is in a pause.
    Pending(Pending),
    /// It goes on, or has ended and is being cleared up: a worker has it.
    Stepping { seals: SealSet, so_far: SealReport },
    /// It has ended, and nobody has asked since then.
    Ended {
        seals: SealSet,
        result: Result<SealReport>,
    },
}

impl State {
    /// What is being sealed, or was.
    fn seals(&self) -> Option<SealSet> {
        match self {
            State::Idle => None,
            State::Pending(Pending { seals, .. })
            | State::Stepping { seals, .. }
            | State::Ended { seals, .. } => Some(*seals),
        }
    }

    /// Leaves nothing to be known, and no pause: there is one timer, which the next attempt may want
    /// as soon as the state is not locked any more.
    fn take(&mut self) -> Self {
        if let State::Pending(pending) = self {
            pending.pause = None;
        }
        replace(self, State::Idle)
    }

    /// Whether it is these seals, if any.
    ///
    /// # Errors
    ///
    /// `EALREADY` when it is others.
    fn check_seals(&self, wanted: SealSet) -> Result {
        match self.seals() {
            Some(seals) if seals != wanted => Err(ealready()),
            _ => Ok(()),
        }
    }
}

/// The sealing of one object in the background.
///
/// [`AsyncSeal::stop`] must be called while the module is sure to stay.
#[pin_data]
pub(crate) struct AsyncSeal {
    #[pin]
    state: Mutex<State>,
    /// It is not [`State::Stepping`] any more.
    #[pin]
    settled: CondVar,
    /// Set under the lock of `state`, for the worker that has the attempt.
    cancellation: Arc<Cancellation>,
    /// Whether it is [`State::Ended`].
    has_ended: Atomic<bool>,
    #[pin]
    pollers: PollQueue,
    queue: Arc<OwnQueue>,
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    work: Work<Self>,
}

impl AsyncSeal {
    /// Nothing goes on. When something does, it will on `queue`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(queue: Arc<OwnQueue>) -> Result<Arc<Self>> {
        let cancellation = Arc::new(Cancellation::new(), GFP_KERNEL)?;
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(State::Idle, "pinseal::AsyncSeal::state"),
                settled <- new_condvar!("pinseal::AsyncSeal::settled"),
                cancellation,
                has_ended: Atomic::new(false),
                pollers <- PollQueue::new(c"pinseal::AsyncSeal::pollers", static_lock_class!()),
                queue,
                timer <- HrTimer::new(),
                work <- new_work!("pinseal::AsyncSeal::work"),
            }),
            GFP_KERNEL,
        )
    }

    /// Begins to add seals or, when that has been asked for before, tells what became of it: each
    /// result once.
    ///
    /// # Errors
    ///
    /// `EALREADY` when it was other seals that were asked for, and nobody has been told what became
    /// of that. Otherwise as for [`seal::add_seals`](crate::seal::add_seals).
    pub(crate) fn seal(
        self: ArcBorrow<'_, Self>,
        object: &Arc<Object>,
        request: SealRequest,
    ) -> Result<SealReport> {
        let seals = request.seals;
        let mut state = self.state.lock();
        state.check_seals(seals)?;
        match &*state {
            State::Idle => {
                // What is known at once need not be asked for.
                object.seals().check_addable()?;
                object.memory()?;
                let driver = Driver::Background(self.cancellation.clone());
                let waker = KBox::new(StepSoon(self.into()), GFP_KERNEL)?;
                let attempt = Attempt::new(object.clone(), request, driver).wake_by(waker);
                self.cancellation.set(false);
                let report = attempt.report(Outcome::Pending);
                *state = State::Pending(Pending {
                    seals,
                    attempt,
                    pause: None,
                    since: None,
                });
                self.enqueue();
                Ok(report)
            }
            State::Pending(pending) => Ok(pending.attempt.report(Outcome::Pending)),
            State::Stepping { so_far, .. } => Ok(*so_far),
            State::Ended { result, .. } => {
                let result = *result;
                *state = State::Idle;
                self.has_ended.store(false, Release);
                result
            }
        }
    }

    /// Puts an end to adding `seals`, and tells what became of it. When it returns, nothing goes on.
    ///
    /// # Errors
    ///
    /// `ENOENT` when nothing goes on that anybody would want to be told of, `EALREADY` when it is
    /// other seals, `ERESTARTNOINTR` when it is interrupted. Otherwise those of the attempt, which
    /// had ended by itself.
    pub(crate) fn cancel(&self, seals: SealSet) -> Result<SealReport> {
        let mut state = self.state.lock();
        state.check_seals(seals)?;
        while let State::Stepping { .. } = *state {
            self.cancellation.set(true);
            if self.settled.wait_interruptible(&mut state) {
                return Err(ERESTARTNOINTR);
            }
            // Others may have asked meanwhile.
            state.check_seals(seals)?;
        }
        let old = state.take();
        self.has_ended.store(false, Release);
        drop(state);
        match old {
            State::Pending(pending) => pending.cancel(),
            State::Ended { result, .. } => result,
            State::Idle | State::Stepping { .. } => Err(ENOENT),
        }
    }

    /// Puts an end to whatever goes on. Nothing of it runs any more when this returns, nor will.
    ///
    /// Context: sleeps.
    pub(crate) fn stop(self: &Arc<Self>) {
        let mut state = self.state.lock();
        // A worker that has the attempt ends it.
        self.cancellation.set(true);
        let old = state.take();
        drop(state);
        if let State::Pending(pending) = old {
            let _ = pending.cancel();
        }
        // No timer queues it any more.
        take_back(self);
    }

    /// What is being added, or was and nobody has been told what became of it.
    pub(crate) fn seals(&self) -> Option<SealSet> {
        self.state.lock().seals()
    }

    /// Whether an attempt has ended of which nobody has been told. Has the poller woken up when that
    /// becomes so.
    pub(crate) fn poll(&self, poller: &Poller<'_>) -> bool {
        self.pollers.register(poller);
        // ORDERING: Acquire, so that who is told that it has ended finds it so.
        self.has_ended.load(Acquire)
    }

    /// Has a worker take the next step, unless one is about to.
    fn enqueue(self: ArcBorrow<'_, Self>) {
        let _ = self.queue.enqueue::<Arc<Self>, 0>(self.into());
    }

    /// Takes a step, and arranges for the next.
    fn step(self: &Arc<Self>) {
        let Some(mut pending) = self.take_pending() else {
            // It was cancelled meanwhile.
            return;
        };
        let progress = pending.attempt.step();

        let mut state = self.state.lock();
        let ended = match progress {
            Ok(Progress::NotYet(_)) if self.cancellation.is_wanted() => Ok(Outcome::Cancelled),
            Ok(Progress::NotYet(pause)) => {
                pending.since = Some(Instant::now());
                pending.pause = Some(self.clone().start(duration(pause)));
                *state = State::Pending(pending);
                return;
            }
            Ok(Progress::Ended(outcome)) => Ok(outcome),
            Err(err) => Err(err),
        };
        // That may have to wait for other people, and those who ask how far it is should not.
        drop(state);
        let result = pending.attempt.end(ended);

        let mut state = self.state.lock();
        // Unless it was stopped meanwhile, and nobody is there to be told.
        if let State::Stepping { seals, .. } = *state {
            *state = State::Ended { seals, result };
            // ORDERING: Release, see `poll`.
            self.has_ended.store(true, Release);
        }
        drop(state);
        self.settled.notify_all();
        self.pollers.wake();
    }

    /// Takes what is pending, to take a step with it, unless it is too early for that.
    fn take_pending(self: &Arc<Self>) -> Option<Pending> {
        let mut state = self.state.lock();
        let State::Pending(pending) = &mut *state else {
            return None;
        };
        // There is one timer: the pause before has to be gone before the next begins.
        pending.pause = None;
        let rested_ns = pending
            .since
            .map_or(i64::MAX, |since| since.elapsed().as_nanos());
        if rested_ns < LEAST_PAUSE_NS {
            let left = Delta::from_nanos(LEAST_PAUSE_NS - rested_ns);
            pending.pause = Some(self.clone().start(left));
            return None;
        }
        let stepping = State::Stepping {
            seals: pending.seals,
            so_far: pending.attempt.report(Outcome::Pending),
        };
        match replace(&mut *state, stepping) {
            State::Pending(pending) => Some(pending),
            _ => None,
        }
    }
}

/// Has the next step taken at once.
struct StepSoon(Arc<AsyncSeal>);

impl Wake for StepSoon {
    fn wake(&self) {
        self.0.as_arc_borrow().enqueue();
    }
}

impl Pending {
    /// Context: sleeps.
    fn cancel(mut self) -> Result<SealReport> {
        self.attempt.end(Ok(Outcome::Cancelled))
    }
}

fn duration(pause: Pause) -> Delta {
    let ns = match pause {
        Pause::UntilTurn(ns) => ns.min(TURN_NS),
        Pause::BetweenLooks(ns) | Pause::BetweenLastTries(ns) => ns,
    };
    // Pauses are short.
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

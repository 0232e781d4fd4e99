// SPDX-License-Identifier: GPL-2.0

//! Code that runs inside operations, at the tracepoints of owner_storage and inside the allocator.
//!
//! The probes of [`Probes`] stay attached. To attach and detach them takes grace periods, which is
//! too long for each of many operations.

use crate::{
    shim,
    sync::{
        trace::Event,
        Atomic,
        Relaxed, //
    }, //
};
use core::ptr::{
    self,
    NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_void,
    new_mutex,
    prelude::*,
    sync::{
        Mutex,
        MutexGuard, //
    },
    task::Task, //
};

/// The function that one probe is to call.
///
/// | `task` | `next`   | state | changed by                                                       |
/// |--------|----------|-------|------------------------------------------------------------------|
/// | null   | null     | idle  | a [`Session`], to armed for its own task: `next` first           |
/// | a task | a `Next` | armed | that task or an interrupt of it, to fired, by one exchange       |
/// | a task | null     | fired | the one that made the exchange runs `run`                        |
///
/// From armed and from fired the session's task goes back to idle. A `Next` is valid as long as
/// `task` is the session's: its interrupts, NMI included, are over before the task goes on.
struct Slot {
    task: Atomic<*mut bindings::task_struct>,
    next: Atomic<*mut Next>,
}

/// The function is called through a pointer of one type for all of them. With CFI, rustc 1.85 gives
/// a closure the type of the trait that it implements best, which is `Fn` where it changes nothing,
/// and a call of it as a `dyn FnMut` is then one of another type.
struct Next {
    /// The address of the owner whose events count. 0: those of any owner.
    addr: usize,
    run: unsafe fn(*mut c_void),
    inside: *mut c_void,
}

/// Calls the function at `inside`.
///
/// # Safety
///
/// `inside` must be a valid `F` that no other code uses meanwhile.
unsafe fn run<F: FnMut()>(inside: *mut c_void) {
    // SAFETY: By the contract.
    unsafe { (*inside.cast::<F>())() }
}

impl Slot {
    const fn new() -> Self {
        Self {
            task: Atomic::new(ptr::null_mut()),
            next: Atomic::new(ptr::null_mut()),
        }
    }

    /// Runs `body`. The first time that this task passes the probe, `inside` is called.
    fn arm<R, F: FnMut()>(&self, addr: usize, inside: &mut F, body: impl FnOnce() -> R) -> R {
        let next = Next {
            addr,
            run: run::<F>,
            inside: ptr::from_mut(inside).cast(),
        };
        self.next.store(ptr::from_ref(&next).cast_mut(), Relaxed);
        // Only this task and its interrupts read both, so program order is enough.
        self.task.store(Task::current_raw(), Relaxed);
        let result = body();
        self.task.store(ptr::null_mut(), Relaxed);
        self.next.store(ptr::null_mut(), Relaxed);
        result
    }

    fn pass(&self, addr: usize) {
        if self.task.load(Relaxed) != Task::current_raw() {
            return;
        }
        let armed = self.next.load(Relaxed);
        // SAFETY: Null, or valid: this task is in the `body` of `arm`, or in an interrupt of that.
        let Some(next) = (unsafe { armed.as_ref() }) else {
            return;
        };
        if next.addr != 0 && next.addr != addr {
            return;
        }
        // An NMI of this task may have passed the probe since the load.
        let ours = self.next.cmpxchg(armed, ptr::null_mut(), Relaxed).is_ok();
        if ours {
            // SAFETY: `inside` is what `run` was made for, and valid as `next` is. The exchange
            // succeeds once, so that there is no other reference.
            unsafe { (next.run)(next.inside) };
        }
    }
}

const EVENTS: [Event; 3] = [Event::Enter, Event::StorageLocked, Event::BucketLocked];

/// The probes, attached until it is dropped. The drop may sleep.
#[pin_data(PinnedDrop)]
pub(crate) struct Probes {
    events: [Slot; EVENTS.len()],
    alloc: Slot,
    #[pin]
    user: Mutex<Attached>,
}

/// What is attached so far.
struct Attached {
    events: usize,
    alloc: Option<NonNull<c_void>>,
}

// SAFETY: The hook is not tied to a thread.
unsafe impl Send for Attached {}

impl Probes {
    /// Probes that are attached to nothing yet.
    pub(crate) fn new() -> Result<Pin<KBox<Self>>> {
        let attached = Attached {
            events: 0,
            alloc: None,
        };
        let probes = pin_init!(Self {
            events: [const { Slot::new() }; EVENTS.len()],
            alloc: Slot::new(),
            user <- new_mutex!(attached),
        });
        KBox::pin_init(probes, GFP_KERNEL)
    }

    /// Waits until no other task uses the probes. Attaches those of the tracepoints, unless they
    /// are attached. May sleep.
    pub(crate) fn session(&self) -> Result<Session<'_>> {
        let mut session = Session {
            probes: self,
            attached: self.user.lock(),
        };
        while let Some(&event) = EVENTS.get(session.attached.events) {
            let data = self.data(session.attached.events);
            // SAFETY: `fire` has the events' prototype, and the slot stays until it is unregistered
            // in the drop.
            to_result(unsafe { shim::ostor_event_register(event as u32, Some(fire), data) })?;
            session.attached.events += 1;
        }
        Ok(session)
    }

    fn data(&self, event: usize) -> *mut c_void {
        ptr::from_ref(&self.events[event]).cast_mut().cast()
    }
}

#[pinned_drop]
impl PinnedDrop for Probes {
    fn drop(self: Pin<&mut Self>) {
        let attached = self.user.lock();
        for (i, &event) in EVENTS.iter().enumerate().take(attached.events) {
            // SAFETY: Undoes the registration in `session`.
            unsafe { shim::ostor_event_unregister(event as u32, Some(fire), self.data(i)) };
        }
        if let Some(hook) = attached.alloc {
            // SAFETY: Attached in `with_alloc_probe`.
            unsafe { shim::ostor_alloc_hook_detach(hook.as_ptr()) };
        }
        // SAFETY: An FFI call with no requirement; no probe runs after it.
        unsafe { shim::ostor_event_sync() };
    }
}

/// The use of probes by one task.
pub(crate) struct Session<'a> {
    probes: &'a Probes,
    attached: MutexGuard<'a, Attached>,
}

impl Session<'_> {
    /// Runs `body` on this task with `inside` called at the first `event` of the owner at `addr`
    /// that `body` passes: in that context, with the locks held that the event names.
    pub(crate) fn with_probe<R>(
        &self,
        event: Event,
        addr: usize,
        inside: &mut impl FnMut(),
        body: impl FnOnce() -> R,
    ) -> R {
        self.probes.events[event as usize].arm(addr, inside, body)
    }

    /// As [`Session::with_probe`], with `inside` called the first time that `body` enters the slab
    /// allocator. Fails with `EOPNOTSUPP` if this kernel has no hook for that. May sleep.
    pub(crate) fn with_alloc_probe<R>(
        &mut self,
        inside: &mut impl FnMut(),
        body: impl FnOnce() -> R,
    ) -> Result<R> {
        let slot = &self.probes.alloc;
        if self.attached.alloc.is_none() {
            let data = ptr::from_ref(slot).cast_mut().cast::<c_void>();
            // SAFETY: `fire_alloc` may be called with the slot, which stays until it is detached in
            // the drop.
            let hook = unsafe { shim::ostor_alloc_hook_attach(Some(fire_alloc), data) };
            self.attached.alloc = NonNull::new(from_err_ptr(hook)?);
        }
        Ok(slot.arm(0, inside, body))
    }
}

/// # Safety
///
/// May only be called by a tracepoint, with a slot of [`Probes`].
unsafe extern "C" fn fire(data: *mut c_void, addr: usize) {
    // SAFETY: By the contract.
    unsafe { &*data.cast::<Slot>() }.pass(addr);
}

/// # Safety
///
/// May only be called by the hook, with a slot of [`Probes`].
unsafe extern "C" fn fire_alloc(data: *mut c_void) {
    // SAFETY: An FFI call with no requirement.
    if unsafe { shim::ostor_in_task() } {
        // SAFETY: By the contract.
        unsafe { &*data.cast::<Slot>() }.pass(0);
    }
}

/// Runs `body`. Meanwhile `listen` is called with the owner's address at every `event` on any CPU:
/// in the context of the event, with the locks held that it names. May sleep; `listen` must not.
pub(crate) fn with_listener<R>(
    event: Event,
    listen: &(dyn Fn(usize) + Sync),
    body: impl FnOnce() -> R,
) -> Result<R> {
    let data = ptr::from_ref(&listen).cast_mut().cast::<c_void>();
    // SAFETY: `on_event` has the events' prototype, and `listen` lives until it is unregistered
    // below.
    to_result(unsafe { shim::ostor_event_register(event as u32, Some(on_event), data) })?;
    let result = body();
    // SAFETY: Undoes the registration above.
    unsafe { shim::ostor_event_unregister(event as u32, Some(on_event), data) };
    // SAFETY: An FFI call with no requirement; no probe runs after it.
    unsafe { shim::ostor_event_sync() };
    Ok(result)
}

/// # Safety
///
/// May only be called by a tracepoint, with the data that [`with_listener`] registered.
unsafe extern "C" fn on_event(data: *mut c_void, addr: usize) {
    // SAFETY: By the contract this is a reference that is valid as long as it is registered.
    let listen = unsafe { *data.cast::<&(dyn Fn(usize) + Sync)>() };
    listen(addr);
}

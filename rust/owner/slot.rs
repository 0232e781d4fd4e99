// SPDX-License-Identifier: GPL-2.0

//! Objects of other modules as owners.

use super::owner_ref::{
    Kind,
    Methods, //
};
use crate::{
    storage::{
        error::Refusal,
        hints::Hints,
        owner::{
            Owner,
            OwnerId,
            OwnerOps,
            Visits, //
        },
        runtime::Runtime, //
    },
    sync::{
        counter::Counter,
        rcu,
        Atomic,
        Relaxed, //
    },
    uapi::OSTOR_KIND_OBJECT, //
};
use core::{
    marker::PhantomPinned,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    prelude::*,
    sync::rcu::Guard, //
};

/// What makes an object of a module an owner: the object has it as a field.
///
/// | state  | meaning                                     | changed by                       |
/// |--------|---------------------------------------------|----------------------------------|
/// | live   | values can be attached                      | [`OwnerSlot::begin_end`]         |
/// | ending | none can; RCU readers may have seen it live | [`OwnerSlot::end`], or the drop  |
/// | ended  | all values are gone                         |                                  |
///
/// Dropping it ends it, which may sleep for a grace period. It is initialised where it stays, as a
/// [`Mutex`](kernel::sync::Mutex) is: values are found by its address, and CPUs that end them
/// change the hints in it. The field must not have the name `slot`, which `pin_init!` uses itself.
///
/// Up to four values are found without a table, those that were stored last: each map has one of
/// four places, by its number.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::rcu};
/// use owner_storage::api::{Map, OwnerSlot};
///
/// #[pin_data]
/// struct Device {
///     #[pin]
///     owner: OwnerSlot,
/// }
///
/// /// Makes a device with a value, which ends when the device is dropped.
/// fn probe(names: &Map<u32>) -> Result<Pin<KBox<Device>>> {
///     let device = KBox::pin_init(pin_init!(Device { owner <- OwnerSlot::new() }), GFP_KERNEL)?;
///     names.get_or_create(&device.owner, || 7, &rcu::read_lock())?;
///     Ok(device)
/// }
/// ```
///
/// # Invariants
///
/// It is pinned from its initialisation on. So its memory stays until its drop has ended it.
#[pin_data(PinnedDrop)]
pub struct OwnerSlot {
    state: Atomic<u32>,
    serial: u64,
    hints: Hints,
    #[pin]
    _pinned: PhantomPinned,
}

const LIVE: u32 = 0;
const ENDING: u32 = 1;
const ENDED: u32 = 2;

/// Numbers handed out so far: two owners at one address have different ones.
static SERIALS: Counter = Counter::new();

static OPS: OwnerOps = OwnerOps {
    kind: OSTOR_KIND_OBJECT,
    number_of: |id, _| id.serial(),
    visits: Visits::Hints(hints_of),
};

/// As [`Visits::Hints`].
///
/// # Safety
///
/// As there. `id` must be that of a slot.
unsafe fn hints_of(id: OwnerId) -> NonNull<Hints> {
    let slot = ptr::with_exposed_provenance::<OwnerSlot>(id.addr());
    // SAFETY: By the safety requirements the slot's notice of death has not returned, so its memory
    // is valid, by the type invariant.
    NonNull::from(unsafe { &(*slot).hints })
}

static METHODS: Methods = Methods::of::<OwnerSlot>(&OPS);

// SAFETY: The identity has the address of the object, which is that of the reference to it.
unsafe impl Kind for OwnerSlot {
    const METHODS: &'static Methods = &METHODS;
}

impl OwnerSlot {
    /// An initialiser for a live one.
    pub fn new() -> impl PinInit<Self> {
        // INVARIANT: A `PinInit` initialises pinned memory only.
        pin_init!(Self {
            state: Atomic::new(LIVE),
            serial: SERIALS.fetch_add(1) + 1,
            hints: Hints::new(),
            _pinned: PhantomPinned,
        })
    }

    /// The address by which the tracepoints know the owner.
    pub fn addr(&self) -> usize {
        self.id().addr()
    }

    /// Whether all values have ended, and none can be attached.
    pub fn has_ended(&self) -> bool {
        self.state.load(Relaxed) == ENDED
    }

    /// Refuses values from now on. An operation that began before may still attach one until a
    /// grace period has passed. Any context.
    pub fn begin_end(&self) {
        let _ = self.state.cmpxchg(LIVE, ENDING, Relaxed);
    }

    /// As [`OwnerSlot::begin_end`] of many, and waits for a grace period. May sleep.
    pub fn begin_end_all<'a>(slots: impl Iterator<Item = &'a Self>) {
        slots.for_each(Self::begin_end);
        rcu::synchronize_rcu();
    }

    /// Ends many for the price of one grace period. May sleep.
    pub fn end_all<'a, I: Iterator<Item = &'a Self>>(slots: impl Fn() -> I) {
        Self::begin_end_all(slots());
        for slot in slots() {
            // SAFETY: `begin_end_all` has waited for a grace period.
            unsafe { slot.end() };
        }
    }

    /// Ends all values, and returns whether there was one. Any context but NMI: it waits for CPUs
    /// that change a hint, for a handful of instructions.
    ///
    /// # Safety
    ///
    /// A grace period must have passed since [`OwnerSlot::begin_end`] returned.
    pub unsafe fn end(&self) -> bool {
        self.state.store(ENDED, Relaxed);
        self.hints.end();
        Runtime::get().is_some_and(|runtime| {
            // SAFETY: This is the notice of death. The gate has refused since before the grace
            // period, by the contract.
            unsafe { runtime.owner_died(self.id()) }
        })
    }
}

#[pinned_drop]
impl PinnedDrop for OwnerSlot {
    fn drop(self: Pin<&mut Self>) {
        if self.has_ended() {
            return;
        }
        self.begin_end();
        rcu::synchronize_rcu();
        // SAFETY: That was a grace period.
        unsafe { self.end() };
    }
}

// SAFETY:
// - The gate is the RCU read section that saw the slot live. A grace period passes after it has
//   become "ending" and before the notice of death: by the contract of `end`, and in the drop.
// - The state never becomes live again.
// - The notice of death comes from `end` or from the drop, and before the memory of the slot goes.
// - `number_of` reads the identity only. `hints_of` uses the slot, whose memory stays until the
//   notice is over: by the type invariant.
unsafe impl Owner for OwnerSlot {
    type Gate<'a> = &'a Guard;

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        OwnerId::new(self, OSTOR_KIND_OBJECT, self.serial)
    }

    #[inline(always)]
    fn hints(&self) -> Option<&Hints> {
        Some(&self.hints)
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        if self.state.load(Relaxed) == LIVE {
            Ok(rcu)
        } else {
            Err(Refusal::OwnerDead)
        }
    }
}

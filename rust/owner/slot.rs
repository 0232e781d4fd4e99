// SPDX-License-Identifier: GPL-2.0

//! Objects of other modules as owners.

use super::owner_ref::{
    Kind,
    Methods, //
};
use crate::{
    storage::{
        error::Refusal,
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
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
use kernel::sync::rcu::Guard;

/// What makes an object of a module an owner: the object has it as a field.
///
/// | state  | meaning                                     | changed by                       |
/// |--------|---------------------------------------------|----------------------------------|
/// | live   | values can be attached                      | [`OwnerSlot::begin_end`]         |
/// | ending | none can; RCU readers may have seen it live | [`OwnerSlot::end`], or the drop  |
/// | ended  | all values are gone                         |                                  |
///
/// Dropping it ends it, which may sleep for a grace period. The values that are attached to an
/// object are found by its address: one that is moved loses them, and they stay until their map
/// ends.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::rcu};
/// use owner_storage::api::{Map, OwnerSlot};
///
/// struct Device {
///     slot: OwnerSlot,
/// }
///
/// /// Makes a device with a value, which ends when the device is dropped.
/// fn probe(names: &Map<u32>) -> Result<KBox<Device>> {
///     let slot = OwnerSlot::new();
///     let device = KBox::new(Device { slot }, GFP_KERNEL)?;
///     names.get_or_create(&device.slot, || 7, &rcu::read_lock())?;
///     Ok(device)
/// }
/// ```
pub struct OwnerSlot {
    state: Atomic<u32>,
    serial: u64,
}

const LIVE: u32 = 0;
const ENDING: u32 = 1;
const ENDED: u32 = 2;

/// Numbers handed out so far: two owners at one address have different ones.
static SERIALS: Counter = Counter::new();

static OPS: OwnerOps = OwnerOps {
    kind: OSTOR_KIND_OBJECT,
    number_of: |id, _| id.serial(),
    uncharge: None,
};

static METHODS: Methods = Methods::of::<OwnerSlot>(&OPS);

// SAFETY: The identity has the address of the object, which is that of the reference to it.
unsafe impl Kind for OwnerSlot {
    const METHODS: &'static Methods = &METHODS;
}

impl Default for OwnerSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl OwnerSlot {
    /// A live one.
    pub fn new() -> Self {
        Self {
            state: Atomic::new(LIVE),
            serial: SERIALS.fetch_add(1) + 1,
        }
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

    /// Ends all values, and returns whether there was one. Any context.
    ///
    /// # Safety
    ///
    /// A grace period must have passed since [`OwnerSlot::begin_end`] returned.
    pub unsafe fn end(&self) -> bool {
        self.state.store(ENDED, Relaxed);
        Runtime::get().is_some_and(|runtime| {
            // SAFETY: This is the notice of death. The gate has refused since before the grace
            // period, by the contract.
            unsafe { runtime.owner_died(self.id()) }
        })
    }
}

impl Drop for OwnerSlot {
    fn drop(&mut self) {
        if *self.state.get_mut() == ENDED {
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
// - `number_of` reads the identity only.
unsafe impl Owner for OwnerSlot {
    type Gate<'a> = &'a Guard;

    fn ops(&self) -> &'static OwnerOps {
        &OPS
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        OwnerId::new(self, OSTOR_KIND_OBJECT, self.serial)
    }

    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<&'a Guard, Refusal> {
        if self.state.load(Relaxed) == LIVE {
            Ok(rcu)
        } else {
            Err(Refusal::OwnerDead)
        }
    }
}

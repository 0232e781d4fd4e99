// SPDX-License-Identifier: GPL-2.0

//! Owners of any kind, for code that is compiled once for all of them.

use crate::{
    storage::{
        create::{
            Mode,
            Outcome, //
        },
        element::Element,
        error::Refusal,
        map::{
            write_value,
            Stored, //
        },
        owner::{
            Owner,
            OwnerId,
            OwnerOps, //
        },
        raw_map::RawMap,
        reserve::Reserve, //
    },
    sync::{
        nolock::Payer,
        rcu::Guard, //
    }, //
};
use core::{
    cell::Cell,
    marker::PhantomData,
    mem,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// The functions of [`Owner`] for the owners of one kind.
///
/// # Invariants
///
/// The functions are sound to call with the address of an owner of the kind that is borrowed.
pub(crate) struct Methods {
    ops: &'static OwnerOps,
    /// [`Kind::gate_for`].
    gate: unsafe fn(*const (), &Guard, &Cell<OwnerId>) -> Result<(), Refusal>,
    payer: for<'a> unsafe fn(*const (), &'a Guard) -> Payer<'a>,
    charge: unsafe fn(*const (), u32) -> bool,
}

impl Methods {
    /// The methods of the kind of `O`.
    pub(super) const fn of<O: Kind + 'static>(ops: &'static OwnerOps) -> Self {
        // The gate is not kept: its drop would do nothing.
        const { assert!(!mem::needs_drop::<O::Gate<'static>>()) };

        /// # Safety
        ///
        /// `owner` must be the address of an `O` that is borrowed during the call.
        unsafe fn gate<O: Kind>(
            owner: *const (),
            rcu: &Guard,
            id: &Cell<OwnerId>,
        ) -> Result<(), Refusal> {
            // SAFETY: By the contract.
            let owner = unsafe { &*owner.cast::<O>() };
            owner.gate_for(id, rcu)
        }

        /// # Safety
        ///
        /// As for `gate`.
        unsafe fn payer<O: Owner>(owner: *const (), rcu: &Guard) -> Payer<'_> {
            // SAFETY: By the contract.
            unsafe { &*owner.cast::<O>() }.payer(rcu)
        }

        /// # Safety
        ///
        /// As for `gate`.
        unsafe fn charge<O: Owner>(owner: *const (), bytes: u32) -> bool {
            // SAFETY: By the contract.
            unsafe { &*owner.cast::<O>() }.charge(bytes)
        }

        // INVARIANT: Each casts the address back to that of an `O`.
        Self {
            ops,
            gate: gate::<O>,
            payer: payer::<O>,
            charge: charge::<O>,
        }
    }
}

/// A type of owners that an [`OwnerRef`] can stand for.
///
/// # Safety
///
/// The address in an owner's identity must be that of the owner. `METHODS` must be those of this
/// type.
pub(crate) unsafe trait Kind: Owner {
    /// The methods of this type.
    const METHODS: &'static Methods;

    /// Tries the gate. `id` is the identity from before; sets it if the identity may have changed.
    fn gate_for(&self, _id: &Cell<OwnerId>, rcu: &Guard) -> Result<(), Refusal> {
        self.gate(rcu).map(|_| ())
    }
}

/// An owner of any kind.
///
/// Operations that take a lock are compiled once, for this type. That costs a create about 20
/// instructions; another copy of the algorithm is 3 KiB.
///
/// # Invariants
///
/// The address in `id` is that of an owner, of the type that `methods` are of, which is borrowed
/// for `'r`.
pub struct OwnerRef<'r> {
    /// The identity: before the gate was tried, or after it.
    id: Cell<OwnerId>,
    methods: &'static Methods,
    _owner: PhantomData<&'r ()>,
}

impl<'r> OwnerRef<'r> {
    /// The owner without its type.
    #[inline(always)]
    pub(crate) fn new<O: Kind>(owner: &'r O) -> Self {
        // INVARIANT: By the safety requirements of `Kind`.
        Self {
            id: Cell::new(owner.id()),
            methods: O::METHODS,
            _owner: PhantomData,
        }
    }

    /// The address of the owner.
    #[inline(always)]
    fn owner(&self) -> *const () {
        ptr::with_exposed_provenance(self.id.get().addr())
    }
}

// SAFETY: Each function calls that of the owner's type, which meets the safety requirements. The
// gate of that type has no drop, and is borrowed from the owner, as this object and its gate are.
unsafe impl Owner for OwnerRef<'_> {
    type Gate<'a>
        = PhantomData<&'a Guard>
    where
        Self: 'a;

    #[inline(always)]
    fn ops(&self) -> &'static OwnerOps {
        self.methods.ops
    }

    #[inline(always)]
    fn id(&self) -> OwnerId {
        self.id.get()
    }

    #[inline(always)]
    fn gate<'a>(&'a self, rcu: &'a Guard) -> Result<PhantomData<&'a Guard>, Refusal> {
        // SAFETY: By the type invariants the owner is of the methods' type, and borrowed.
        unsafe { (self.methods.gate)(self.owner(), rcu, &self.id) }?;
        Ok(PhantomData)
    }

    #[inline(always)]
    fn payer<'a>(&self, rcu: &'a Guard) -> Payer<'a> {
        // SAFETY: As in `gate`.
        unsafe { (self.methods.payer)(self.owner(), rcu) }
    }

    #[inline(always)]
    fn charge(&self, bytes: u32) -> bool {
        // SAFETY: As in `gate`.
        unsafe { (self.methods.charge)(self.owner(), bytes) }
    }
}

/// How a new value is initialised.
pub(crate) enum Init<'a> {
    /// By these bytes, and zeroes if they are too few.
    Bytes(&'a [u8]),
    /// By this function, which is called once at most.
    Call(&'a mut dyn FnMut(NonNull<u8>)),
}

/// The result of [`put`]: a [`Stored`] whose value is the element.
pub(crate) struct Put<'a> {
    pub(crate) elem: &'a Element,
    pub(crate) seq: u64,
    pub(crate) created: bool,
}

impl Put<'_> {
    /// The same with `value`, which is the element's.
    #[inline(always)]
    pub(crate) fn with<V>(&self, value: V) -> Stored<V> {
        Stored {
            value,
            seq: self.seq,
            created: self.created,
        }
    }
}

impl Init<'_> {
    /// Initialises a value of `map`.
    ///
    /// # Safety
    ///
    /// There must be memory for a value of `map` at `value`.
    #[inline(always)]
    unsafe fn write(&mut self, map: &RawMap, value: NonNull<u8>) {
        match self {
            // SAFETY: The safety requirements are those of this function.
            Init::Bytes(bytes) => unsafe { write_value(value, map.value_size(), bytes) },
            Init::Call(init) => init(value),
        }
    }
}

impl<'a> Put<'a> {
    #[inline(always)]
    fn of(outcome: Outcome<'a>) -> Self {
        Self {
            elem: outcome.elem,
            seq: outcome.elem.seq(),
            created: outcome.created,
        }
    }
}

/// As [`RawMap::put`], compiled once for owners of all kinds and values of all types.
///
/// # Safety
///
/// The first call of an [`Init::Call`] must initialise a value of the map. With [`Init::Bytes`] the
/// map must be one of bytes.
#[inline(never)]
pub(crate) unsafe fn put<'a>(
    map: &'a RawMap,
    owner: &OwnerRef<'_>,
    mode: Mode,
    init: &mut Init<'_>,
    rcu: &'a Guard,
) -> Result<Put<'a>, Refusal> {
    // SAFETY: `RawMap::put` calls this with memory for a value.
    let write = |value| unsafe { init.write(map, value) };
    // SAFETY: `write` initialises a value: a function does by the safety requirements, and a value
    // of bytes is initialised once all of them are written.
    unsafe { map.put(owner, mode, write, rcu) }.map(Put::of)
}

/// As [`RawMap::put_from`] with [`Mode::Get`], likewise.
///
/// # Safety
///
/// As for [`put`].
#[inline(never)]
pub(crate) unsafe fn put_from<'a>(
    map: &'a RawMap,
    reserve: &Reserve,
    owner: &OwnerRef<'_>,
    init: &mut Init<'_>,
    rcu: &'a Guard,
) -> Result<Put<'a>, Refusal> {
    // SAFETY: `RawMap::put_from` calls this with memory for a value.
    let write = |value| unsafe { init.write(map, value) };
    // SAFETY: As in `put`.
    unsafe { map.put_from(reserve, owner, Mode::Get, write, rcu) }.map(Put::of)
}

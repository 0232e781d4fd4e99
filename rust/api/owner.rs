// SPDX-License-Identifier: GPL-2.0

//! Owners as other modules have them.

use crate::{
    owner::{
        cgroup::Cgroup,
        kinds::AnyOwner,
        netns::NetNs,
        owner_ref::OwnerRef,
        slot::OwnerSlot,
        socket::Socket, //
    },
    storage::{
        self,
        create::Mode,
        error::Refusal,
        hints::Hints,
        map::Stored,
        owner::{
            Label,
            Owner as _,
            OwnerId, //
        }, //
    }, //
};
use kernel::{
    sync::rcu::Guard,
    task::Task, //
};

/// An object that values can be attached to. This module implements it for all there are: it has to
/// hear of an owner's death, also when the module that attached the value has gone.
///
/// # Examples
///
/// ```
/// use kernel::{prelude::*, sync::rcu};
/// use owner_storage::api::{Map, Owner};
///
/// /// Passes the value of one owner on to another one, of any kind.
/// fn pass_on(map: &Map<u64>, from: &impl Owner, to: &impl Owner) -> Result {
///     let rcu = rcu::read_lock();
///     let value = *map.get(from, &rcu).ok_or(ENOENT)?;
///     map.get_or_create(to, || value, &rcu)?;
///     Ok(())
/// }
/// ```
pub trait Owner: sealed::Owner {
    /// What user space knows it by. Any context. A value can keep it, for its drop.
    fn label(&self, rcu: &Guard) -> Label {
        label(self.owner_ref(), rcu)
    }
}

/// As [`Owner::label`]. Compiled in this module, as [`sealed::Owner::put_bytes`].
fn label(owner: OwnerRef<'_>, rcu: &Guard) -> Label {
    let ops = owner.ops();
    Label {
        kind: ops.kind,
        // The function reads the owner's memory, which the reference keeps.
        //
        // SAFETY: With a reference, that memory is valid also where no element was seen.
        id: unsafe { (ops.number_of)(owner.id(), rcu) },
    }
}

/// What the generic code of other modules needs of an owner.
pub(super) mod sealed {
    use crate::{
        owner::owner_ref::{
            put,
            Init,
            OwnerRef, //
        },
        storage::{
            create::Mode,
            error::Refusal,
            hints::Hints,
            map::{
                ByteMap,
                Stored, //
            },
            owner::OwnerId, //
        }, //
    };
    use kernel::sync::rcu::Guard;

    pub trait Owner {
        /// Its identity, as [`crate::storage::owner::Owner::id`].
        fn owner_id(&self) -> OwnerId;

        /// The hints in its memory, as [`crate::storage::owner::Owner::hints`].
        #[inline(always)]
        fn owner_hints(&self) -> Option<&Hints> {
            None
        }

        /// The owner, for what is compiled once for all kinds.
        fn owner_ref(&self) -> OwnerRef<'_>;

        /// As [`ByteMap::put`].
        #[inline]
        fn put_bytes<'a>(
            &self,
            map: &'a ByteMap,
            mode: Mode,
            bytes: &[u8],
            rcu: &'a Guard,
        ) -> Result<Stored<&'a [u8]>, Refusal> {
            let mut init = Init::Bytes(bytes);
            // SAFETY: This is a map of bytes.
            let put = unsafe { put(map.raw(), &self.owner_ref(), mode, &mut init, rcu) }?;
            Ok(put.with(map.value(put.elem)))
        }
    }
}

/// Implements the owners.
macro_rules! owner {
    ($owner:ty, $owner_ref:expr $(, $item:item)?) => {
        impl Owner for $owner {}

        impl sealed::Owner for $owner {
            #[inline(always)]
            fn owner_id(&self) -> OwnerId {
                self.owner_ref().id()
            }

            #[inline(always)]
            fn owner_ref(&self) -> OwnerRef<'_> {
                $owner_ref(self)
            }

            $($item)?
        }
    };
}

owner!(Task, OwnerRef::new);
owner!(
    Cgroup,
    OwnerRef::new,
    /// Compiled for cgroups by themselves, in this module. That saves a create and delete 40
    /// instructions, for 3 KiB of text: by `OwnerRef`, both identities and both calls are out of
    /// line.
    fn put_bytes<'a>(
        &self,
        map: &'a storage::map::ByteMap,
        mode: Mode,
        bytes: &[u8],
        rcu: &'a Guard,
    ) -> Result<Stored<&'a [u8]>, Refusal> {
        map.put(self, mode, bytes, rcu)
    }
);
owner!(Socket, OwnerRef::new);
owner!(NetNs, OwnerRef::new);
owner!(
    OwnerSlot,
    OwnerRef::new,
    #[inline(always)]
    fn owner_hints(&self) -> Option<&Hints> {
        self.hints()
    }
);
owner!(AnyOwner, AnyOwner::as_ref);

/// What is done with an owner, whatever kind it is of.
///
/// # Examples
///
/// ```
/// use kernel::sync::rcu;
/// use owner_storage::api::{AnyOwner, Map, Owner, Visitor};
///
/// struct Lookup<'a>(&'a Map<u64>);
///
/// impl Visitor for Lookup<'_> {
///     type Output = Option<u64>;
///
///     fn visit<O: Owner + Sync>(self, owner: &O) -> Option<u64> {
///         self.0.get(owner, &rcu::read_lock()).copied()
///     }
/// }
///
/// /// As `map.get()`, but compiled for the owner's kind.
/// fn get(map: &Map<u64>, owner: &AnyOwner) -> Option<u64> {
///     owner.visit(Lookup(map))
/// }
/// ```
pub trait Visitor {
    /// What comes out.
    type Output;

    /// Does it.
    fn visit<O: Owner + Sync>(self, owner: &O) -> Self::Output;
}

impl AnyOwner {
    /// Lets `visitor` do what it does, compiled for the kind.
    pub fn visit<V: Visitor>(&self, visitor: V) -> V::Output {
        match self {
            Self::Task(owner) => visitor.visit(&**owner),
            Self::Cgroup(owner) => visitor.visit(&**owner),
            Self::Socket(owner) => visitor.visit(&**owner),
            Self::NetNs(owner) => visitor.visit(&**owner),
        }
    }

    /// The owner's address, by which the tracepoints know it.
    pub fn addr(&self) -> usize {
        self.as_ref().id().addr()
    }
}

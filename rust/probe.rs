// SPDX-License-Identifier: GPL-2.0

//! Calls all of the API that is not the torture module's alone, and has the examples in its
//! documentation.
//!
//! This crate is compiled as another module's would be, and not linked. What its object refers to
//! of `owner_storage`'s is exported.

use kernel::{
    bindings,
    prelude::*,
    sync::{
        rcu,
        Arc, //
    },
    task::Task, //
};
use owner_storage::api::{
    self,
    AnyOwner,
    ByteMap,
    Cgroup,
    Map,
    Mode,
    NetNs,
    Owner,
    OwnerSlot,
    Refusal,
    Socket,
    Visitor, //
};

/// The examples in the API's documentation. That they compile is what is wanted of them.
#[allow(dead_code, missing_docs, unreachable_pub, unused_imports)]
mod examples {
    include!(concat!(env!("OSTOR_GENERATED"), "/examples_generated.rs"));
}

/// A value that has a drop.
#[derive(Clone)]
struct Value(Arc<u64>);

struct Maps {
    plain: Map<u64>,
    cloning: Map<Value>,
    counted: Map<Arc<u64>>,
    bytes: ByteMap,
}

impl Maps {
    fn new(module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            plain: Map::new(module)?,
            cloning: Map::new_cloning(module)?,
            counted: Map::new(module)?,
            bytes: ByteMap::new(module, size_of::<u64>())?,
        })
    }
}

impl Visitor for &Maps {
    type Output = Result<u64, Refusal>;

    fn visit<O: Owner + Sync>(self, owner: &O) -> Self::Output {
        let rcu = rcu::read_lock();
        let mut seen = 0;
        seen += self.plain.get(owner, &rcu).map_or(0, |value| *value);
        seen += self.plain.get_or_create(owner, || 1, &rcu)?.value;
        let mut reserve = self.plain.reserve(1).map_err(|_| Refusal::NoMemory)?;
        reserve.fill(2).map_err(|_| Refusal::NoMemory)?;
        let stored = self
            .plain
            .get_or_create_from(&mut reserve, owner, || 1, &rcu)?;
        seen += *stored.value + reserve.left() as u64;
        seen += owner.label(&rcu).id;
        self.plain.update(owner, Mode::Any, 2, &rcu)?;
        self.plain.delete(owner, &rcu)?;
        let held = self.counted.hold(owner).ok_or(Refusal::Missing)?;
        self.cloning
            .update(owner, Mode::NoExist, Value(held), &rcu)?;
        self.cloning
            .for_each(|owner, value| seen += owner.id + *value.0);
        seen += self
            .bytes
            .get(owner, &rcu)
            .map_or(0, |bytes| bytes.len() as u64);
        self.bytes.put(owner, Mode::Exist, &[1], &rcu)?;
        self.bytes.delete(owner, &rcu)?;
        seen += u64::from(self.bytes.share_bucket(owner, owner));
        Ok(seen + self.bytes.value_size() as u64)
    }
}

/// Calls everything.
pub fn owner_storage_probe(
    module: &'static ThisModule,
    any: &AnyOwner,
    (task, cgroup, socket, net): (&Task, &Cgroup, &Socket, &NetNs),
    slot: &OwnerSlot,
) -> Result<u64> {
    api::check_abi();
    let maps = Maps::new(module)?;
    let mut seen = maps.visit(task)? + maps.visit(cgroup)? + maps.visit(socket)?;
    seen += maps.visit(net)? + maps.visit(slot)? + any.visit(&maps)?;
    let own = KBox::pin_init(OwnerSlot::new(), GFP_KERNEL)?;
    seen += maps.visit(&*own)? + own.addr() as u64 + any.addr() as u64;
    OwnerSlot::end_all(|| core::iter::once(&*own));
    slot.begin_end();
    if !slot.has_ended() {
        // The kernel crate of Linux 7.2 has no function for it.
        // SAFETY: An FFI call with no requirement where a caller may sleep.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: That was a grace period.
        unsafe { slot.end() };
    }
    api::flush();
    Ok(seen + api::reap_ns())
}

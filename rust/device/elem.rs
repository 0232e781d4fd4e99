// SPDX-License-Identifier: GPL-2.0

//! The commands on one element.

use super::{
    map::DeviceMap,
    resolve,
    Arg, //
};
use crate::{
    api,
    owner::kinds::OwnerRef,
    storage::{
        create::Mode,
        element::Element,
        owner::Owner, //
    },
    sync::{
        deferred,
        rcu::{
            self,
            Guard, //
        },
        uaccess, //
    },
    uapi::{
        ostor_elem,
        ostor_owner,
        OSTOR_BY_PIDFD, //
    }, //
};
use kernel::{
    prelude::*,
    transmute::AsBytes,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// A value in user space, and a copy of it.
struct UserValue {
    ptr: UserPtr,
    bytes: KVVec<u8>,
}

impl UserValue {
    /// Reads the value that `req` names.
    fn read(map: &DeviceMap, req: &ostor_elem) -> Result<Self> {
        let size = map.raw().value_size();
        if usize::try_from(req.value_size)? != size || req.value == 0 {
            return Err(EINVAL);
        }
        let ptr = UserPtr::from_addr(usize::try_from(req.value)?);
        super::memory()?;
        let mut bytes = KVVec::with_capacity(size, GFP_KERNEL)?;
        UserSlice::new(ptr, size).read_all(&mut bytes, GFP_KERNEL)?;
        Ok(Self { ptr, bytes })
    }

    /// Reads it, and makes sure that it can be written before the command takes effect.
    fn read_for_update(map: &DeviceMap, req: &ostor_elem) -> Result<Self> {
        let value = Self::read(map, req)?;
        value.write()?;
        Ok(value)
    }

    /// Copies a stored value, under RCU.
    fn set(&mut self, stored: &[u8]) {
        self.bytes.copy_from_slice(stored);
    }

    fn write(&self) -> Result {
        UserSlice::new(self.ptr, self.bytes.len())
            .writer()
            .write_slice(&self.bytes)
    }
}

fn read(arg: &Arg) -> Result<ostor_elem> {
    let req: ostor_elem = arg.read_for_update()?;
    if req.reserved != 0 {
        return Err(EINVAL);
    }
    Ok(req)
}

fn read_without_flags(arg: &Arg) -> Result<ostor_elem> {
    let req = read(arg)?;
    if req.flags != 0 {
        return Err(EINVAL);
    }
    Ok(req)
}

fn done(arg: &Arg, mut req: ostor_elem, seq: u64, created: bool) -> Result {
    req.seq = seq;
    req.created = created.into();
    arg.write(&req)
}

/// Ends a command that has taken effect, and so has succeeded. `arg` was writable when the command
/// began: a process that made it read-only meanwhile does without the outputs.
fn done_anyway(arg: &Arg, req: ostor_elem, seq: u64, created: bool) -> Result {
    let _ = done(arg, req, seq, created);
    Ok(())
}

/// An element's number, and whether the operation has created it.
type Done = (u64, bool);

/// Runs an operation on the owner that `req` names, and waits for memory where that may help.
///
/// When a thread other than the leader calls `execve()`, a pidfd of the process names that thread
/// from then on. The leader that was found before can be dead when its gate is tried, and its
/// elements gone, though the process lives. So the owner of a pidfd that is refused, or that has no
/// element, is looked up again, until it is the same one.
///
/// Not generic: it is compiled once, with `run` and all that goes with an owner called.
fn with_owner(
    map: &DeviceMap,
    req: &ostor_owner,
    run: &mut dyn FnMut(&OwnerRef<'_>) -> Result<Done>,
) -> Result<Done> {
    let mut owner = resolve(req)?;
    loop {
        let result = map.raw().retry_after_reap(|| run(&owner.as_ref()));
        let may_be_another = req.by == OSTOR_BY_PIDFD && matches!(result, Err(ESRCH | ENOENT));
        if !may_be_another {
            return result;
        }
        let named = resolve(req)?;
        if named.as_ref().id() == owner.as_ref().id() {
            return result;
        }
        owner = named;
    }
}

pub(super) fn lookup(map: &DeviceMap, arg: &Arg) -> Result {
    let req = read_without_flags(arg)?;
    let mut value = UserValue::read_for_update(map, &req)?;
    let (seq, _) = with_owner(map, &req.owner, &mut |owner| {
        let rcu = rcu::read_lock();
        let elem = map.raw().find(owner.id(), &rcu).ok_or(ENOENT)?;
        value.set(map.value(elem));
        Ok((elem.seq(), false))
    })?;
    value.write()?;
    done(arg, req, seq, false)
}

pub(super) fn get_or_create(map: &DeviceMap, arg: &Arg) -> Result {
    let req = read_without_flags(arg)?;
    if req.value == 0 && req.value_size == 0 {
        let (seq, created) = with_owner(map, &req.owner, &mut |owner| {
            let rcu = rcu::read_lock();
            let stored = map.put(owner, Mode::Get, &[], &rcu)?;
            Ok((stored.seq, stored.created))
        })?;
        return if created {
            done_anyway(arg, req, seq, created)
        } else {
            done(arg, req, seq, created)
        };
    }
    let mut value = UserValue::read_for_update(map, &req)?;
    let (seq, created) = with_owner(map, &req.owner, &mut |owner| {
        let rcu = rcu::read_lock();
        let stored = map.put(owner, Mode::Get, &value.bytes, &rcu)?;
        let result = (stored.seq, stored.created);
        value.set(stored.value);
        Ok(result)
    })?;
    if created {
        // The value is where it came from.
        return done_anyway(arg, req, seq, created);
    }
    value.write()?;
    done(arg, req, seq, created)
}

pub(super) fn update(map: &DeviceMap, arg: &Arg) -> Result {
    let req = read(arg)?;
    let mode = api::update_mode(req.flags)?;
    let value = UserValue::read(map, &req)?;
    let (seq, created) = with_owner(map, &req.owner, &mut |owner| {
        let rcu = rcu::read_lock();
        let stored = map.put(owner, mode, &value.bytes, &rcu)?;
        Ok((stored.seq, stored.created))
    })?;
    done_anyway(arg, req, seq, created)
}

pub(super) fn delete(map: &DeviceMap, arg: &Arg) -> Result {
    let req = read_without_flags(arg)?;
    if req.value != 0 || req.value_size != 0 {
        return Err(EINVAL);
    }
    let (seq, _) = with_owner(map, &req.owner, &mut |owner| {
        let rcu = rcu::read_lock();
        Ok((map.raw().delete(owner.id(), &rcu)?.seq(), false))
    })?;
    done_anyway(arg, req, seq, false)
}

/// How often [`take`] makes its memory writable again that another thread has made read-only, or
/// that the kernel has swapped out.
const TAKE_TRIES: u32 = 16;

/// The outputs are written before the element is deleted, and it is that element which is deleted:
/// so a command that cannot write has changed nothing.
pub(super) fn take(map: &DeviceMap, arg: &Arg) -> Result {
    let req = read_without_flags(arg)?;
    let value = UserValue::read_for_update(map, &req)?;
    with_owner(map, &req.owner, &mut |owner| {
        take_of(map, arg, &req, &value, owner)?;
        Ok((0, false))
    })?;
    Ok(())
}

/// Deletes the owner's element if `copy` succeeds with it, and returns whether it did: false if
/// another operation has ended that element meanwhile. Fails as `copy` does.
fn delete_after(
    map: &DeviceMap,
    owner: &OwnerRef<'_>,
    copy: impl FnOnce(&Element) -> Result,
    rcu: &Guard,
) -> Result<bool> {
    let elem = map.raw().find(owner.id(), rcu).ok_or(ENOENT)?;
    copy(elem)?;
    Ok(map.raw().delete_elem(elem, rcu))
}

fn take_of(
    map: &DeviceMap,
    arg: &Arg,
    req: &ostor_elem,
    value: &UserValue,
    owner: &OwnerRef<'_>,
) -> Result {
    let copy = |elem: &Element| {
        uaccess::write_nofault(value.ptr, map.value(elem))?;
        let result = ostor_elem {
            seq: elem.seq(),
            created: 0,
            ..*req
        };
        uaccess::write_nofault(arg.ptr, result.as_bytes())
    };
    let mut tries = TAKE_TRIES;
    loop {
        let taken = delete_after(map, owner, copy, &rcu::read_lock());
        if taken == Ok(true) {
            return Ok(());
        }
        // What was copied is not what is returned. This also waits for pages that were not there.
        value.write()?;
        arg.write(req)?;
        match taken {
            // Another command took effect on the element: this one looks again.
            Ok(_) => deferred::cond_resched(),
            Err(err) if err == EFAULT && tries > 1 => tries -= 1,
            Err(err) => return Err(err),
        }
    }
}

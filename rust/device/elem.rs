// SPDX-License-Identifier: GPL-2.0

//! The commands on one element.

use super::{
    map::DeviceMap,
    resolve,
    Arg,
    Handle, //
};
use crate::{
    api,
    owner::owner_ref::{
        put,
        Init,
        OwnerRef, //
    },
    storage::{
        create::Mode,
        element::Element,
        error::Refusal,
        owner::{
            Owner,
            OwnerId, //
        }, //
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

/// How often [`Command::take`] makes its memory writable again that another thread has made
/// read-only, or that the kernel has swapped out.
const TAKE_TRIES: u32 = 16;

/// What a command does with an element.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Lookup,
    GetOrCreate,
    Update,
    Delete,
    Take,
}

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

    /// No value, of which nothing is written either.
    fn none() -> Self {
        Self {
            ptr: UserPtr::from_addr(0),
            bytes: KVVec::new(),
        }
    }

    /// Copies a stored value, under RCU.
    fn set(&mut self, stored: &[u8]) {
        if !self.bytes.is_empty() {
            self.bytes.copy_from_slice(stored);
        }
    }

    fn write(&self) -> Result {
        UserSlice::new(self.ptr, self.bytes.len())
            .writer()
            .write_slice(&self.bytes)
    }
}

/// A command on an element. All five take the same steps, which are compiled once.
struct Command<'a> {
    op: Op,
    /// What an update does, or a get that creates.
    mode: Mode,
    map: &'a DeviceMap,
    arg: &'a Arg,
    req: ostor_elem,
    value: UserValue,
}

/// Runs the command `op`.
pub(super) fn run(op: Op, handle: &Handle, arg: &Arg) -> Result {
    let mut command = Command::read(op, handle.map()?, arg)?;
    command.run_on_owner()?;
    command.finish()
}

/// The mode of `op` with `flags`, which only an update has.
fn mode(op: Op, flags: u32) -> Result<Mode> {
    match (op, flags) {
        (Op::Update, _) => api::update_mode(flags),
        (_, 0) => Ok(Mode::Get),
        _ => Err(EINVAL),
    }
}

impl<'a> Command<'a> {
    /// Reads the argument and the value that it names, and makes sure that the outputs can be
    /// written before the command takes effect.
    fn read(op: Op, map: &'a DeviceMap, arg: &'a Arg) -> Result<Self> {
        let mut req = ostor_elem::default();
        arg.read_for_update(&mut req)?;
        if req.reserved != 0 {
            return Err(EINVAL);
        }
        let mode = mode(op, req.flags)?;
        let has_value = req.value != 0 || req.value_size != 0;
        let value = match op {
            Op::Delete if has_value => return Err(EINVAL),
            Op::Delete => UserValue::none(),
            Op::GetOrCreate if !has_value => UserValue::none(),
            _ => UserValue::read(map, &req)?,
        };
        if op != Op::Update {
            value.write()?;
        }
        Ok(Self {
            op,
            mode,
            map,
            arg,
            req,
            value,
        })
    }

    /// Runs the operation on the owner that the argument names, and waits for memory where that may
    /// help.
    ///
    /// When a thread other than the leader calls `execve()`, a pidfd of the process names that
    /// thread from then on. The leader that was found before can be dead when its gate is tried,
    /// and its elements gone, though the process lives. So the owner of a pidfd that is refused, or
    /// that has no element, is looked up again, until it is the same one.
    fn run_on_owner(&mut self) -> Result {
        let mut owner = resolve(&self.req.owner)?;
        loop {
            let raw = self.map.raw();
            let result = raw.retry_after_reap(|| self.run(&owner.as_ref()));
            let is_pidfd = self.req.owner.by == OSTOR_BY_PIDFD;
            if !(is_pidfd && matches!(result, Err(ESRCH | ENOENT))) {
                return result;
            }
            let named = resolve(&self.req.owner)?;
            if named.as_ref().id() == owner.as_ref().id() {
                return result;
            }
            owner = named;
        }
    }

    /// Runs the operation on an element of `owner`.
    fn run(&mut self, owner: &OwnerRef<'_>) -> Result {
        let id = owner.id();
        let rcu = rcu::read_lock();
        let (seq, created) = match self.op {
            Op::Lookup => {
                let elem = self.find(id, &rcu)?;
                self.value.set(self.map.value(elem));
                (elem.seq(), false)
            }
            Op::GetOrCreate | Op::Update => {
                let mut init = Init::Bytes(&self.value.bytes);
                // SAFETY: The device's maps are of bytes.
                let stored = unsafe { put(self.map.raw(), owner, self.mode, &mut init, &rcu) }?;
                if self.op == Op::GetOrCreate {
                    self.value.set(self.map.value(stored.elem));
                }
                (stored.seq, stored.created)
            }
            Op::Delete => {
                let deleted = self.map.raw().delete(id, &rcu).ok_or(Refusal::Missing)?;
                (deleted.seq(), false)
            }
            Op::Take => {
                drop(rcu);
                return self.take(id);
            }
        };
        self.req.seq = seq;
        self.req.created = created.into();
        Ok(())
    }

    /// The element of the owner `id`. Compiled once: a lookup and a take use it.
    #[inline(never)]
    fn find<'b>(&self, id: OwnerId, rcu: &'b Guard) -> Result<&'b Element>
    where
        'a: 'b,
    {
        self.map.raw().find(id, rcu).ok_or(ENOENT)
    }

    /// Writes the outputs.
    ///
    /// A command that has taken effect has succeeded. Its outputs were writable when it began: a
    /// process that made them read-only meanwhile does without them.
    fn finish(&self) -> Result {
        let has_changed = match self.op {
            Op::Lookup => false,
            Op::GetOrCreate => self.req.created != 0,
            Op::Update | Op::Delete => true,
            // It has written them.
            Op::Take => return Ok(()),
        };
        if has_changed {
            // A value that was stored is where it came from.
            let _ = self.arg.write(&self.req);
            return Ok(());
        }
        self.value.write()?;
        self.arg.write(&self.req)
    }

    /// Deletes the element of the owner `id`. The outputs are written before the element is
    /// deleted, and it is that element which is deleted: so a command that cannot write has changed
    /// nothing.
    fn take(&self, id: OwnerId) -> Result {
        let mut tries = TAKE_TRIES;
        loop {
            let taken = self.try_take(id);
            if taken == Ok(true) {
                return Ok(());
            }
            // What was copied is not what is returned. This also waits for pages that were not
            // there.
            self.value.write()?;
            self.arg.write(&self.req)?;
            match taken {
                // Another command took effect on the element: this one looks again.
                Ok(_) => deferred::cond_resched(),
                Err(err) if err == EFAULT && tries > 1 => tries -= 1,
                Err(err) => return Err(err),
            }
        }
    }

    /// Writes the outputs, deletes the element, and returns whether it did: false if another
    /// operation has ended the element meanwhile.
    fn try_take(&self, id: OwnerId) -> Result<bool> {
        let rcu = rcu::read_lock();
        let elem = self.find(id, &rcu)?;
        uaccess::write_nofault(self.value.ptr, self.map.value(elem))?;
        let result = ostor_elem {
            seq: elem.seq(),
            created: 0,
            ..self.req
        };
        uaccess::write_nofault(self.arg.ptr, result.as_bytes())?;
        Ok(self.map.raw().delete_elem(elem, &rcu))
    }
}

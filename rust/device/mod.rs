// SPDX-License-Identifier: GPL-2.0

//! `/dev/owner_storage`. What each command does is said in `include/uapi/linux/owner_storage.h`.

#[cfg(OSTOR_TEST)]
mod ages;
mod bench;
mod contexts;
#[cfg(OSTOR_TEST)]
mod crowd;
mod cycle;
mod drops;
mod elem;
#[cfg(OSTOR_TEST)]
mod faults;
mod info;
mod list;
mod list_owner;
mod map;
mod op;
mod recurse;
mod tally;

use self::map::DeviceMap;
use crate::{
    owner::{
        caller::{
            self,
            Peer, //
        },
        cgroup::Cgroup,
        kinds::{
            self,
            AnyOwner, //
        },
        netns::NetNs,
        socket::{
            self,
            Socket, //
        },
    },
    storage::owner::Owner,
    sync::{
        compat::EOPNOTSUPP,
        fault::{
            self,
            Site, //
        },
        probes::Probes,
        task_work, //
    },
    uapi::{
        self,
        ostor_map_create,
        ostor_owner, //
    }, //
};
use kernel::{
    fs::File,
    ioctl::_IOC_SIZE,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    new_mutex,
    prelude::*,
    sync::{
        Mutex,
        SetOnce, //
    },
    transmute::{
        AsBytes,
        FromBytes, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// An open file: a map, once it was told so.
#[pin_data]
pub(crate) struct Handle {
    /// What recursion needs, once it was asked for.
    probes: SetOnce<Pin<KBox<Probes>>>,
    /// Held by the creator of the map: one that was created and not kept would use up a number.
    #[pin]
    creation: Mutex<()>,
    // Dropped last. Unloading waits for maps, not for open files whose release is postponed: what
    // the closing task does after the end of its map must not sleep.
    map: SetOnce<DeviceMap>,
}

#[vtable]
impl MiscDevice for Handle {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        if !caller::is_admin() {
            return Err(EPERM);
        }
        memory()?;
        let handle = pin_init!(Self {
            map: SetOnce::new(),
            creation <- new_mutex!(()),
            probes: SetOnce::new(),
        });
        KBox::pin_init(handle, GFP_KERNEL)
    }

    /// The map ends here, and is waited for when the task has closed all that it closes now: so many
    /// maps cost no more grace periods than one.
    fn release(handle: Pin<KBox<Self>>, _file: &File) {
        if let Some(map) = handle.map.as_ref() {
            map.raw().begin_end();
            task_work::drop_on_return(handle);
        }
    }

    fn ioctl(handle: Pin<&Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = Arg {
            ptr: UserPtr::from_addr(arg),
            size: _IOC_SIZE(cmd),
        };
        match cmd {
            uapi::MAP_CREATE => handle.create(&arg),
            uapi::MAP_INFO => info::map(handle.map()?, &arg),
            uapi::STATS | uapi::SHORT_STATS => info::stats(&arg),
            uapi::LOOKUP => elem::lookup(handle.map()?, &arg),
            uapi::GET_OR_CREATE => elem::get_or_create(handle.map()?, &arg),
            uapi::UPDATE => elem::update(handle.map()?, &arg),
            uapi::DELETE => elem::delete(handle.map()?, &arg),
            uapi::TAKE => elem::take(handle.map()?, &arg),
            uapi::LIST => list::list(handle.map()?, &arg),
            uapi::LIST_OWNER => list_owner::list(&arg),
            uapi::RECURSE => recurse::recurse(&handle, file, &arg),
            uapi::BENCH => bench::bench(handle.map()?, &arg),
            #[cfg(OSTOR_TEST)]
            uapi::FAULT => faults::fault(&arg),
            #[cfg(OSTOR_TEST)]
            uapi::CROWD => crowd::crowd(&arg),
            #[cfg(OSTOR_TEST)]
            uapi::AGES => ages::ages(handle.map()?, &arg),
            uapi::CONTEXT => contexts::run(handle.map()?, file, &arg),
            uapi::CYCLE => cycle::run(&arg),
            _ => return Err(ENOTTY),
        }?;
        Ok(0)
    }
}

impl Handle {
    fn create(&self, arg: &Arg) -> Result {
        let req: ostor_map_create = arg.read()?;
        if req.flags & !map::FLAGS != 0 || req.reserved != [0; 3] {
            return Err(EINVAL);
        }
        if req.flags & uapi::OSTOR_MAP_CLONE != 0 && !socket::clones() {
            return Err(EOPNOTSUPP);
        }
        let _creation = self.creation.lock();
        if self.map.as_ref().is_some() {
            return Err(EBUSY);
        }
        // The last that can fail, within which the map gets its number when nothing else can.
        let map = DeviceMap::new(usize::try_from(req.value_size)?, req.flags)?;
        self.map.populate(map);
        Ok(())
    }

    fn map(&self) -> Result<&DeviceMap> {
        self.map.as_ref().ok_or(EINVAL)
    }

    fn probes(&self) -> Result<&Probes> {
        if self.probes.as_ref().is_none() {
            // Another thread may be as far; its probes will do.
            self.probes.populate(Probes::new()?);
        }
        self.probes.as_ref().map(|probes| &**probes).ok_or(EAGAIN)
    }

    /// The handle of another descriptor of this device.
    fn of_fd(own: &File, fd: i32) -> Result<Peer<Pin<KBox<Handle>>>> {
        // SAFETY: This is called in commands, which are ioctls, and all open files of the device
        // have a `<Handle as MiscDevice>::Ptr`.
        unsafe { Peer::open(own, fd) }
    }
}

/// Asked before memory is allocated here: in the test flavour that can fail.
fn memory() -> Result {
    if fault::alloc(Site::DeviceAlloc) {
        return Err(ENOMEM);
    }
    Ok(())
}

/// A command's argument in user space.
struct Arg {
    ptr: UserPtr,
    size: usize,
}

impl Arg {
    /// Reads the argument of a command that passes one in.
    fn read<T: FromBytes>(&self) -> Result<T> {
        UserSlice::new(self.ptr, self.size).reader().read()
    }

    /// Reads the argument of a command that passes one in and out. It is written back as it is: a
    /// command whose outputs cannot be written fails before it takes effect.
    fn read_for_update<T: FromBytes + AsBytes>(&self) -> Result<T> {
        let value = self.read()?;
        self.write(&value)?;
        Ok(value)
    }

    fn write<T: AsBytes>(&self, value: &T) -> Result {
        UserSlice::new(self.ptr, self.size).writer().write(value)
    }

    /// Writes as much of a result as the caller knows of.
    fn write_part<T: AsBytes>(&self, value: &T) -> Result {
        let bytes = value.as_bytes().get(..self.size).ok_or(EINVAL)?;
        UserSlice::new(self.ptr, self.size)
            .writer()
            .write_slice(bytes)
    }
}

/// What `owner` names. Fails with `EOPNOTSUPP` if it is of a kind that cannot be an owner here.
fn resolve(owner: &ostor_owner) -> Result<AnyOwner> {
    let unused = match owner.by {
        uapi::OSTOR_BY_SELF => owner.fd != 0 || owner.id != 0,
        uapi::OSTOR_BY_CGROUP_ID => owner.fd != 0,
        _ => owner.id != 0,
    };
    if unused {
        return Err(EINVAL);
    }
    let found = match owner.by {
        uapi::OSTOR_BY_SELF => AnyOwner::Task(caller::current()),
        uapi::OSTOR_BY_PIDFD => AnyOwner::Task(caller::task_of_pidfd(owner.fd)?),
        uapi::OSTOR_BY_CGROUP_FD => AnyOwner::Cgroup(Cgroup::of_fd(owner.fd)?),
        uapi::OSTOR_BY_CGROUP_ID => AnyOwner::Cgroup(Cgroup::of_id(owner.id)?),
        uapi::OSTOR_BY_SOCKET => AnyOwner::Socket(Socket::of_fd(owner.fd)?),
        uapi::OSTOR_BY_NETNS => AnyOwner::NetNs(NetNs::of_fd(owner.fd)?),
        _ => return Err(EINVAL),
    };
    kinds::check_served(found.ops())?;
    Ok(found)
}

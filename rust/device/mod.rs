// SPDX-License-Identifier: GPL-2.0

//! `/dev/owner_storage`. What each command does is said in `include/uapi/linux/owner_storage.h`.

mod bench;
mod elem;
mod info;
mod list;
mod recurse;

use crate::{
    owner::caller::{
        self,
        Peer, //
    },
    storage::map::ByteMap,
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
    prelude::*,
    sync::{
        aref::ARef,
        SetOnce, //
    },
    task::Task,
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
pub(crate) struct Handle {
    map: SetOnce<ByteMap>,
}

#[vtable]
impl MiscDevice for Handle {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        if !caller::is_admin() {
            return Err(EPERM);
        }
        let handle = Self {
            map: SetOnce::new(),
        };
        Ok(KBox::new(handle, GFP_KERNEL)?)
    }

    fn ioctl(handle: &Self, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = Arg {
            ptr: UserPtr::from_addr(arg),
            size: _IOC_SIZE(cmd),
        };
        match cmd {
            uapi::MAP_CREATE => handle.create(&arg),
            uapi::MAP_INFO => info::map(handle.map()?, &arg),
            uapi::STATS => info::stats(&arg),
            uapi::LOOKUP => elem::lookup(handle.map()?, &arg),
            uapi::GET_OR_CREATE => elem::get_or_create(handle.map()?, &arg),
            uapi::UPDATE => elem::update(handle.map()?, &arg),
            uapi::DELETE => elem::delete(handle.map()?, &arg),
            uapi::TAKE => elem::take(handle.map()?, &arg),
            uapi::LIST => list::list(handle.map()?, &arg),
            uapi::RECURSE => recurse::recurse(handle.map()?, file, &arg),
            uapi::BENCH => bench::bench(handle.map()?, &arg),
            _ => return Err(ENOTTY),
        }?;
        Ok(0)
    }
}

impl Handle {
    fn create(&self, arg: &Arg) -> Result {
        let req: ostor_map_create = arg.read()?;
        if req.flags != 0 || req.reserved != [0; 3] {
            return Err(EINVAL);
        }
        if self.map.as_ref().is_some() {
            return Err(EBUSY);
        }
        let map = ByteMap::new(usize::try_from(req.value_size)?)?;
        if self.map.populate(map) {
            Ok(())
        } else {
            Err(EBUSY)
        }
    }

    fn map(&self) -> Result<&ByteMap> {
        self.map.as_ref().ok_or(EINVAL)
    }

    /// The handle of another descriptor of this device.
    fn of_fd(own: &File, fd: i32) -> Result<Peer<KBox<Handle>>> {
        // SAFETY: All open files of the device have a `<Handle as MiscDevice>::Ptr`.
        unsafe { Peer::open(own, fd) }
    }
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

    /// Reads the argument of a command that passes one in and out. It is written back as it is, so
    /// that a command cannot take effect and then fail to say so.
    fn read_for_update<T: FromBytes + AsBytes>(&self) -> Result<T> {
        let value = self.read()?;
        self.write(&value)?;
        Ok(value)
    }

    fn write<T: AsBytes>(&self, value: &T) -> Result {
        UserSlice::new(self.ptr, self.size).writer().write(value)
    }
}

/// The task that `owner` names.
fn resolve(owner: &ostor_owner) -> Result<ARef<Task>> {
    if owner.id != 0 {
        return Err(EINVAL);
    }
    match owner.by {
        uapi::OSTOR_BY_SELF if owner.fd == 0 => Ok(caller::current()),
        uapi::OSTOR_BY_PIDFD => caller::task_of_pidfd(owner.fd),
        _ => Err(EINVAL),
    }
}

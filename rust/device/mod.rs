// SPDX-License-Identifier: GPL-2.0

//! `/dev/owner_storage`. What each command does is said in `include/uapi/linux/owner_storage.h`.

mod arg;
pub(crate) mod bpf;
mod elem;
mod entries;
mod fd;
mod info;
mod list;
mod list_owner;
mod map;
pub(crate) mod maps;

pub use self::fd::{
    is_admin,
    owner,
    MapFile, //
};
pub use crate::uapi::ostor_owner;

use self::{
    arg::Arg,
    bpf::{
        Borrowed,
        Left, //
    },
    elem::Op,
    map::{
        DeviceMap,
        Name, //
    }, //
};
use crate::{
    owner::{
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
        task, //
    },
    storage::owner::Owner,
    sync::{
        fault::{
            self,
            Site, //
        },
        task_work, //
    },
    uapi::{
        self,
        ostor_map_create, //
    }, //
};
use kernel::{
    fs::File,
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex,
        SetOnce,
        UniqueArc, //
    }, //
};

/// An open file: a map, once it was told so.
#[pin_data]
pub(crate) struct Handle {
    /// Held by the creator of the map: one that was created and not kept would use up a number.
    #[pin]
    creation: Mutex<()>,
    // Dropped last. Unloading waits for maps, not for open files whose release is postponed: what
    // the closing task does after the end of its map must not sleep.
    map: SetOnce<Arc<DeviceMap>>,
}

#[vtable]
impl MiscDevice for Handle {
    type Ptr = Pin<KBox<Self>>;

    fn open(file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        if !is_admin() {
            return Err(EPERM);
        }
        memory()?;
        fd::note_open(file);
        let handle = pin_init!(Self {
            map: SetOnce::new(),
            creation <- new_mutex!(()),
        });
        KBox::pin_init(handle, GFP_KERNEL)
    }

    /// The map ends here, and is waited for when the task has closed all that it closes now: so
    /// many maps cost no more grace periods than one. If BPF programs refer to the map, it ends
    /// with the last of these references.
    fn release(handle: Pin<KBox<Self>>, _file: &File) {
        let Some(map) = handle.map.as_ref() else {
            return;
        };
        let left = map.shared.put();
        if left == Left::References {
            return;
        }
        drop(maps::remove(map.raw().id()));
        match left {
            Left::Borrowers => task_work::drop_on_return(Borrowed::new(handle)),
            _ => handle.end(),
        }
    }

    fn ioctl(handle: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = Arg::new(cmd, arg);
        match cmd {
            uapi::MAP_CREATE => handle.create(&arg),
            uapi::MAP_INFO => info::map(&handle, &arg),
            uapi::STATS | uapi::SHORT_STATS => info::stats(&arg),
            uapi::LOOKUP => elem::run(Op::Lookup, &handle, &arg),
            uapi::GET_OR_CREATE => elem::run(Op::GetOrCreate, &handle, &arg),
            uapi::UPDATE => elem::run(Op::Update, &handle, &arg),
            uapi::DELETE => elem::run(Op::Delete, &handle, &arg),
            uapi::TAKE => elem::run(Op::Take, &handle, &arg),
            uapi::LIST => list::list(&handle, &arg),
            uapi::LIST_OWNER => list_owner::list(&arg),
            uapi::MAP_LIST => maps::list(&arg),
            _ => return Err(ENOTTY),
        }?;
        Ok(0)
    }
}

impl Handle {
    fn create(&self, arg: &Arg) -> Result {
        let mut req = ostor_map_create::default();
        arg.read(&mut req)?;
        if req.flags & !map::FLAGS != 0 || req.reserved != 0 {
            return Err(EINVAL);
        }
        if req.flags & uapi::OSTOR_MAP_CLONE != 0 {
            socket::check_clones()?;
        }
        let name = Name::of_map(req.name)?;
        let place = maps::Place::new()?;
        let _creation = self.creation.lock();
        if self.map.as_ref().is_some() {
            return Err(EBUSY);
        }
        let memory = UniqueArc::new_uninit(GFP_KERNEL)?;
        // The last that can fail, within which the map gets its number when nothing else can.
        let map = DeviceMap::new(usize::try_from(req.value_size)?, req.flags, name)?;
        let map = Arc::from(memory.write(map));
        self.map.populate(map.clone());
        place.list(map);
        Ok(())
    }

    /// Begins the end of the map, which no program uses, and waits for it as [`Handle::release`]
    /// tells. May sleep.
    fn end(self: Pin<KBox<Self>>) {
        if let Some(map) = self.map.as_ref() {
            map.raw().begin_end();
        }
        task_work::drop_on_return(self);
    }

    fn map(&self) -> Result<&DeviceMap> {
        Ok(self.map.as_ref().ok_or(EINVAL)?)
    }
}

/// Asked before memory is allocated here: in the test flavour that can fail.
fn memory() -> Result {
    if fault::alloc(Site::DeviceAlloc) {
        return Err(ENOMEM);
    }
    Ok(())
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
        uapi::OSTOR_BY_SELF => AnyOwner::Task(task::current()),
        uapi::OSTOR_BY_PIDFD => AnyOwner::Task(task::of_pidfd(owner.fd)?),
        uapi::OSTOR_BY_CGROUP_FD => AnyOwner::Cgroup(Cgroup::of_fd(owner.fd)?),
        uapi::OSTOR_BY_CGROUP_ID => AnyOwner::Cgroup(Cgroup::of_id(owner.id)?),
        uapi::OSTOR_BY_SOCKET => AnyOwner::Socket(Socket::of_fd(owner.fd)?),
        uapi::OSTOR_BY_NETNS => AnyOwner::NetNs(NetNs::of_fd(owner.fd)?),
        _ => return Err(EINVAL),
    };
    kinds::check_served(found.as_ref().ops())?;
    Ok(found)
}

// SPDX-License-Identifier: GPL-2.0

//! The device's maps as BPF programs use them: the functions behind the kfuncs of
//! `rust/shim/kfuncs.c`.
//!
//! A program finds a map by its number. It *borrows* the map for the rest of its RCU read section,
//! or takes a *reference*, with which the map outlives its file. The verifier sees to it that a
//! program uses no map after that, and no owner that RCU does not keep.

use super::{
    maps,
    Handle, //
};
use crate::{
    api::{
        self,
        Mode,
        Owner, //
    },
    owner::{
        cgroup::Cgroup,
        socket::Socket, //
    },
    shim::{
        self,
        ostor_bpf_map, //
    },
    storage::map::ByteMap,
    sync::{
        compat::ENODATA,
        deferred::{
            DeferredWork,
            WorkFn,
            Workqueue, //
        },
        llist::{
            LList,
            Link,
            Links, //
        },
        rcu::{
            self,
            GracePeriod,
            Guard,
            RcuPtr, //
        },
        Atomic,
        Full,
        Relaxed, //
    }, //
};
use core::{
    mem::offset_of,
    ptr::{
        self,
        NonNull, //
    },
    slice, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    task::Task, //
};

/// A map, in memory that is freed a grace period after the map has ended. C has it as a `struct
/// ostor_bpf_map`.
///
/// # States
///
/// `users` is the number of references, and [`BORROWED`]. The open file has one, each
/// [`__ostor_bpf_map_acquire`] takes one.
///
/// | references | borrowed | meaning                              | changed by, and to            |
/// |------------|----------|--------------------------------------|-------------------------------|
/// | some       | no       | no program has found the map         | a program, to borrowed; the   |
/// |            |          |                                      | close, to none                |
/// | some       | yes      | programs may use it                  | acquire, release, the close   |
/// | none       | no       | no program uses it, or ever will     | no CPU; the closing task ends |
/// |            |          |                                      | the map at once               |
/// | none       | yes      | programs that borrowed it may use it | no CPU; a grace period later  |
/// |            |          | until their read section ends        | the closing task or the ender |
/// |            |          |                                      | ends the map                  |
///
/// Each change is one fully ordered exchange.
///
/// # Invariants
///
/// From [`SharedMap::publish`] to [`SharedMap::unpublish`] the object is a member of its bucket's
/// list.
#[repr(C)]
struct BpfMap {
    shared: ostor_bpf_map,
    users: Atomic<u32>,
    bytes: ByteMap,
    next: RcuPtr<BpfMap>,
    /// The ender's, from when the last reference is released.
    dead: Link,
}

// A pointer to a map is one to what C knows of it.
const _: () = assert!(offset_of!(BpfMap, shared) == 0);

/// The bit of `users` that is set when a program finds the map.
const BORROWED: u32 = 1 << 31;

/// The number of lists. Maps are numbered in a row, so that the lists are equally long.
const BUCKETS: usize = 256;

/// The lists of published maps.
static MAPS: [RcuPtr<BpfMap>; BUCKETS] = [const { RcuPtr::null() }; BUCKETS];

fn bucket(id: u64) -> &'static RcuPtr<BpfMap> {
    &MAPS[id as usize % BUCKETS]
}

impl BpfMap {
    /// Finds a published map. Any context; takes no lock.
    #[inline(always)]
    fn find(id: u64, _rcu: &Guard) -> Option<&BpfMap> {
        let mut next = bucket(id).load();
        // SAFETY: A pointer in a list is that of a published map. Its memory is freed a grace
        // period after it was unpublished.
        while let Some(map) = unsafe { next.as_ref() } {
            if map.shared.id == id {
                return Some(map);
            }
            next = map.next.load();
        }
        None
    }

    /// Notes that a program uses the map, with `references` more. Returns false if none was left.
    #[cold]
    fn enter(&self, references: u32) -> bool {
        let mut users = self.users.load(Relaxed);
        loop {
            // The second is the largest number.
            if users & !BORROWED == 0 || users & !BORROWED == !BORROWED {
                return false;
            }
            match self
                .users
                .cmpxchg(users, (users | BORROWED) + references, Full)
            {
                Ok(_) => return true,
                Err(now) => users = now,
            }
        }
    }

    /// Whether a program may use the map for the rest of its read section.
    #[inline(always)]
    fn borrow(&self) -> bool {
        self.users.load(Relaxed) > BORROWED || self.enter(0)
    }

    /// Puts a reference.
    fn put(&self) -> Left {
        match self.users.fetch_sub(1, Full) {
            1 => Left::Nothing,
            users if users == BORROWED + 1 => Left::Borrowers,
            _ => Left::References,
        }
    }

    /// The map that a program has passed.
    ///
    /// # Safety
    ///
    /// A program must have borrowed the map and stay in its read section, or have a reference.
    #[inline(always)]
    unsafe fn of<'a>(map: *const ostor_bpf_map) -> &'a Self {
        // SAFETY: The pointer comes from `as_ptr`. The map is valid, by the contract.
        unsafe { &*map.cast() }
    }

    #[inline(always)]
    fn bytes(&self) -> &api::ByteMap {
        api::ByteMap::of(&self.bytes)
    }

    fn as_ptr(&self) -> *mut ostor_bpf_map {
        ptr::from_ref(self).cast_mut().cast()
    }
}

/// What keeps a map when a reference to it was put.
#[derive(PartialEq, Eq)]
pub(super) enum Left {
    /// References.
    References,
    /// Programs that may use it until a grace period has passed.
    Borrowers,
    /// Nothing: no program uses it.
    Nothing,
}

/// The map that a [`DeviceMap`](super::map::DeviceMap) has. It ends when this is dropped; its
/// memory stays for readers that come by it. The drop may sleep.
///
/// # Invariants
///
/// The pointer is that of a boxed `BpfMap`, which this object owns.
pub(crate) struct SharedMap(NonNull<BpfMap>);

// SAFETY: A `ByteMap` may be used and dropped on any thread, and the rest is atomic, or changed
// under a lock.
unsafe impl Send for SharedMap {}
// SAFETY: As above.
unsafe impl Sync for SharedMap {}

impl SharedMap {
    /// The map that `new` makes, with the file's reference. `new` is called when nothing else can
    /// fail. May sleep.
    pub(crate) fn new(new: impl FnOnce() -> Result<ByteMap>) -> Result<Self> {
        let memory = KBox::new_uninit(GFP_KERNEL)?;
        let bytes = new()?;
        let map = KBox::write(
            memory,
            BpfMap {
                shared: ostor_bpf_map {
                    id: bytes.raw().id(),
                },
                users: Atomic::new(1),
                bytes,
                next: RcuPtr::null(),
                dead: Link::new(),
            },
        );
        // INVARIANT: Boxed above.
        Ok(Self(NonNull::from(KBox::leak(map))))
    }

    fn get(&self) -> &BpfMap {
        // SAFETY: The object is valid, by the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// The map itself.
    pub(super) fn bytes(&self) -> &ByteMap {
        &self.get().bytes
    }

    /// Puts the file's reference.
    pub(super) fn put(&self) -> Left {
        self.get().put()
    }

    /// Lets programs find the map.
    ///
    /// # Safety
    ///
    /// The caller must hold the lock that serialises all calls of this and of
    /// [`SharedMap::unpublish`], and call this once for a map.
    pub(super) unsafe fn publish(&self) {
        let map = self.get();
        let list = bucket(map.shared.id);
        map.next.set(list.load());
        list.assign(self.0.as_ptr());
    }

    /// Lets programs find the map no more. Those that come by it can go on to the next.
    ///
    /// # Safety
    ///
    /// As for [`SharedMap::publish`], after which this must be called once.
    pub(super) unsafe fn unpublish(&self) {
        let map = self.get();
        let mut link = bucket(map.shared.id);
        loop {
            // SAFETY: The map is a member of this list, so no pointer before it is null. No other
            // member leaves the list meanwhile, by the contract.
            let Some(member) = (unsafe { link.load().as_ref() }) else {
                return;
            };
            if ptr::eq(member, map) {
                return link.assign(map.next.load());
            }
            link = &member.next;
        }
    }
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        // SAFETY: The object is valid, by the type invariant. The field is not used again: readers
        // that come by the object see no reference, and those that had borrowed the map are gone.
        let bytes = unsafe { (&raw const (*self.0.as_ptr()).bytes).read() };
        // This may sleep, as a task must not do in this module once the map has ended.
        //
        // SAFETY: The object is boxed, by the type invariant. Nothing else in it needs a drop.
        unsafe { rcu::kfree_rcu(self.0) };
        drop(bytes);
    }
}

/// A closed file whose map programs may have borrowed. The drop waits until they use it no more,
/// and ends the map then. May sleep.
pub(super) struct Borrowed {
    /// [`None`] only in the drop.
    handle: Option<Pin<KBox<Handle>>>,
    /// The grace period that has begun.
    grace: GracePeriod,
}

impl Borrowed {
    /// Begins to wait. May sleep.
    pub(super) fn new(handle: Pin<KBox<Handle>>) -> Self {
        Self {
            handle: Some(handle),
            grace: GracePeriod::begin(),
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.grace.wait();
        if let Some(handle) = self.handle.take() {
            handle.end();
        }
    }
}

/// Ends, in a kworker, maps whose last reference a program has released.
struct Ender {
    dead: LList,
}

/// The running ender, or null. Set while [`Programs`] exists.
static ENDER: Atomic<*mut DeferredWork<Ender>> = Atomic::new(ptr::null_mut());

impl Ender {
    /// May sleep.
    fn end_all(&self) {
        // SAFETY: An FFI call with no requirement but that it may sleep.
        unsafe { shim::ostor_bpf_put_late_socks() };
        let dead = self.dead.take();
        if dead.is_empty() {
            return;
        }
        // Programs may have borrowed the maps.
        rcu::synchronize_rcu();
        Self::begin_end(&dead);
        for link in dead {
            // SAFETY: As in `begin_end`. The link is not used again.
            drop(maps::remove(unsafe { Self::map(link) }.shared.id));
        }
    }

    /// Begins the ends of all, so that they cost one grace period together.
    fn begin_end(dead: &Links) {
        for link in dead.iter() {
            // SAFETY: The link is that of a map that is still listed.
            unsafe { Self::map(link) }.bytes.raw().begin_end();
        }
    }

    /// # Safety
    ///
    /// `link` must be the field `dead` of a map that is valid.
    unsafe fn map<'a>(link: NonNull<Link>) -> &'a BpfMap {
        // SAFETY: By the contract.
        unsafe { &*kernel::container_of!(link.as_ptr(), BpfMap, dead) }
    }

    /// The running one. For a program, or a BPF map with a reference, which hold the module.
    fn running() -> Option<&'static DeferredWork<Self>> {
        // SAFETY: `Programs` exists, and with it the ender, as long as a caller holds the module.
        unsafe { ENDER.load(Relaxed).as_ref() }
    }
}

impl WorkFn for Ender {
    fn run(work: &DeferredWork<Self>) {
        work.end_all();
    }

    fn is_urgent(&self) -> bool {
        false
    }
}

impl Drop for Ender {
    /// Ends what a last program has left, and the cancelled work did not.
    fn drop(&mut self) {
        self.end_all();
    }
}

/// The use of maps by BPF programs. When this is dropped, none is loaded any more. The drop waits
/// for the ends of maps, and may sleep.
pub(crate) struct Programs {
    // Dropped in this order.
    _ender: Pin<KBox<DeferredWork<Ender>>>,
    _queue: Workqueue,
}

impl Drop for Programs {
    fn drop(&mut self) {
        ENDER.store(ptr::null_mut(), Relaxed);
    }
}

/// Whether programs can use the maps.
static USABLE: Atomic<bool> = Atomic::new(false);

impl Programs {
    /// Lets programs use the maps, if the kernel can let them. May sleep. At most one exists.
    pub(crate) fn start() -> Result<Self> {
        let queue = Workqueue::new()?;
        let func = Ender { dead: LList::new() };
        let ender = KBox::pin_init(DeferredWork::new(&queue, func), GFP_KERNEL)?;
        ENDER.store(ptr::from_ref(&*ender).cast_mut(), Relaxed);
        // SAFETY: An FFI call with no requirement while the module is initialised.
        match to_result(unsafe { shim::ostor_bpf_register() }) {
            Ok(()) => USABLE.store(true, Relaxed),
            Err(err) if err == ENODATA => {
                pr_notice!("BPF programs cannot use the maps: no BTF of this module\n");
            }
            Err(err) => pr_warn!("BPF programs cannot use the maps ({err:?})\n"),
        }
        Ok(Self {
            _ender: ender,
            _queue: queue,
        })
    }
}

/// Whether programs can use the maps.
pub(super) fn is_usable() -> bool {
    USABLE.load(Relaxed)
}

/// # Safety
///
/// To be called by `kfuncs.c`, for a program.
#[no_mangle]
unsafe extern "C" fn __ostor_bpf_queue_ends() {
    if let Some(ender) = Ender::running() {
        ender.queue();
    }
}

/// # Safety
///
/// To be called by the kfunc, in an RCU read section.
#[no_mangle]
unsafe extern "C" fn __ostor_bpf_map_borrow(id: u64) -> *mut ostor_bpf_map {
    // SAFETY: By the contract.
    let rcu = unsafe { rcu::assume_read_locked() };
    match BpfMap::find(id, rcu) {
        Some(map) if map.borrow() => map.as_ptr(),
        _ => ptr::null_mut(),
    }
}

/// # Safety
///
/// To be called by the kfunc.
#[no_mangle]
unsafe extern "C" fn __ostor_bpf_map_acquire(id: u64) -> *mut ostor_bpf_map {
    let rcu = rcu::read_lock();
    match BpfMap::find(id, &rcu) {
        Some(map) if map.enter(1) => map.as_ptr(),
        _ => ptr::null_mut(),
    }
}

/// # Safety
///
/// To be called by the kfunc, with a reference, which is given up.
#[no_mangle]
unsafe extern "C" fn __ostor_bpf_map_release(map: *mut ostor_bpf_map) {
    // SAFETY: By the contract.
    let map = unsafe { BpfMap::of(map) };
    if map.put() == Left::References {
        return;
    }
    if let Some(ender) = Ender::running() {
        // SAFETY: The map is listed, and so valid, until the ender has taken it. There is no
        // reference any more, so it is pushed once.
        unsafe { ender.dead.push(NonNull::from(&map.dead)) };
        ender.queue();
    }
}

/// The bytes at `value`, if there are as many as a value of the map has.
///
/// # Safety
///
/// There must be `size` bytes. They are the program's: where it lets another CPU write to them
/// meanwhile, as it can to a value of a BPF map, any mixture is copied, as by BPF's own helpers.
#[inline(always)]
unsafe fn bytes_at<'a>(map: &BpfMap, value: *mut c_void, size: u32) -> Result<&'a mut [u8]> {
    if size as usize != map.bytes().value_size() {
        return Err(EINVAL);
    }
    // SAFETY: By the contract.
    Ok(unsafe { slice::from_raw_parts_mut(value.cast(), size as usize) })
}

/// Copies a stored value. Most are a number or a pointer, which need no call of `memcpy()`.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    if let (Ok(to), Ok(from)) = (
        <&mut [u8; 8]>::try_from(&mut *to),
        <&[u8; 8]>::try_from(from),
    ) {
        *to = *from;
        return;
    }
    to.copy_from_slice(from);
}

#[inline(always)]
fn errno(result: Result<c_int>) -> c_int {
    result.unwrap_or_else(Error::to_errno)
}

fn get_or_create(map: &BpfMap, owner: &impl Owner, value: &mut [u8], rcu: &Guard) -> Result<c_int> {
    let stored = map.bytes().put(owner, Mode::Get, value, rcu)?;
    if !stored.created {
        copy(value, stored.value);
    }
    Ok(stored.created.into())
}

fn update(
    map: &BpfMap,
    owner: &impl Owner,
    value: &[u8],
    flags: u64,
    rcu: &Guard,
) -> Result<c_int> {
    let mode = api::update_mode(flags.try_into()?)?;
    map.bytes().put(owner, mode, value, rcu)?;
    Ok(0)
}

/// The five functions of a kind of owners, and a check of their declarations in C.
macro_rules! kfuncs {
    ($kind:ident: $owner:ty = $object:ty) => {
        kernel::macros::paste! {
            kfuncs! {
                $owner = $object: [<__ostor_bpf_ $kind _get>], [<__ostor_bpf_ $kind _peek>],
                [<__ostor_bpf_ $kind _get_or_create>], [<__ostor_bpf_ $kind _update>],
                [<__ostor_bpf_ $kind _delete>]
            }
        }
    };
    (
        $owner:ty = $object:ty:
        $get:ident, $peek:ident, $get_or_create:ident, $update:ident, $delete:ident
    ) => {
        /// # Safety
        ///
        /// To be called by the kfunc, with what the verifier has let a program pass, in its RCU
        /// read section.
        #[no_mangle]
        unsafe extern "C" fn $get(
            map: *mut ostor_bpf_map,
            owner: *mut $object,
            value: *mut c_void,
            size: u32,
        ) -> c_int {
            // SAFETY: By the contract.
            let (map, owner, rcu) = unsafe { arguments::<$owner>(map, owner.cast()) };
            // SAFETY: By the contract.
            errno(unsafe { bytes_at(map, value, size) }.and_then(|to| {
                copy(to, map.bytes().get(owner, rcu).ok_or(ENOENT)?);
                Ok(0)
            }))
        }

        /// # Safety
        ///
        /// As for the first.
        #[no_mangle]
        unsafe extern "C" fn $peek(
            map: *mut ostor_bpf_map,
            owner: *mut $object,
            size: u32,
        ) -> *const u8 {
            // SAFETY: By the contract.
            let (map, owner, rcu) = unsafe { arguments::<$owner>(map, owner.cast()) };
            match map.bytes().get(owner, rcu) {
                Some(value) if size as usize <= value.len() => value.as_ptr(),
                _ => ptr::null(),
            }
        }

        /// # Safety
        ///
        /// As for the first.
        #[no_mangle]
        unsafe extern "C" fn $get_or_create(
            map: *mut ostor_bpf_map,
            owner: *mut $object,
            value: *mut c_void,
            size: u32,
        ) -> c_int {
            // SAFETY: By the contract.
            let (map, owner, rcu) = unsafe { arguments::<$owner>(map, owner.cast()) };
            // SAFETY: By the contract.
            let value = unsafe { bytes_at(map, value, size) };
            errno(value.and_then(|value| get_or_create(map, owner, value, rcu)))
        }

        /// # Safety
        ///
        /// As for the first.
        #[no_mangle]
        unsafe extern "C" fn $update(
            map: *mut ostor_bpf_map,
            owner: *mut $object,
            value: *mut c_void,
            size: u32,
            flags: u64,
        ) -> c_int {
            // SAFETY: By the contract.
            let (map, owner, rcu) = unsafe { arguments::<$owner>(map, owner.cast()) };
            // SAFETY: By the contract.
            let value = unsafe { bytes_at(map, value, size) };
            errno(value.and_then(|value| update(map, owner, value, flags, rcu)))
        }

        /// # Safety
        ///
        /// As for the first.
        #[no_mangle]
        unsafe extern "C" fn $delete(map: *mut ostor_bpf_map, owner: *mut $object) -> c_int {
            // SAFETY: By the contract.
            let (map, owner, rcu) = unsafe { arguments::<$owner>(map, owner.cast()) };
            match map.bytes().delete(owner, rcu) {
                Ok(_) => 0,
                Err(refusal) => Error::from(refusal).to_errno(),
            }
        }

        const _: () = {
            let _ = [shim::$get, $get];
            let _ = [shim::$peek, $peek];
            let _ = [shim::$get_or_create, $get_or_create];
            let _ = [shim::$update, $update];
            let _ = [shim::$delete, $delete];
        };
    };
}

/// What a program has passed, and the read section that it is in.
///
/// # Safety
///
/// As for [`BpfMap::of`]. `object` must be valid under RCU, and be all that an `O` consists of. No
/// reference to it may be taken. The caller must be in an RCU read section until it uses the
/// results no more.
#[inline(always)]
unsafe fn arguments<'a, O>(
    map: *mut ostor_bpf_map,
    object: *mut c_void,
) -> (&'a BpfMap, &'a O, &'a Guard) {
    // SAFETY: By the contract.
    unsafe { (BpfMap::of(map), &*object.cast(), rcu::assume_read_locked()) }
}

kfuncs!(task: Task = bindings::task_struct);
kfuncs!(cgroup: Cgroup = bindings::cgroup);
// The kfuncs that create hold a reference, which is the gate of sockets.
kfuncs!(sock: Socket = bindings::sock);

const _: () = {
    let _ = [shim::__ostor_bpf_queue_ends, __ostor_bpf_queue_ends];
    let _ = [shim::__ostor_bpf_map_borrow, __ostor_bpf_map_borrow];
    let _ = [shim::__ostor_bpf_map_acquire, __ostor_bpf_map_acquire];
    let _ = [shim::__ostor_bpf_map_release, __ostor_bpf_map_release];
};

// SPDX-License-Identifier: GPL-2.0

//! Maps as modules in C have them: the functions of `include/linux/owner_storage.h`, which says
//! what each does.
//!
//! A `struct ostor_map` is a [`RawMap`], a `struct ostor_slot` an [`OwnerSlot`], and a `struct
//! ostor_reserve` a [`Reserve`]. The compiler compares the type of each function with that of its
//! prototype in the header, which bindgen reads. C code that makes an indirect call finds the types
//! in the kernel's control-flow integrity, too: the types of the header are opaque structures with
//! the ABI of C here.
//!
//! The caller of a function that finds or stores a value is in an RCU read section, which is the
//! function's guard. No function enters another one: `nolock::holds_no_lock()` counts sections, and
//! would take a second one for a lock.

use super::{
    map,
    modules, //
};
use crate::{
    owner::{
        cgroup::Cgroup,
        netns::NetNs,
        owner_ref::{
            put as put_any,
            put_from,
            Init,
            OwnerRef,
            Put, //
        },
        slot::OwnerSlot,
        socket::{
            self,
            Socket, //
        }, //
    },
    storage::{
        create::Mode,
        element::Element,
        error::Refusal,
        map::{
            copy_value,
            OwnedMap, //
        },
        owner::Owner,
        raw_map::{
            RawMap,
            Values, //
        },
        reserve::Reserve, //
    },
    sync::rcu, //
};
use core::{
    ops::ControlFlow,
    ptr::{
        self,
        NonNull, //
    }, //
};
use header::{
    ostor_map,
    ostor_reserve,
    ostor_slot,
    owner_storage_copy_t,
    owner_storage_drop_t,
    owner_storage_init_t,
    owner_storage_visit_t, //
};
use kernel::{
    bindings,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    sync::rcu::Guard,
    task::Task, //
};

/// The header, as bindgen reads it.
#[allow(clippy::all, missing_docs, unreachable_pub, dead_code)]
#[allow(
    clippy::undocumented_unsafe_blocks,
    non_camel_case_types,
    improper_ctypes
)]
mod header {
    use kernel::{
        bindings::{
            cgroup,
            module,
            net,
            sock,
            task_struct, //
        },
        ffi, //
    };

    include!(concat!(env!("OSTOR_GENERATED"), "/c_api_generated.rs"));
}

/// Fails to compile if one of the functions differs in type from its prototype in the header.
macro_rules! as_in_header {
    ($($name:ident),* $(,)?) => {
        $(const _: () = {
            if true {
                header::$name
            } else {
                $name
            };
        };)*
    };
}

/// The map at `map`.
///
/// # Safety
///
/// `map` must come from [`create`], and must not be ended as long as the result lives.
#[inline(always)]
unsafe fn raw<'a>(map: *mut ostor_map) -> &'a RawMap {
    // SAFETY: `create` returns the address of a `RawMap`, which is valid until it is ended.
    unsafe { &*map.cast() }
}

/// The guard of the RCU read section that the caller is in.
///
/// # Safety
///
/// The caller must be in an RCU read section as long as the result lives.
#[inline(always)]
unsafe fn section<'a>() -> &'a Guard {
    #[cfg(CONFIG_PROVE_RCU)]
    {
        // SAFETY: An FFI call with no requirement.
        kernel::warn_on!(unsafe { bindings::rcu_read_lock_held() } == 0);
    }
    // SAFETY: By the safety requirements.
    unsafe { rcu::assume_read_locked() }
}

/// The address of a value, as C has it. Null if there is none.
#[inline(always)]
fn value_or_null(value: Option<NonNull<u8>>) -> *mut c_void {
    value.map_or(ptr::null_mut(), |value| value.as_ptr().cast())
}

/// The address of the element's value. Null if there is none.
#[inline(always)]
fn value_of(elem: Option<&Element>) -> *mut c_void {
    value_or_null(elem.map(Element::value))
}

/// Has `put` store a value that `init` writes.
///
/// # Safety
///
/// `map` must come from [`create`] and stay, and the caller must be in an RCU read section as long
/// as the result is used. `init` must be callable in this context with `arg` and a zeroed value.
#[inline(always)]
unsafe fn put_by<'a>(
    map: *mut ostor_map,
    init: owner_storage_init_t,
    arg: *mut c_void,
    put: impl FnOnce(&'a RawMap, &mut Init<'_>, &'a Guard) -> Result<Put<'a>, Refusal>,
) -> Result<&'a Element, Refusal> {
    // SAFETY: By the safety requirements.
    let (map, rcu) = unsafe { (raw(map), section()) };
    let mut write = |value: NonNull<u8>| {
        // SAFETY: `put` calls this with memory for a value.
        unsafe { value.write_bytes(0, map.value_size()) };
        if let Some(init) = init {
            // SAFETY: By the safety requirements.
            unsafe { init(value.as_ptr().cast(), arg) };
        }
    };
    Ok(put(map, &mut Init::Call(&mut write), rcu)?.elem)
}

/// Stores a value that `init` writes, by `mode`.
///
/// # Safety
///
/// As [`put_by`].
unsafe fn put<'a>(
    map: *mut ostor_map,
    owner: OwnerRef<'_>,
    mode: Mode,
    init: owner_storage_init_t,
    arg: *mut c_void,
) -> Result<&'a Element, Refusal> {
    // SAFETY: By the safety requirements. `put_by` initialises all bytes, and only C code knows the
    // type of values.
    unsafe {
        put_by(map, init, arg, |map, init, rcu| {
            put_any(map, &owner, mode, init, rcu)
        })
    }
}

/// The address of the value that was found or stored, or an `ERR_PTR`.
#[inline(always)]
fn value_or_error(stored: Result<&Element, Refusal>) -> *mut c_void {
    match stored {
        Ok(elem) => value_of(Some(elem)),
        Err(refusal) => Error::from(refusal).to_ptr(),
    }
}

/// As [`put`] with [`Mode::Get`]. Returns the value or an `ERR_PTR`. Compiled once for all kinds.
///
/// # Safety
///
/// As [`put`].
#[inline(never)]
unsafe fn get_or_create(
    map: *mut ostor_map,
    owner: OwnerRef<'_>,
    init: owner_storage_init_t,
    arg: *mut c_void,
) -> *mut c_void {
    // SAFETY: By the safety requirements.
    value_or_error(unsafe { put(map, owner, Mode::Get, init, arg) })
}

/// As [`get_or_create`], with memory of `reserve`.
///
/// # Safety
///
/// As [`put`]. `reserve` must come from `owner_storage_reserve_create()`, and must be the caller's
/// alone during the call.
#[inline(never)]
unsafe fn get_or_create_from(
    map: *mut ostor_map,
    owner: OwnerRef<'_>,
    reserve: *mut ostor_reserve,
    init: owner_storage_init_t,
    arg: *mut c_void,
) -> *mut c_void {
    // SAFETY: By the safety requirements.
    let reserve = unsafe { &*reserve.cast::<Reserve>() };
    // SAFETY: As in `put`.
    value_or_error(unsafe {
        put_by(map, init, arg, |map, init, rcu| {
            put_from(map, reserve, &owner, init, rcu)
        })
    })
}

/// As [`put`] by the flags of an update. Returns 0 or a negative errno value. Compiled once for all
/// kinds.
///
/// # Safety
///
/// As [`put`].
#[inline(never)]
unsafe fn update(
    map: *mut ostor_map,
    owner: OwnerRef<'_>,
    flags: c_uint,
    init: owner_storage_init_t,
    arg: *mut c_void,
) -> c_int {
    let mode = match super::update_mode(flags) {
        Ok(mode) => mode,
        Err(err) => return err.to_errno(),
    };
    // SAFETY: By the safety requirements.
    match unsafe { put(map, owner, mode, init, arg) } {
        Ok(_) => 0,
        Err(refusal) => Error::from(refusal).to_errno(),
    }
}

/// The functions for one kind of owners.
macro_rules! owner {
    (
        $object:ty, |$it:ident| $as_owner:expr,
        $get:ident, $get_or_create:ident, $get_or_create_from:ident, $update:ident, $delete:ident
    ) => {
        as_in_header!($get, $get_or_create, $get_or_create_from, $update, $delete);

        /// # Safety
        ///
        /// See the header. The owner must be valid.
        #[no_mangle]
        unsafe extern "C" fn $get(map: *mut ostor_map, $it: *mut $object) -> *mut c_void {
            // SAFETY: The contract of the header.
            let (map, owner, rcu) = unsafe { (raw(map), $as_owner, section()) };
            value_or_null(map.value_through(|| owner.id(), owner.hints(), rcu))
        }

        /// # Safety
        ///
        /// See the header. The owner must be valid.
        #[no_mangle]
        unsafe extern "C" fn $get_or_create(
            map: *mut ostor_map,
            $it: *mut $object,
            init: owner_storage_init_t,
            arg: *mut c_void,
        ) -> *mut c_void {
            // The common case needs neither a branch on the kind nor a closure.
            //
            // SAFETY: The contract of the header.
            let value = unsafe { $get(map, $it) };
            if !value.is_null() {
                return value;
            }
            // SAFETY: The contract of the header.
            unsafe { get_or_create(map, OwnerRef::new($as_owner), init, arg) }
        }

        /// # Safety
        ///
        /// See the header. The owner must be valid, and no other thread may use the reserve.
        #[no_mangle]
        unsafe extern "C" fn $get_or_create_from(
            map: *mut ostor_map,
            $it: *mut $object,
            reserve: *mut ostor_reserve,
            init: owner_storage_init_t,
            arg: *mut c_void,
        ) -> *mut c_void {
            // SAFETY: The contract of the header.
            unsafe { get_or_create_from(map, OwnerRef::new($as_owner), reserve, init, arg) }
        }

        /// # Safety
        ///
        /// See the header. The owner must be valid.
        #[no_mangle]
        unsafe extern "C" fn $update(
            map: *mut ostor_map,
            $it: *mut $object,
            flags: c_uint,
            init: owner_storage_init_t,
            arg: *mut c_void,
        ) -> c_int {
            // SAFETY: The contract of the header.
            unsafe { update(map, OwnerRef::new($as_owner), flags, init, arg) }
        }

        /// # Safety
        ///
        /// See the header. The owner must be valid.
        #[no_mangle]
        unsafe extern "C" fn $delete(map: *mut ostor_map, $it: *mut $object) -> *mut c_void {
            // SAFETY: The contract of the header.
            let (map, owner, rcu) = unsafe { (raw(map), $as_owner, section()) };
            value_of(map.delete(owner.id(), rcu))
        }
    };
}

owner! {
    bindings::task_struct, |task| &*task.cast::<Task>(),
    owner_storage_task_get, owner_storage_task_get_or_create,
    owner_storage_task_get_or_create_from, owner_storage_task_update, owner_storage_task_delete
}

owner! {
    bindings::cgroup, |cgroup| Cgroup::from_raw(cgroup),
    owner_storage_cgroup_get, owner_storage_cgroup_get_or_create,
    owner_storage_cgroup_get_or_create_from, owner_storage_cgroup_update, owner_storage_cgroup_delete
}

owner! {
    bindings::sock, |sk| Socket::from_raw(sk),
    owner_storage_sock_get, owner_storage_sock_get_or_create,
    owner_storage_sock_get_or_create_from, owner_storage_sock_update, owner_storage_sock_delete
}

owner! {
    bindings::net, |net| NetNs::from_raw(net),
    owner_storage_net_get, owner_storage_net_get_or_create,
    owner_storage_net_get_or_create_from, owner_storage_net_update, owner_storage_net_delete
}

owner! {
    ostor_slot, |slot| &*slot.cast::<OwnerSlot>(),
    owner_storage_slot_get, owner_storage_slot_get_or_create,
    owner_storage_slot_get_or_create_from, owner_storage_slot_update, owner_storage_slot_delete
}

/// A new map of `module`, or an `ERR_PTR`.
///
/// # Safety
///
/// `module` must be the calling module, or null in the kernel itself. Its functions in `values`
/// must meet the requirements of [`Values`].
unsafe fn create(
    value_size: usize,
    values: Values,
    module: *mut bindings::module,
) -> Result<*mut ostor_map> {
    // SAFETY: By the safety requirements.
    let map = unsafe { OwnedMap::new(value_size, values) }?;
    let raw: *const RawMap = &*map;
    // SAFETY: By the safety requirements. The list does not follow the pointer.
    modules::list(map, &unsafe { ThisModule::from_ptr(module) })?;
    Ok(raw.cast_mut().cast())
}

as_in_header! {
    __owner_storage_map_create,
    __owner_storage_map_create_cloning,
    owner_storage_map_destroy,
    owner_storage_map_for_each,
    owner_storage_flush,
    owner_storage_reserve_create,
    owner_storage_reserve_fill,
    owner_storage_reserve_left,
    owner_storage_reserve_destroy,
    owner_storage_slot_create,
    owner_storage_slot_begin_end,
    owner_storage_slot_end,
    owner_storage_slot_destroy,
}

/// # Safety
///
/// See the header. `module` must be the caller's.
#[no_mangle]
unsafe extern "C" fn __owner_storage_map_create(
    value_size: usize,
    drop: owner_storage_drop_t,
    module: *mut bindings::module,
) -> *mut ostor_map {
    let values = Values { drop, clone: None };
    // SAFETY: The contract of the header.
    unsafe { create(value_size, values, module) }.unwrap_or_else(Error::to_ptr)
}

/// # Safety
///
/// See the header. `module` must be the caller's.
#[no_mangle]
unsafe extern "C" fn __owner_storage_map_create_cloning(
    value_size: usize,
    drop: owner_storage_drop_t,
    copy: owner_storage_copy_t,
    module: *mut bindings::module,
) -> *mut ostor_map {
    if let Err(err) = socket::check_clones() {
        return err.to_ptr();
    }
    let values = Values {
        drop,
        clone: copy.or(Some(copy_value)),
    };
    // SAFETY: The contract of the header.
    unsafe { create(value_size, values, module) }.unwrap_or_else(Error::to_ptr)
}

/// # Safety
///
/// See the header.
#[no_mangle]
unsafe extern "C" fn owner_storage_map_destroy(map: *mut ostor_map) {
    if !map.is_null() {
        // SAFETY: The contract of the header.
        modules::end(unsafe { raw(map) });
    }
}

/// # Safety
///
/// See the header.
#[no_mangle]
unsafe extern "C" fn owner_storage_map_for_each(
    map: *mut ostor_map,
    visit: owner_storage_visit_t,
    arg: *mut c_void,
) -> c_int {
    let Some(visit) = visit else {
        return EINVAL.to_errno();
    };
    // SAFETY: The contract of the header.
    let map = unsafe { raw(map) };
    let stopped = map::for_each(map, |elem, label| {
        // SAFETY: The contract of the header.
        match unsafe { visit(value_of(Some(elem)), label.kind, label.id, arg) } {
            0 => ControlFlow::Continue(()),
            result => ControlFlow::Break(result),
        }
    });
    stopped.break_value().unwrap_or(0)
}

/// # Safety
///
/// None.
#[no_mangle]
unsafe extern "C" fn owner_storage_flush() {
    super::flush();
}

/// # Safety
///
/// See the header.
#[no_mangle]
unsafe extern "C" fn owner_storage_reserve_create(
    map: *mut ostor_map,
    creates: usize,
) -> *mut ostor_reserve {
    // SAFETY: The contract of the header.
    let mut reserve = Reserve::new(unsafe { raw(map) });
    let filled = reserve.fill(creates);
    match filled.and_then(|()| Ok(KBox::new(reserve, GFP_KERNEL)?)) {
        Ok(reserve) => KBox::into_raw(reserve).cast(),
        Err(err) => err.to_ptr(),
    }
}

/// # Safety
///
/// See the header. No other thread may use the reserve.
#[no_mangle]
unsafe extern "C" fn owner_storage_reserve_fill(
    reserve: *mut ostor_reserve,
    creates: usize,
) -> c_int {
    // SAFETY: The pointer comes from `owner_storage_reserve_create()`, and the reserve is the
    // caller's alone, by the contract.
    match unsafe { &mut *reserve.cast::<Reserve>() }.fill(creates) {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// # Safety
///
/// See the header. No other thread may use the reserve.
#[no_mangle]
unsafe extern "C" fn owner_storage_reserve_left(reserve: *const ostor_reserve) -> usize {
    // SAFETY: As in `owner_storage_reserve_fill`.
    unsafe { &*reserve.cast::<Reserve>() }.left()
}

/// # Safety
///
/// See the header.
#[no_mangle]
unsafe extern "C" fn owner_storage_reserve_destroy(reserve: *mut ostor_reserve) {
    if !reserve.is_null() {
        // SAFETY: The pointer comes from `owner_storage_reserve_create()`, and is not used again.
        drop(unsafe { KBox::from_raw(reserve.cast::<Reserve>()) });
    }
}

/// # Safety
///
/// None.
#[no_mangle]
unsafe extern "C" fn owner_storage_slot_create() -> *mut ostor_slot {
    match KBox::pin_init(OwnerSlot::new(), GFP_KERNEL) {
        // SAFETY: The slot stays at its address until it is freed.
        Ok(slot) => KBox::into_raw(unsafe { Pin::into_inner_unchecked(slot) }).cast(),
        Err(_) => ptr::null_mut(),
    }
}

/// # Safety
///
/// See the header.
#[no_mangle]
unsafe extern "C" fn owner_storage_slot_begin_end(slot: *mut ostor_slot) {
    // SAFETY: By the contract of the header, the slot is valid.
    unsafe { &*slot.cast::<OwnerSlot>() }.begin_end();
}

/// # Safety
///
/// See the header. A grace period must have passed since `owner_storage_slot_begin_end()` returned.
#[no_mangle]
unsafe extern "C" fn owner_storage_slot_end(slot: *mut ostor_slot) {
    // SAFETY: The pointer comes from `owner_storage_slot_create()`, and is not used again. The slot
    // is not moved.
    let slot = unsafe { Pin::new_unchecked(KBox::from_raw(slot.cast::<OwnerSlot>())) };
    // SAFETY: The contract of the header. The drop then finds that the slot has ended.
    unsafe { slot.end() };
}

/// # Safety
///
/// See the header.
#[no_mangle]
unsafe extern "C" fn owner_storage_slot_destroy(slot: *mut ostor_slot) {
    if !slot.is_null() {
        // SAFETY: As in `owner_storage_slot_end`.
        drop(unsafe { Pin::new_unchecked(KBox::from_raw(slot.cast::<OwnerSlot>())) });
    }
}

// SPDX-License-Identifier: GPL-2.0

//! What differs between the kernel crates of Linux 7.2 and 7.3, in the form that 7.3 has. The rest
//! of the module imports these names from here.

#[cfg(not(OSTOR_LINUX_7_2))]
pub(crate) use kernel::{
    error::code::{
        EDEADLK,
        ENODATA,
        EOPNOTSUPP, //
    },
    miscdevice::MiscDeviceRegistration,
    sync::barrier, //
};

#[cfg(OSTOR_LINUX_7_2)]
pub(crate) use self::linux_7_2::{
    barrier,
    MiscDeviceRegistration,
    EDEADLK,
    ENODATA,
    EOPNOTSUPP, //
};

#[cfg(OSTOR_LINUX_7_2)]
mod linux_7_2 {
    use core::{
        marker::PhantomData,
        mem::transmute,
        ptr, //
    };
    use kernel::{
        bindings,
        error::to_result,
        miscdevice::{
            MiscDevice,
            MiscDeviceOptions, //
        },
        prelude::*,
        types::Opaque, //
    };

    pub(crate) const EDEADLK: Error = error(bindings::EDEADLK);
    pub(crate) const ENODATA: Error = error(bindings::ENODATA);
    pub(crate) const EOPNOTSUPP: Error = error(bindings::EOPNOTSUPP);

    /// An [`Error`] in a constant. The kernel crate does not export its own function for that.
    const fn error(errno: u32) -> Error {
        // SAFETY: The sizes are equal, or `transmute` does not compile. This checks that an `Error`
        // is a negative errno value.
        const { assert!(unsafe { transmute::<Error, i32>(EPERM) } == -(bindings::EPERM as i32)) };
        // SAFETY: As above. The constants pass errno values, which are within the range of an
        // `Error`.
        unsafe { transmute::<i32, Error>(-(errno as i32)) }
    }

    /// The barriers that the module uses.
    pub(crate) mod barrier {
        use kernel::sync::{
            atomic::Full,
            barrier, //
        };

        pub(crate) mod ordering {
            /// Loads before loads.
            pub(crate) struct Read;
        }

        /// What a barrier orders.
        pub(crate) trait Barrier {
            fn run();
        }

        impl Barrier for Full {
            #[inline(always)]
            fn run() {
                barrier::smp_mb();
            }
        }

        impl Barrier for ordering::Read {
            #[inline(always)]
            fn run() {
                barrier::smp_rmb();
            }
        }

        /// A barrier between CPUs.
        #[inline(always)]
        pub(crate) fn smp_mb<B: Barrier>(_: B) {
            B::run();
        }
    }

    /// A registered device whose open files hold a reference to the module.
    ///
    /// The kernel crate's registration leaves `fops.owner` null. The module could then be unloaded
    /// while a file is open, and with it the functions of that file.
    ///
    /// # Invariants
    ///
    /// `misc` is registered, and its `fops` point to the field `fops`.
    #[pin_data(PinnedDrop)]
    #[repr(C)]
    pub(crate) struct MiscDeviceRegistration<T> {
        /// The first field, and the only one of the kernel crate's registration. The crate casts a
        /// pointer to it into a reference to its registration, which it passes to `open()`.
        #[pin]
        misc: Opaque<bindings::miscdevice>,
        #[pin]
        fops: Opaque<bindings::file_operations>,
        _device: PhantomData<T>,
    }

    // SAFETY: `misc_deregister()` may be called by another thread than `misc_register()`.
    unsafe impl<T> Send for MiscDeviceRegistration<T> {}
    // SAFETY: A shared reference gives access to nothing.
    unsafe impl<T> Sync for MiscDeviceRegistration<T> {}

    impl<T: MiscDevice> MiscDeviceRegistration<T> {
        /// Registers the device. May sleep. The result must be a part of the module's own value,
        /// which is dropped after the last open file is closed.
        pub(crate) fn register(options: MiscDeviceOptions) -> impl PinInit<Self, Error> {
            let init = move |slot: *mut Self| {
                // SAFETY: `slot` is pinned, valid for writes, and known to this function alone.
                // `into_raw()` sets `fops` to a valid static.
                unsafe {
                    let (misc, fops) = (&raw mut (*slot).misc, &raw mut (*slot).fops);
                    let misc = misc.cast::<bindings::miscdevice>();
                    let fops = fops.cast::<bindings::file_operations>();
                    let mut raw: bindings::miscdevice = options.into_raw::<T>();
                    ptr::copy_nonoverlapping(raw.fops, fops, 1);
                    (*fops).owner = crate::THIS_MODULE.as_ptr();
                    raw.fops = fops;
                    misc.write(raw);
                    // INVARIANT: If the registration fails, so does the initialisation.
                    to_result(bindings::misc_register(misc))
                }
            };
            // SAFETY: On success all fields are initialised. On failure none needs a drop.
            unsafe { pin_init::pin_init_from_closure(init) }
        }
    }

    #[pinned_drop]
    impl<T> PinnedDrop for MiscDeviceRegistration<T> {
        fn drop(self: Pin<&mut Self>) {
            // SAFETY: `misc` is registered by the type invariant.
            unsafe { bindings::misc_deregister(self.misc.get()) };
        }
    }
}

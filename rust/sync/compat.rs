// SPDX-License-Identifier: GPL-2.0

//! What differs between the kernel crates of Linux 7.2 and 7.3. The rest of the module takes these
//! names from here, as 7.3 has them.

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

    /// An [`Error`]: only the kernel crate has what makes one of a number in a constant.
    const fn error(errno: u32) -> Error {
        // SAFETY: An `Error` is a negative errno value and nothing else: it has no other size, and
        // this one is what it should be.
        const { assert!(unsafe { transmute::<Error, i32>(EPERM) } == -(bindings::EPERM as i32)) };
        // SAFETY: As above; the callers' are errno values.
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

    /// A registered device whose open files hold the module.
    ///
    /// The kernel crate's registration leaves `fops.owner` null: the module could be unloaded while
    /// a file is open, whose functions would be gone.
    ///
    /// # Invariants
    ///
    /// `misc` is registered, and its `fops` are those here.
    #[pin_data(PinnedDrop)]
    #[repr(C)]
    pub(crate) struct MiscDeviceRegistration<T> {
        /// First, and alone in the kernel crate's registration: `open()` is given a reference to
        /// that, which the crate makes of a pointer to this.
        #[pin]
        misc: Opaque<bindings::miscdevice>,
        #[pin]
        fops: Opaque<bindings::file_operations>,
        _device: PhantomData<T>,
    }

    // SAFETY: As the kernel crate's registration: it may be dropped by another thread.
    unsafe impl<T> Send for MiscDeviceRegistration<T> {}
    // SAFETY: There is nothing to be done with a reference.
    unsafe impl<T> Sync for MiscDeviceRegistration<T> {}

    impl<T: MiscDevice> MiscDeviceRegistration<T> {
        /// Registers the device. May sleep. It must be a part of the module's own value, which is
        /// there until the last open file is closed.
        pub(crate) fn register(options: MiscDeviceOptions) -> impl PinInit<Self, Error> {
            let init = move |slot: *mut Self| {
                // SAFETY: The slot is writable, pinned and not shared yet.
                unsafe {
                    let (misc, fops) = (&raw mut (*slot).misc, &raw mut (*slot).fops);
                    let misc = misc.cast::<bindings::miscdevice>();
                    let fops = fops.cast::<bindings::file_operations>();
                    let mut raw: bindings::miscdevice = options.into_raw::<T>();
                    ptr::copy_nonoverlapping(raw.fops, fops, 1);
                    (*fops).owner = crate::THIS_MODULE.as_ptr();
                    raw.fops = fops;
                    misc.write(raw);
                    // INVARIANT: What is not registered is not initialised.
                    to_result(bindings::misc_register(misc))
                }
            };
            // SAFETY: On success all fields are initialised; on failure none needs a drop.
            unsafe { pin_init::pin_init_from_closure(init) }
        }
    }

    #[pinned_drop]
    impl<T> PinnedDrop for MiscDeviceRegistration<T> {
        fn drop(self: Pin<&mut Self>) {
            // SAFETY: Registered by the type invariant.
            unsafe { bindings::misc_deregister(self.misc.get()) };
        }
    }
}

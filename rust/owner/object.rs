// SPDX-License-Identifier: GPL-2.0

//! Types for reference-counted objects of the kernel that the kernel crate has no type for.

/// Defines the type of an object, by the shim's functions that get and put a reference to it.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident: $object:ty, $get:path, $put:path) => {
        $(#[$doc])*
        ///
        /// # Invariants
        ///
        /// There is a counted reference to the object while there is a shared borrow; or RCU keeps
        /// the object, as in the functions behind the kfuncs, which take no reference to it.
        #[repr(transparent)]
        pub struct $name(kernel::types::Opaque<$object>);

        // SAFETY: Any thread may put a reference.
        unsafe impl Send for $name {}
        // SAFETY: Any thread may call the functions that take a shared borrow.
        unsafe impl Sync for $name {}

        // SAFETY: The object is valid while the count that the two functions change is above 0.
        unsafe impl kernel::sync::aref::AlwaysRefCounted for $name {
            fn inc_ref(&self) {
                // SAFETY: There is a reference, by the type invariant.
                unsafe { $get(self.as_ptr()) };
            }

            unsafe fn dec_ref(object: core::ptr::NonNull<Self>) {
                // SAFETY: The caller gives up a reference.
                unsafe { $put(object.cast().as_ptr()) };
            }
        }

        impl $name {
            /// The object at `object`, as an owner.
            ///
            /// # Safety
            ///
            /// There must be a counted reference to the object as long as the result lives.
            #[inline(always)]
            pub unsafe fn from_raw<'a>(object: *mut $object) -> &'a Self {
                // INVARIANT: By the contract.
                //
                // SAFETY: The type is transparent, and the object is valid, by the contract.
                unsafe { &*object.cast() }
            }

            fn as_ptr(&self) -> *mut $object {
                self.0.get()
            }

            /// Takes over the reference or the `ERR_PTR` that a function of the shim has returned.
            ///
            /// # Safety
            ///
            /// If it is no `ERR_PTR`, the caller must own a reference, and give it up.
            pub(super) unsafe fn adopt(
                object: *mut $object,
            ) -> kernel::error::Result<kernel::sync::aref::ARef<Self>> {
                let object = kernel::error::from_err_ptr(object)?.cast();
                let object = core::ptr::NonNull::new(object).ok_or(kernel::error::code::EINVAL)?;
                // SAFETY: The caller gives up a reference, by the contract.
                Ok(unsafe { kernel::sync::aref::ARef::from_raw(object) })
            }
        }
    };
}

pub(super) use object;

// SPDX-License-Identifier: GPL-2.0

//! Objects of the kernel that have a count of references and no type in the kernel crate.

/// Defines the type of an object, which a pair of functions in the shim counts references of.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident: $object:ty, $get:path, $put:path) => {
        $(#[$doc])*
        ///
        /// # Invariants
        ///
        /// There is a reference to it as long as there is a shared borrow.
        #[repr(transparent)]
        pub(crate) struct $name(kernel::types::Opaque<$object>);

        // SAFETY: References can be put on any thread.
        unsafe impl Send for $name {}
        // SAFETY: What is done with a shared borrow, any thread may do.
        unsafe impl Sync for $name {}

        // SAFETY: The two functions count references.
        unsafe impl kernel::sync::aref::AlwaysRefCounted for $name {
            fn inc_ref(&self) {
                // SAFETY: There is a reference by the type invariant.
                unsafe { $get(self.as_ptr()) };
            }

            unsafe fn dec_ref(object: core::ptr::NonNull<Self>) {
                // SAFETY: The caller gives one reference up.
                unsafe { $put(object.cast().as_ptr()) };
            }
        }

        impl $name {
            fn as_ptr(&self) -> *mut $object {
                self.0.get()
            }

            /// Takes over what a function of the shim returned: a reference or an error.
            ///
            /// # Safety
            ///
            /// If it is no error, the caller must own a reference, and give it up.
            pub(super) unsafe fn adopt(
                object: *mut $object,
            ) -> kernel::error::Result<kernel::sync::aref::ARef<Self>> {
                let object = kernel::error::from_err_ptr(object)?.cast();
                let object = core::ptr::NonNull::new(object).ok_or(kernel::error::code::EINVAL)?;
                // SAFETY: By the contract.
                Ok(unsafe { kernel::sync::aref::ARef::from_raw(object) })
            }
        }
    };
}

pub(super) use object;

// SPDX-License-Identifier: GPL-2.0

//! Structures of the ioctl interface as plain bytes.

/// States the size that the ABI gives a structure, and that it is bytes and nothing else.
macro_rules! plain {
    ($($name:ident: $size:literal,)*) => {
        $(
            const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 8);
            // SAFETY: Integers without padding, which the size shows: any bytes are a value.
            unsafe impl kernel::transmute::FromBytes for $name {}
            // SAFETY: Likewise, all bytes are initialised.
            unsafe impl kernel::transmute::AsBytes for $name {}
        )*
    };
}

// SPDX-License-Identifier: GPL-2.0

//! Boxes and vectors in the machine's memory.

use crate::{
    error::{
        AllocError,
        Error, //
    },
    init::PinInit, //
};
use core::{
    alloc::Layout,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin,
    ptr::NonNull,
    slice, //
};

/// Allocation flags.
#[derive(Copy, Clone)]
pub struct Flags;

/// Waiting is allowed.
pub const GFP_KERNEL: Flags = Flags;

/// A `T` on the heap.
pub struct KBox<T>(NonNull<T>);

// SAFETY: It owns the `T`, as a `Box` does.
unsafe impl<T: Send> Send for KBox<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for KBox<T> {}

impl<T> KBox<T> {
    /// Moves a value to the heap.
    pub fn new(value: T, _flags: Flags) -> Result<Self, AllocError> {
        let ptr = NonNull::new(machine::alloc(Layout::new::<T>(), true)).ok_or(AllocError)?;
        let ptr = ptr.cast::<T>();
        // SAFETY: The memory was allocated for a `T`.
        unsafe { ptr.write(value) };
        Ok(Self(ptr))
    }

    /// Allocates memory for a value.
    pub fn new_uninit(flags: Flags) -> Result<KBox<MaybeUninit<T>>, AllocError> {
        KBox::new(MaybeUninit::uninit(), flags)
    }

    /// Moves a value to the heap, where it stays.
    pub fn pin(value: T, flags: Flags) -> Result<Pin<Self>, AllocError> {
        let boxed = Self::new(value, flags)?;
        // SAFETY: The value is not moved before it is dropped.
        Ok(unsafe { Pin::new_unchecked(boxed) })
    }

    /// Initialises a value on the heap.
    pub fn pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Pin<Self>, Error>
    where
        Error: From<E>,
    {
        let boxed = Self::new(init.build()?, flags)?;
        // SAFETY: The value is not moved before it is dropped.
        Ok(unsafe { Pin::new_unchecked(boxed) })
    }
}

impl<T> KBox<T> {
    /// Returns the address of the value, which is not freed.
    pub fn into_raw(boxed: Self) -> *mut T {
        ManuallyDrop::new(boxed).0.as_ptr()
    }

    /// Takes over a value.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`KBox::into_raw`], and must not be used again.
    pub unsafe fn from_raw(ptr: *mut T) -> Self {
        // SAFETY: By the safety requirements the pointer comes from a box, so it is not null.
        Self(unsafe { NonNull::new_unchecked(ptr) })
    }
}

impl<T> KBox<MaybeUninit<T>> {
    /// Moves a value to this memory.
    pub fn write(mut self, value: T) -> KBox<T> {
        (*self).write(value);
        KBox(ManuallyDrop::new(self).0.cast())
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The box owns the value, which is initialised.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The box owns the value, which is initialised.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        // SAFETY: The box owns the value, which is initialised and is not used again.
        unsafe { self.0.drop_in_place() };
        machine::free(self.0.as_ptr().cast());
    }
}

/// A vector whose capacity does not change.
pub struct KVVec<T> {
    items: NonNull<T>,
    len: usize,
    capacity: usize,
}

// SAFETY: It owns the items, as a `Vec` does.
unsafe impl<T: Send> Send for KVVec<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for KVVec<T> {}

impl<T> KVVec<T> {
    /// An empty vector with this capacity.
    pub fn with_capacity(capacity: usize, _flags: Flags) -> Result<Self, AllocError> {
        let layout = Layout::array::<T>(capacity).map_err(|_| AllocError)?;
        let items = NonNull::new(machine::alloc(layout, true)).ok_or(AllocError)?;
        Ok(Self {
            items: items.cast(),
            len: 0,
            capacity,
        })
    }

    /// Appends an item. Fails if the vector is full.
    pub fn push(&mut self, item: T, _flags: Flags) -> Result<(), AllocError> {
        if self.len == self.capacity {
            return Err(AllocError);
        }
        // SAFETY: `len` is below `capacity`, so the item is in the allocation.
        unsafe { self.items.add(self.len).write(item) };
        self.len += 1;
        Ok(())
    }
}

impl<T> Deref for KVVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: The first `len` items are initialised.
        unsafe { slice::from_raw_parts(self.items.as_ptr(), self.len) }
    }
}

impl<T> Drop for KVVec<T> {
    fn drop(&mut self) {
        for at in 0..self.len {
            // SAFETY: The first `len` items are initialised, and are not used again.
            unsafe { self.items.add(at).drop_in_place() };
        }
        machine::free(self.items.as_ptr().cast());
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Atomics with the kernel's orderings, barriers, and the RCU guard.

pub use self::atomic::Atomic;
use core::marker::PhantomData;

/// Orderings and atomics.
pub mod atomic {
    use core::cell::UnsafeCell;
    use machine::word::{
        self,
        Order, //
    };

    /// An ordering.
    pub trait Ordering {
        /// The order that the machine knows it as.
        const ORDER: Order;
    }

    macro_rules! orderings {
        ($($name:ident)*) => {
            $(
                #[allow(missing_docs)]
                pub struct $name;

                impl Ordering for $name {
                    const ORDER: Order = Order::$name;
                }
            )*
        };
    }

    orderings!(Relaxed Acquire Release Full);

    /// A type that an [`Atomic`] can hold.
    pub trait Value: Copy {
        /// The value as the machine stores it. The difference of two is that of the numbers.
        fn to_bits(self) -> u64;
        /// The inverse of `to_bits`.
        fn from_bits(bits: u64) -> Self;
    }

    macro_rules! values {
        ($($ty:ty)*) => {
            $(
                impl Value for $ty {
                    fn to_bits(self) -> u64 {
                        self as u64
                    }

                    fn from_bits(bits: u64) -> Self {
                        bits as $ty
                    }
                }
            )*
        };
    }

    values!(u32 u64 usize);

    impl Value for bool {
        fn to_bits(self) -> u64 {
            self.into()
        }

        fn from_bits(bits: u64) -> Self {
            bits != 0
        }
    }

    impl<T> Value for *mut T {
        fn to_bits(self) -> u64 {
            self.expose_provenance() as u64
        }

        fn from_bits(bits: u64) -> Self {
            core::ptr::with_exposed_provenance_mut(bits as usize)
        }
    }

    /// A value that threads share. Its memory keeps the initial value, and the machine keeps the
    /// difference to it, by address.
    #[repr(transparent)]
    pub struct Atomic<T>(UnsafeCell<T>);

    // SAFETY: The memory is not written. All threads of an execution are one thread of the host.
    unsafe impl<T> Sync for Atomic<T> {}
    // SAFETY: As above.
    unsafe impl<T> Send for Atomic<T> {}

    impl<T> Atomic<T> {
        /// An atomic with this value. It may be moved until its first use.
        pub const fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }
    }

    impl<T: Value> Atomic<T> {
        fn addr(&self) -> usize {
            self.0.get() as usize
        }

        fn first(&self) -> u64 {
            // SAFETY: The memory is not written after it was initialised.
            unsafe { *self.0.get() }.to_bits()
        }

        fn encode(&self, value: T) -> u64 {
            value.to_bits().wrapping_sub(self.first())
        }

        fn decode(&self, difference: u64) -> T {
            T::from_bits(self.first().wrapping_add(difference))
        }

        /// Loads the value.
        #[track_caller]
        pub fn load<O: Ordering>(&self, _: O) -> T {
            self.decode(word::load(self.addr(), O::ORDER))
        }

        /// Stores a value.
        #[track_caller]
        pub fn store<O: Ordering>(&self, value: T, _: O) {
            word::store(self.addr(), self.encode(value), O::ORDER);
        }

        /// Stores a value and returns the previous one.
        #[track_caller]
        pub fn xchg<O: Ordering>(&self, value: T, _: O) -> T {
            self.decode(word::swap(self.addr(), self.encode(value), O::ORDER))
        }

        /// Stores `new` if the value is `old`. Returns the previous value.
        #[track_caller]
        pub fn cmpxchg<O: Ordering>(&self, old: T, new: T, _: O) -> Result<T, T> {
            let (old, new) = (self.encode(old), self.encode(new));
            match word::compare_exchange(self.addr(), old, new, O::ORDER) {
                Ok(before) => Ok(self.decode(before)),
                Err(before) => Err(self.decode(before)),
            }
        }

        /// Adds `value` and returns the previous value.
        #[track_caller]
        pub fn fetch_add<O: Ordering>(&self, value: T, _: O) -> T {
            self.decode(word::fetch_add(self.addr(), value.to_bits(), O::ORDER))
        }

        /// Subtracts `value` and returns the previous value.
        #[track_caller]
        pub fn fetch_sub<O: Ordering>(&self, value: T, _: O) -> T {
            let value = value.to_bits().wrapping_neg();
            self.decode(word::fetch_add(self.addr(), value, O::ORDER))
        }

        /// Adds `value`.
        #[track_caller]
        pub fn add<O: Ordering>(&self, value: T, order: O) {
            self.fetch_add(value, order);
        }
    }
}

/// Barriers.
pub mod barrier {
    use super::atomic::Full;
    use machine::word::{
        self,
        Order, //
    };

    /// The operations that a barrier orders.
    pub mod ordering {
        /// Loads.
        pub struct Read;
    }

    /// A type of barrier.
    pub trait Barrier {
        /// The order that the machine knows it as.
        const ORDER: Order;
    }

    impl Barrier for Full {
        const ORDER: Order = Order::Full;
    }

    impl Barrier for ordering::Read {
        const ORDER: Order = Order::Acquire;
    }

    /// A barrier between CPUs.
    pub fn smp_mb<B: Barrier>(_: B) {
        word::fence(B::ORDER);
    }
}

/// Proof that a read section runs.
pub struct Guard(PhantomData<*mut ()>);

/// Begins a read section.
pub fn read_lock() -> Guard {
    machine::rcu::enter();
    Guard(PhantomData)
}

impl Drop for Guard {
    fn drop(&mut self) {
        machine::rcu::exit();
    }
}

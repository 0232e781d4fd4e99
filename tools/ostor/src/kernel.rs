// SPDX-License-Identifier: GPL-2.0
//! The configuration of the running kernel, as far as the results of checks depend on it.

use std::{fs, io};

use crate::torture::Context;

/// The configuration of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `CONFIG_SMP`
    smp: bool,
    /// `CONFIG_PREEMPT_RT`
    realtime: bool,
}

impl Kernel {
    /// A kernel that can allocate memory in every context.
    pub const USUAL: Self = Self {
        smp: true,
        realtime: false,
    };

    /// Reads the configuration of the running kernel.
    pub fn running() -> io::Result<Self> {
        Ok(Self::of(&fs::read_to_string("/proc/sys/kernel/version")?))
    }

    /// The words that the kernel's build writes into its version.
    fn of(version: &str) -> Self {
        let says = |word| version.split_whitespace().any(|other| other == word);
        Self {
            smp: says("SMP"),
            realtime: says("PREEMPT_RT"),
        }
    }

    /// Whether `kmalloc_nolock()` can allocate in a context. If not, every allocation
    /// there fails, except in a kprobe, which is not always hit as an NMI. On PREEMPT_RT
    /// `kmalloc_nolock()` takes no lock in a hard interrupt or NMI; without SMP, where a
    /// trylock always succeeds, it takes none in an NMI.
    pub fn allocates_in(self, context: Context) -> bool {
        match context {
            Context::Timer | Context::IrqWork | Context::Ipi => !self.realtime,
            Context::Nmi => self.smp && !self.realtime,
            // On x86 a kprobe counts as an NMI while it is an int3, and no longer when
            // it has been optimized to a jump. On arm64 it never does.
            Context::Kprobe => !cfg!(target_arch = "x86_64") || self.allocates_in(Context::Nmi),
            Context::Task | Context::Softirq | Context::RunQueue | Context::Alloc => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contexts in which a kernel of this version cannot allocate.
    fn without_memory(version: &str) -> Vec<Context> {
        let kernel = Kernel::of(version);
        let contexts = Context::all();
        contexts.filter(|&c| !kernel.allocates_in(c)).collect()
    }

    #[test]
    fn the_version_says_where_allocations_fail() {
        let kprobe = |mut contexts: Vec<Context>| {
            if cfg!(target_arch = "x86_64") {
                contexts.push(Context::Kprobe);
            }
            contexts
        };
        let usual = "#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1 (2026-11-01)\n";
        assert_eq!(Kernel::of(usual), Kernel::USUAL);
        assert_eq!(without_memory(usual), []);
        assert_eq!(
            without_memory("#1 PREEMPT Mon Jan  1 00:00:00 UTC 2026\n"),
            kprobe(vec![Context::Nmi])
        );
        assert_eq!(
            without_memory("#1 SMP PREEMPT_RT Mon Jan  1 00:00:00 UTC 2026\n"),
            kprobe(vec![
                Context::Timer,
                Context::IrqWork,
                Context::Ipi,
                Context::Nmi
            ])
        );
    }
}

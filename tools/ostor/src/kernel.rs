// SPDX-License-Identifier: GPL-2.0
//! What the running kernel was configured for, as far as results depend on it.

use std::{fs, io};

use crate::device::Context;

/// What kind of kernel runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Built for more than one CPU: `CONFIG_SMP`.
    smp: bool,
    /// Built with `CONFIG_PREEMPT_RT`.
    realtime: bool,
}

impl Kernel {
    /// One on which memory can be allocated in every context.
    pub const USUAL: Self = Self {
        smp: true,
        realtime: false,
    };

    /// Asks the running kernel.
    pub fn running() -> io::Result<Self> {
        Ok(Self::of(&fs::read_to_string("/proc/sys/kernel/version")?))
    }

    /// The kernel's build writes these words into its version.
    fn of(version: &str) -> Self {
        let says = |word| version.split_whitespace().any(|other| other == word);
        Self {
            smp: says("SMP"),
            realtime: says("PREEMPT_RT"),
        }
    }

    /// Whether `kmalloc_nolock()` can have memory in a context; where not, it
    /// never can, but for a kprobe. On PREEMPT_RT it tries no lock in a hard interrupt or NMI, and
    /// without SMP, where a try of a lock always succeeds, none in NMI.
    pub fn allocates_in(self, context: Context) -> bool {
        match context {
            Context::Timer | Context::IrqWork | Context::Ipi => !self.realtime,
            Context::Nmi => self.smp && !self.realtime,
            // On x86 an NMI to the kernel while it is an int3, and not once it has
            // been made a jump; never on arm64.
            Context::Kprobe => !cfg!(target_arch = "x86_64") || self.allocates_in(Context::Nmi),
            Context::Task | Context::Softirq | Context::RunQueue | Context::Alloc => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_memory(version: &str) -> Vec<Context> {
        let kernel = Kernel::of(version);
        let contexts = Context::ALL.into_iter();
        contexts.filter(|&c| !kernel.allocates_in(c)).collect()
    }

    #[test]
    fn the_version_says_where_there_is_no_memory() {
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

// SPDX-License-Identifier: GPL-2.0
//! Running operations in interrupt, NMI and probe context.

use std::fmt::{self, Display};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use uapi::{ostor_context, ostor_context_cpu};

use super::{Op, TortureDevice, ioctl};
use crate::device::{Error, Result};
use crate::sys::ioctl::Buffer;

/// A context in which operations run. This is the tools' one list of contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum Context {
    /// A kernel thread.
    Task = uapi::OSTOR_CONTEXT_TASK,
    /// The softirq of an hrtimer.
    Softirq = uapi::OSTOR_CONTEXT_SOFTIRQ,
    /// The hard interrupt of an hrtimer.
    Timer = uapi::OSTOR_CONTEXT_TIMER,
    /// A hard irq_work.
    IrqWork = uapi::OSTOR_CONTEXT_IRQ_WORK,
    /// An interrupt that another CPU sends.
    Ipi = uapi::OSTOR_CONTEXT_IPI,
    /// An NMI.
    Nmi = uapi::OSTOR_CONTEXT_NMI,
    /// A kprobe where the module has just taken a lock.
    Kprobe = uapi::OSTOR_CONTEXT_KPROBE,
    /// A tracepoint that the scheduler passes with the run queue locked.
    RunQueue = uapi::OSTOR_CONTEXT_RUN_QUEUE,
    /// A tracepoint inside the slab allocator.
    Alloc = uapi::OSTOR_CONTEXT_ALLOC,
}

impl Context {
    /// The contexts that the recursion driver can raise inside an operation.
    pub const RAISED: [Self; 6] = [
        Self::Task,
        Self::Softirq,
        Self::Timer,
        Self::IrqWork,
        Self::Ipi,
        Self::Nmi,
    ];

    /// All contexts.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// Whether the context can interrupt a CPU that holds a lock of the storage, which
    /// has interrupts disabled.
    pub fn comes_under_locks(self) -> bool {
        matches!(self, Self::Nmi | Self::Kprobe)
    }
}

/// The name as the command line has it.
impl Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no context is hidden");
        f.pad(value.get_name())
    }
}

/// A batch of operations that is repeated in a context.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The context.
    pub context: Context,
    /// The operations of one batch.
    pub ops: &'a [Op<'a>],
    /// The CPUs in ascending order, each below 64.
    pub cpus: &'a [usize],
    /// Time from one batch to the next.
    pub period: Duration,
    /// Whether a thread on each CPU repeats the same batch, so that the context
    /// interrupts it.
    pub below: bool,
}

impl Run<'_> {
    /// Runs the batches for `time`, at most a minute.
    pub fn run(&self, device: &TortureDevice, time: Duration) -> Result<Vec<ostor_context_cpu>> {
        let mut arg = ostor_context {
            cpus: self.cpus.iter().fold(0, |set, cpu| set | (1 << cpu)),
            context: self.context as u32,
            flags: match self.below {
                true => uapi::OSTOR_CONTEXT_BELOW,
                false => 0,
            },
            ops_count: self.ops.len() as u32,
            period_us: self.period.as_micros() as u32,
            duration_ms: time.as_millis() as u32,
            ..ostor_context::default()
        };
        let mut ops: Vec<_> = self.ops.iter().map(Op::to_uapi).collect();
        let mut results = vec![ostor_context_cpu::default(); self.cpus.len()];
        ioctl::context(
            device,
            &mut arg,
            Buffer::At(&mut ops),
            Buffer::At(&mut results),
        )
        .map_err(Error::refused("run operations in another context"))?;
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_reads_the_names_that_are_shown() {
        for context in Context::all() {
            let name = context.to_string();
            assert_eq!(Context::from_str(&name, false), Ok(context));
            assert_eq!(serde_json::to_value(context).unwrap(), name.as_str());
        }
        assert_eq!(Context::IrqWork.to_string(), "irq-work");
    }
}

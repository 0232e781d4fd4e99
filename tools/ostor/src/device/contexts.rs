// SPDX-License-Identifier: GPL-2.0
//! Running operations in contexts in which no system call ever is.

use std::os::fd::AsFd;
use std::time::Duration;

use serde::Serialize;
use uapi::{ostor_context, ostor_context_cpu};

use super::{Error, Map, Op, Result};
use crate::sys::ioctl::{self, Buffer};

/// Where operations run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// In a kernel thread.
    Task,
    /// In the softirq of a timer.
    Softirq,
    /// In the interrupt of a timer.
    Timer,
    /// In a hard irq_work.
    IrqWork,
    /// In an interrupt that another CPU sends.
    Ipi,
    /// In an NMI.
    Nmi,
    /// In a kprobe where the module gives a lock back.
    Kprobe,
    /// In a tracepoint that is passed under the run queue's lock.
    RunQueue,
    /// Inside the slab allocator.
    Alloc,
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Task,
        Self::Softirq,
        Self::Timer,
        Self::IrqWork,
        Self::Ipi,
        Self::Nmi,
        Self::Kprobe,
        Self::RunQueue,
        Self::Alloc,
    ];

    /// How the device is told.
    pub fn to_uapi(self) -> u32 {
        match self {
            Self::Task => uapi::OSTOR_CONTEXT_TASK,
            Self::Softirq => uapi::OSTOR_CONTEXT_SOFTIRQ,
            Self::Timer => uapi::OSTOR_CONTEXT_TIMER,
            Self::IrqWork => uapi::OSTOR_CONTEXT_IRQ_WORK,
            Self::Ipi => uapi::OSTOR_CONTEXT_IPI,
            Self::Nmi => uapi::OSTOR_CONTEXT_NMI,
            Self::Kprobe => uapi::OSTOR_CONTEXT_KPROBE,
            Self::RunQueue => uapi::OSTOR_CONTEXT_RUN_QUEUE,
            Self::Alloc => uapi::OSTOR_CONTEXT_ALLOC,
        }
    }

    /// The context's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Softirq => "softirq",
            Self::Timer => "timer",
            Self::IrqWork => "irq-work",
            Self::Ipi => "ipi",
            Self::Nmi => "nmi",
            Self::Kprobe => "kprobe",
            Self::RunQueue => "run-queue",
            Self::Alloc => "alloc",
        }
    }

    /// The contexts that can be made to come at a point inside an operation.
    pub const RAISED: [Self; 6] = [
        Self::Task,
        Self::Softirq,
        Self::Timer,
        Self::IrqWork,
        Self::Ipi,
        Self::Nmi,
    ];

    /// Whether it can come while its CPU holds a lock of the storage, which has
    /// interrupts off.
    pub fn comes_under_locks(self) -> bool {
        matches!(self, Self::Nmi | Self::Kprobe)
    }
}

/// Operations that are run again and again.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where.
    pub context: Context,
    /// The operations of one batch.
    pub ops: &'a [Op<'a>],
    /// The CPUs, by rising number, below 64.
    pub cpus: &'a [usize],
    /// Time from batch to batch.
    pub period: Duration,
    /// Whether a thread on each CPU runs the same batch all the time.
    pub below: bool,
}

impl Run<'_> {
    /// Runs them for some time, a minute at most.
    pub fn run(&self, map: &Map, time: Duration) -> Result<Vec<ostor_context_cpu>> {
        let mut arg = ostor_context {
            cpus: self.cpus.iter().fold(0, |set, cpu| set | (1 << cpu)),
            context: self.context.to_uapi(),
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
            map.as_fd(),
            &mut arg,
            Buffer::At(&mut ops),
            Buffer::At(&mut results),
        )
        .map_err(Error::refused("run operations in another context"))?;
        Ok(results)
    }
}

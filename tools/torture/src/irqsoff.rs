// SPDX-License-Identifier: GPL-2.0
//! The kernel's irqsoff tracer, which measures the longest time with interrupts disabled.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Mount point of tracefs.
const TRACING: &str = "/sys/kernel/tracing";

/// The tracer, which runs until this is dropped.
pub(crate) struct IrqsOff(PathBuf);

impl IrqsOff {
    /// Starts the tracer; `None` if the kernel does not have it.
    pub(crate) fn start() -> Result<Option<Self>> {
        Self::start_in(Path::new(TRACING))
    }

    fn start_in(tracing: &Path) -> Result<Option<Self>> {
        let available = tracing.join("available_tracers");
        let tracers = fs::read_to_string(&available)
            .with_context(|| format!("cannot read {}", available.display()))?;
        if !tracers.split_whitespace().any(|name| name == "irqsoff") {
            return Ok(None);
        }
        let tracer = Self(tracing.to_owned());
        // Tracing each function would take longer than the functions do.
        tracer.trace_functions(false)?;
        tracer.write("current_tracer", "irqsoff")?;
        tracer.write("tracing_max_latency", "0")?;
        Ok(Some(tracer))
    }

    /// The longest time since the start, in microseconds, and the trace of it.
    pub(crate) fn longest(&self) -> Result<(u64, String)> {
        let text = self.read("tracing_max_latency")?;
        let us = text.trim().parse();
        let us = us.with_context(|| format!("tracing_max_latency is {text:?}"))?;
        Ok((us, self.read("trace")?))
    }

    /// Switches the tracing of functions, if the kernel has it.
    fn trace_functions(&self, on: bool) -> Result<()> {
        const OPTION: &str = "options/function-trace";
        if self.0.join(OPTION).exists() {
            self.write(OPTION, if on { "1" } else { "0" })?;
        }
        Ok(())
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.0.join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.0.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for IrqsOff {
    fn drop(&mut self) {
        // An error cannot be reported here, and no result depends on it.
        let _ = self.write("current_tracer", "nop");
        let _ = self.trace_functions(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like tracefs.
    fn tracing(name: &str, tracers: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ostor-{name}-{}", std::process::id()));
        fs::create_dir_all(dir.join("options")).unwrap();
        fs::write(dir.join("options/function-trace"), "1\n").unwrap();
        fs::write(dir.join("available_tracers"), tracers).unwrap();
        fs::write(dir.join("current_tracer"), "nop\n").unwrap();
        fs::write(dir.join("tracing_max_latency"), "77\n").unwrap();
        fs::write(dir.join("trace"), "# where\n").unwrap();
        dir
    }

    #[test]
    fn the_tracer_runs_until_it_is_dropped() {
        let dir = tracing("irqsoff", "blk irqsoff function nop\n");
        let current = || fs::read_to_string(dir.join("current_tracer")).unwrap();
        let functions = || fs::read_to_string(dir.join("options/function-trace")).unwrap();
        let tracer = IrqsOff::start_in(&dir).unwrap().unwrap();
        assert_eq!((current(), functions()), ("irqsoff".into(), "0".into()));
        assert_eq!(tracer.longest().unwrap(), (0, "# where\n".to_owned()));
        fs::write(dir.join("tracing_max_latency"), "812\n").unwrap();
        assert_eq!(tracer.longest().unwrap().0, 812);
        drop(tracer);
        assert_eq!((current(), functions()), ("nop".into(), "1".into()));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_kernel_without_the_tracer_is_not_changed() {
        let dir = tracing("no-irqsoff", "preemptirqsoff function nop\n");
        assert!(IrqsOff::start_in(&dir).unwrap().is_none());
        let latency = fs::read_to_string(dir.join("tracing_max_latency")).unwrap();
        assert_eq!(latency, "77\n");
        fs::remove_dir_all(dir).unwrap();
    }
}

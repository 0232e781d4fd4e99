// SPDX-License-Identifier: GPL-2.0
//! Slowing down kernel functions, so that other CPUs see the states inside them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::needs::unable;

/// Mount point of tracefs.
const TRACEFS: &str = "/sys/kernel/tracing";

/// Group of the probes.
const GROUP: &str = "ostor_slowed";

/// What each probe records: 64 bytes of the stack, one at a time.
const RECORD: &str = " +0($stack):x8[64]";

/// How many times a probe records them, which takes about 100 microseconds. An event has
/// room for no more.
const RECORDS: usize = 40;

/// A function with a slow probe at each instruction, until this is dropped.
pub(crate) struct Slowed(());

impl Slowed {
    /// Probes every instruction of `function`. Skips the test if that is not possible.
    pub(crate) fn start(function: &str) -> Result<Self> {
        if !Path::new(TRACEFS).join("kprobe_events").exists() {
            return unable("this kernel has no kprobe events");
        }
        let size = size_of_function(function)?;
        let slowed = Self(());
        // The kernel refuses offsets at which no instruction begins.
        let added = (0..size).filter(|offset| {
            let place = format!("p:{GROUP}/at_{offset} {function}+{offset}");
            append("kprobe_events", &(place + &RECORD.repeat(RECORDS))).is_ok()
        });
        if added.count() < 2 {
            return unable(format!("the kernel takes no probes in {function}()"));
        }
        write(&format!("events/{GROUP}/enable"), "1")?;
        Ok(slowed)
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        // If the probes stayed, the next test could not add its own.
        let _ = write(&format!("events/{GROUP}/enable"), "0");
        let _ = write("kprobe_events", "");
    }
}

fn write(file: &str, text: &str) -> Result<()> {
    fs::write(Path::new(TRACEFS).join(file), text).with_context(|| format!("write {file}"))
}

fn append(file: &str, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .open(Path::new(TRACEFS).join(file))?;
    writeln!(file, "{line}")
}

/// Bytes from a function to the next symbol.
fn size_of_function(function: &str) -> Result<u64> {
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let mut lines = symbols.lines().map(|line| {
        let mut words = line.split_whitespace();
        let address = words
            .next()
            .and_then(|word| u64::from_str_radix(word, 16).ok());
        (address, words.nth(1))
    });
    let Some((Some(start), _)) = lines.find(|&(_, name)| name == Some(function)) else {
        return unable(format!("the kernel has no {function}()"));
    };
    let next = lines.find_map(|(address, _)| address.filter(|&address| address > start));
    Ok(next.context("no symbol follows it")? - start)
}

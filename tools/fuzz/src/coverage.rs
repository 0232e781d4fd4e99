// SPDX-License-Identifier: GPL-2.0
//! The code of the module that was run, by the module's symbols.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;

use anyhow::{Context, Result};

/// Part of the symbol names of all functions of the device's files.
const DEVICE: &str = "6device";

/// The loaded module.
#[derive(Debug)]
pub(crate) struct Module {
    name: String,
    /// Addresses of its code and data.
    memory: Range<u64>,
    /// Its functions by their start addresses.
    functions: BTreeMap<u64, String>,
}

/// Number of functions of the device's files that were run, and of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Functions {
    pub(crate) hit: usize,
    pub(crate) all: usize,
}

impl Module {
    /// Reads from the kernel where the module is.
    pub(crate) fn loaded() -> Result<Self> {
        let read = |path| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
        Self::parse(&read("/proc/modules")?, &read("/proc/kallsyms")?)
            .context("the kernel does not show where the module is")
    }

    fn parse(modules: &str, symbols: &str) -> Option<Self> {
        let line = modules
            .lines()
            .find(|line| line.starts_with("owner_storage") && !line.contains("_torture "))?;
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let size: u64 = words.next()?.parse().ok()?;
        let start = words.find_map(|word| word.strip_prefix("0x"))?;
        let start = u64::from_str_radix(start, 16).ok().filter(|&at| at != 0)?;
        let tag = format!("[{name}]");
        let functions = symbols
            .lines()
            .filter_map(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                let [address, kind, symbol, module] = words[..] else {
                    return None;
                };
                let is_function = matches!(kind, "t" | "T") && module == tag;
                let address = u64::from_str_radix(address, 16).ok()?;
                is_function.then(|| (address, symbol.to_owned()))
            })
            .collect();
        Some(Self {
            name,
            memory: start..start + size,
            functions,
        })
    }

    /// Whether an address is in the module.
    pub(crate) fn has(&self, address: u64) -> bool {
        self.memory.contains(&address)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The functions of the device among the code that was run.
    pub(crate) fn device_functions(&self, run: &BTreeSet<u64>) -> Functions {
        let hit: BTreeSet<_> = run
            .iter()
            .filter_map(|&address| self.functions.range(..=address).next_back())
            .map(|(&start, _)| start)
            .collect();
        let of_device = self
            .functions
            .iter()
            .filter(|(_, name)| name.contains(DEVICE));
        let starts: Vec<_> = of_device.map(|(start, _)| start).collect();
        Functions {
            hit: starts.iter().filter(|start| hit.contains(start)).count(),
            all: starts.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_belong_to_functions() {
        let modules = "other 4096 0 - Live 0x0\n\
                       owner_storage_test 8192 1 - Live 0x1000 (O)\n";
        let symbols = "1000 t _RNvNtCs1_13owner_storage6device4elem\t[owner_storage_test]\n\
                       1100 t _RNvNtCs1_13owner_storage6device4list\t[owner_storage_test]\n\
                       1200 t _RNvNtCs1_13owner_storage7storage\t[owner_storage_test]\n\
                       1300 d _RNvNtCs1_13owner_storage6device4data\t[owner_storage_test]\n\
                       1040 t _RNvNtCs1_6device\t[other]\n";
        let module = Module::parse(modules, symbols).unwrap();
        assert_eq!(module.name(), "owner_storage_test");
        assert!(module.has(0x1000) && module.has(0x2fff) && !module.has(0x3000));
        let functions = |run: &[u64]| module.device_functions(&run.iter().copied().collect());
        assert_eq!(functions(&[]), Functions { hit: 0, all: 2 });
        assert_eq!(functions(&[0x1050, 0x1250]), Functions { hit: 1, all: 2 });
        assert_eq!(functions(&[0x1050, 0x10ff, 0x1100]).hit, 2);
    }
}

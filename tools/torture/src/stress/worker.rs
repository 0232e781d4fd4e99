// SPDX-License-Identifier: GPL-2.0
//! A thread that runs random operations and checks their results: no error that the
//! concurrent steps do not explain, and no data of another owner or map.

use std::collections::HashSet;
use std::fs::File;

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Elem, list_owner};
use ostor::random::Random;
use ostor::report::Report;

use super::mix::{Mix, Op, Step};
use super::workload::{Workload, value_of};

/// The kinds of faults that are injected, each of which explains an error.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Injected {
    pub(crate) locks: bool,
    pub(crate) allocs: bool,
}

impl Injected {
    /// Whether an injected fault can cause the error.
    pub(crate) fn explains(self, errno: Errno) -> bool {
        match errno {
            Errno::EDEADLK => self.locks,
            Errno::ENOMEM => self.allocs,
            _ => false,
        }
    }
}

/// The state of one thread.
pub(crate) struct Worker<'a> {
    workload: &'a Workload,
    device: &'a File,
    mix: Mix,
    injected: Injected,
    random: Random,
    pub(crate) report: Report,
}

impl<'a> Worker<'a> {
    /// A worker whose steps are drawn from `mix` with `random`.
    pub(crate) fn new(
        workload: &'a Workload,
        device: &'a File,
        mix: Mix,
        injected: Injected,
        random: Random,
    ) -> Self {
        Self {
            workload,
            device,
            mix,
            injected,
            random,
            report: Report::default(),
        }
    }

    /// Runs one step.
    pub(crate) fn step(&mut self) {
        match self.mix.choose(&mut self.random) {
            Step::CloseMap => {
                let result = self.workload.replace_map(|end| self.random.below(end));
                self.note("map closed", result, |_| false);
            }
            Step::EndOwner => {
                let result = self.workload.replace_owner(|end| self.random.below(end));
                let what = match &result {
                    Ok(kind) => format!("{kind} ended"),
                    Err(_) => "owner ended".to_owned(),
                };
                self.note(&what, result.map(drop), |_| false);
            }
            Step::List => {
                let result = self.list();
                self.note("list", result, |_| false);
            }
            Step::ListOwner => self.list_owner(),
            Step::Operate(op) => self.operate(op),
        }
    }

    /// Counts a result. An error is a problem unless `is_expected` or an injected fault
    /// explains it.
    fn note(&mut self, what: &str, result: Result<()>, is_expected: impl Fn(Errno) -> bool) {
        let Err(error) = result else {
            return self.report.add(&format!("{what}: ok"), 1);
        };
        let errno = error.downcast_ref().map(device::Error::errno);
        match errno.filter(|errno| is_expected(*errno) || self.injected.explains(*errno)) {
            Some(errno) => self.report.add(&format!("{what}: {errno:?}"), 1),
            None => self.report.problem(format!("{what}: {error:#}")),
        }
    }

    /// Runs an operation on one element.
    fn operate(&mut self, op: Op) {
        let map = self.workload.map(|end| self.random.below(end));
        let owner = self.workload.owner(|end| self.random.below(end));
        let value = value_of(map.number, owner.number);
        let result = op.run(&map.map, owner.object.owner(), &value);
        if let Ok(elem) = &result {
            self.check(elem.as_ref(), &value);
        }
        let result = result.map(drop).map_err(Into::into);
        self.note(op.name(), result, |errno| match errno {
            Errno::ENOENT => op.may_find_none(),
            Errno::EEXIST => op == Op::Update(device::Mode::NoExist),
            Errno::ESRCH => owner.is_ending(),
            _ => false,
        });
    }

    /// Checks that a value is that of its map and owner.
    fn check(&mut self, elem: Option<&Elem>, value: &[u8]) {
        if let Some(elem) = elem.filter(|elem| elem.value != value) {
            let text = format!(
                "data of another element: {:?}, must be {value:?}",
                elem.value
            );
            self.report.problem(text);
        }
    }

    /// Lists a map in parts. No element may be listed twice, all values must be of the
    /// map, and the elements that live as long as the map must be listed.
    fn list(&mut self) -> Result<()> {
        let map = self.workload.map(|end| self.random.below(end));
        let mut listing = map.map.listing(1 + self.random.below(64) as u32);
        let mut numbers = HashSet::new();
        while let Some(part) = listing.next_part()? {
            for item in part {
                if !numbers.insert(item.entry.seq) {
                    self.report
                        .problem(format!("{:?} was listed twice", item.entry));
                }
                if item.value[..8] != map.number.to_ne_bytes() {
                    self.report
                        .problem(format!("a value of another map: {item:?}"));
                }
            }
        }
        for steady in &map.steady {
            if !numbers.contains(&steady.seq) {
                self.report
                    .problem(format!("element {} was not listed", steady.seq));
            }
        }
        Ok(())
    }

    /// Lists an owner's elements. Each map must be listed at most once.
    fn list_owner(&mut self) {
        let owner = self.workload.owner(|end| self.random.below(end));
        let result = list_owner(self.device, owner.object.owner());
        if let Ok(elements) = &result {
            if !elements.is_sorted_by(|one, next| one.map_id < next.map_id) {
                let text = format!("an owner's elements out of order: {elements:?}");
                self.report.problem(text);
            }
        }
        let result = result.map(drop).map_err(Into::into);
        self.note("list an owner", result, |errno| {
            errno == Errno::ESRCH && owner.is_ending()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_injected_faults_explain_an_error() {
        let none = Injected::default();
        let locks = Injected {
            locks: true,
            ..none
        };
        assert!(locks.explains(Errno::EDEADLK) && !none.explains(Errno::EDEADLK));
        assert!(!locks.explains(Errno::ENOMEM));
        assert!(!locks.explains(Errno::ETIMEDOUT));
    }
}

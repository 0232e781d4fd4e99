// SPDX-License-Identifier: GPL-2.0

//! Read sections, grace periods, and the pointers that read sections have loaded.

use crate::{
    engine::Engine,
    interrupt::step,
    world::{
        cpu,
        wait_until,
        wake,
        with,
        Slot,
        World, //
    }, //
};
use std::{
    rc::Rc,
    sync::atomic::Ordering,
    thread::panicking, //
};

/// The grace periods of an execution.
///
/// Loom learns of the order that grace periods give from two kinds of words: one that each grace
/// period begins with, and one per CPU that it ends its read sections with. They give no other
/// order: to enter a read section is no barrier. One more load and store, whose values do not
/// matter, make loom try both orders of an entry and the begin of a grace period.
pub(crate) struct Rcu {
    start: Rc<Slot>,
    starts: u64,
    sections: u64,
}

impl Rcu {
    pub(crate) fn new(start: Rc<Slot>) -> Self {
        Self {
            start,
            starts: 0,
            sections: 0,
        }
    }
}

/// Begins a read section.
pub fn enter() {
    step();
    let enter = with(|w| {
        let cpu = w.cpu();
        let wanted = w.setup.engine == Engine::Loom && !w.alone && w.cpus[cpu].nesting == 0;
        wanted.then(|| w.cpus[cpu].enter.clone())
    });
    if let Some(enter) = enter.filter(|_| !panicking()) {
        enter.word.load(Ordering::Relaxed);
    }
    let outermost = with(|w| {
        let cpu = w.cpu();
        w.cpus[cpu].nesting += 1;
        if w.cpus[cpu].nesting > 1 {
            return false;
        }
        w.rcu.sections += 1;
        w.cpus[cpu].section = w.rcu.sections;
        true
    });
    // A grace period that has begun before does not wait for this section. So this section sees
    // what came before that grace period.
    while outermost && !panicking() {
        let start = with(|w| {
            let (cpu, starts) = (w.cpu(), w.rcu.starts);
            let seen = std::mem::replace(&mut w.cpus[cpu].seen_starts, starts);
            (seen != starts).then(|| w.rcu.start.clone())
        });
        match start {
            Some(start) => drop(start.word.fetch_add(0, Ordering::AcqRel)),
            None => break,
        }
    }
}

/// Ends a read section.
pub fn exit() {
    step();
    let exit = with(|w| {
        let cpu = w.cpu();
        let cpu = &mut w.cpus[cpu];
        if cpu.nesting > 1 {
            cpu.nesting -= 1;
            return None;
        }
        Some(cpu.exit.clone())
    });
    let Some(exit) = exit else {
        return;
    };
    if !panicking() {
        exit.word.fetch_add(1, Ordering::Release);
    }
    with(|w| {
        let cpu = w.cpu();
        let cpu = &mut w.cpus[cpu];
        cpu.exits += 1;
        cpu.nesting -= 1;
        cpu.loaded.clear();
    });
    wake();
}

/// Records that this CPU has loaded a pointer in its read section.
pub fn loaded(target: usize) {
    if target == 0 || panicking() {
        return;
    }
    with(|w| {
        let Some((block, live)) = w.memory.block_of(target) else {
            return;
        };
        assert!(live, "a pointer to {block:#x} is loaded, which is freed");
        let cpu = w.cpu();
        if w.cpus[cpu].nesting > 0 {
            w.cpus[cpu].loaded.insert(block);
        }
    });
}

/// Waits until all read sections that run now have ended: a grace period.
pub fn synchronize() {
    if panicking() {
        return;
    }
    let me = cpu();
    let start = with(|w| {
        let inside = w.cpus[me].nesting > 0;
        assert!(!inside, "a CPU waits for a grace period in a read section");
        w.rcu.start.clone()
    });
    start.word.fetch_add(1, Ordering::AcqRel);
    let others: Vec<_> = with(|w| {
        let others = w.cpus.iter().enumerate().filter(|(cpu, _)| *cpu != me);
        others.map(|(_, cpu)| cpu.enter.clone()).collect()
    });
    for other in others {
        other.word.store(0, Ordering::Relaxed);
    }
    let running: Vec<_> = with(|w| {
        w.rcu.starts += 1;
        let running = w.cpus.iter().enumerate();
        running
            .filter(|(_, cpu)| cpu.nesting > 0)
            .map(|(number, cpu)| (number, cpu.section))
            .collect()
    });
    wait_until(move |w| {
        let over = |&(cpu, section): &(usize, u64)| {
            let cpu = &w.cpus[cpu];
            cpu.nesting == 0 || cpu.section != section
        };
        running.iter().all(over)
    });
    // What these sections did comes before what this CPU does next.
    for exit in with(|w| w.unseen_exits(me)) {
        exit.word.fetch_add(0, Ordering::AcqRel);
    }
}

impl World {
    /// The words of the CPUs that have ended read sections since `me` last waited for a grace
    /// period.
    fn unseen_exits(&mut self, me: usize) -> Vec<Rc<Slot>> {
        let mut unseen = Vec::new();
        for other in 0..self.cpus.len() {
            let exits = self.cpus[other].exits;
            let seen = self.cpus[me].seen_exits.insert(other, exits);
            if other != me && seen.unwrap_or(0) != exits {
                unseen.push(self.cpus[other].exit.clone());
            }
        }
        unseen
    }
}

/// The number of this CPU's read section. Sections are numbered in the order in which they begin.
pub fn section() -> u64 {
    with(|w| {
        let cpu = w.cpu();
        w.cpus[cpu].section
    })
}

/// The number that the next read section of any CPU will have.
pub fn next_section() -> u64 {
    with(|w| w.rcu.sections + 1)
}

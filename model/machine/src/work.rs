// SPDX-License-Identifier: GPL-2.0

//! Works, and the kworkers that run them.

use crate::{
    engine::Handle,
    world::{
        wait_until,
        wake,
        with,
        World, //
    }, //
};
use std::{
    rc::Rc,
    thread::panicking, //
};

struct Work {
    run: Rc<dyn Fn(usize)>,
    asked: bool,
    running: bool,
}

/// The works of an execution.
#[derive(Default)]
pub(crate) struct Works {
    works: Vec<Work>,
    kworkers: Vec<Handle>,
    closed: bool,
}

/// Starts the kworkers, unless they run already.
pub(crate) fn start() {
    let (engine, count) = with(|w| (w.setup.engine, w.setup.kworkers));
    if with(|w| w.works.kworkers.is_empty()) {
        let kworkers = (0..count).map(|_| engine.spawn(kworker)).collect();
        with(|w| w.works.kworkers = kworkers);
    }
}

/// Ends the kworkers.
pub fn close() {
    if panicking() {
        return;
    }
    let kworkers = with(|w| {
        w.works.closed = true;
        std::mem::take(&mut w.works.kworkers)
    });
    wake();
    kworkers.into_iter().for_each(Handle::join);
}

/// Makes a work of a function and returns the number of the work, which the function is called
/// with.
pub fn add(run: impl Fn(usize) + 'static) -> usize {
    let run = Rc::new(run);
    with(|w| {
        w.works.works.push(Work {
            run,
            asked: false,
            running: false,
        });
        w.works.works.len() - 1
    })
}

/// Queues a work: it runs at least once after this, and not twice at a time. Returns whether it was
/// queued already.
pub fn ask(number: usize) -> bool {
    let before = with(|w| std::mem::replace(&mut w.works.works[number].asked, true));
    wake();
    before
}

/// Waits until a work is neither queued nor running.
pub fn flush(number: usize) {
    sleep_until(move |w| {
        let work = &w.works.works[number];
        !work.asked && !work.running
    });
}

/// Waits until no work is queued or running.
pub fn flush_all() {
    sleep_until(|w| {
        let mut works = w.works.works.iter();
        works.all(|work| !work.asked && !work.running)
    });
}

/// Waits until another thread has made `condition` true, in a context that may sleep.
pub fn sleep_until(condition: impl Fn(&World) -> bool + Clone + 'static) {
    while !panicking() {
        let alone = with(|w| w.works.kworkers.is_empty());
        let wanted = condition.clone();
        wait_until(move |w| wanted(w) || alone && w.works.next().is_some());
        if with(|w| condition(w)) {
            return;
        }
        do_one();
    }
}

fn kworker() {
    loop {
        wait_until(|w| w.works.closed || w.works.next().is_some());
        if !do_one() && with(|w| w.works.closed) {
            return;
        }
    }
}

/// Runs a work that is queued, and returns whether there was one.
fn do_one() -> bool {
    let next = with(|w| {
        let number = w.works.next()?;
        let work = &mut w.works.works[number];
        (work.asked, work.running) = (false, true);
        Some((number, work.run.clone()))
    });
    let Some((number, run)) = next else {
        return false;
    };
    run(number);
    with(|w| w.works.works[number].running = false);
    wake();
    true
}

impl Works {
    fn next(&self) -> Option<usize> {
        let ready = |work: &Work| work.asked && !work.running;
        self.works.iter().position(ready)
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Recursion in a drop: an operation in the drop of a value that another operation has ended.

use crate::{
    op::{
        Op,
        Prepared, //
    },
    recurse::Inner,
    sync::{
        self,
        Completion, //
    }, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        rcu,
        Arc,
        Mutex, //
    }, //
};
use owner_storage::api::{
    Map,
    Mode,
    Refusal, //
};

/// A value whose drop runs an operation, if it has one.
struct Value(Option<Arc<Job>>);

impl Drop for Value {
    fn drop(&mut self) {
        if let Some(job) = self.0.take() {
            job.run();
        }
    }
}

/// What the drop does.
#[pin_data]
struct Job {
    inner: Arc<Inner>,
    /// The map of the value, for the drop to run the operation in.
    #[pin]
    map: Mutex<Option<Arc<Map<Value>>>>,
    #[pin]
    done: Completion,
}

impl Job {
    fn run(&self) {
        let map = self.map.lock().take();
        if let Some(map) = map {
            let op = &self.inner.op;
            let run = || match op.map() {
                Ok(_) => op.run(),
                Err(_) => run_in(&map, op),
            };
            // If there is no memory for it, the result shows that the operation was not run.
            let _ = self.inner.with(&run, |run| run());
        }
        self.done.complete_all();
    }
}

/// Runs the outer operation on a value of its owner's in a map of this function's own, and returns
/// when the inner one has run in the drop of that value. May sleep.
pub(crate) fn recurse(outer: &Prepared, inner: &Arc<Inner>) -> Result<Result> {
    let map = Arc::new(Map::new(sync::this_module())?, GFP_KERNEL)?;
    let its_map = Some(map.clone());
    let job = Arc::pin_init(
        pin_init!(Job {
            inner: inner.clone(),
            map <- new_mutex!(its_map),
            done <- Completion::new(),
        }),
        GFP_KERNEL,
    )?;
    let result = end_value(&map, outer, &job);
    if result == Ok(Ok(())) {
        job.done.wait_for_completion();
    }
    // If the value was not ended, its drop must not run anything.
    let unused = job.map.lock().take();
    drop(unused);
    result
}

/// Stores the value, and ends it by the outer operation.
fn end_value(map: &Map<Value>, outer: &Prepared, job: &Arc<Job>) -> Result<Result> {
    if !matches!(outer.op(), Op::Put(Mode::Any) | Op::Delete) {
        return Err(EINVAL);
    }
    map.get_or_create(
        outer.owner(),
        || Value(Some(job.clone())),
        &rcu::read_lock(),
    )?;
    Ok(run_in(map, outer))
}

/// Runs an operation in the map of values, and stores one that does nothing. Any context.
fn run_in(map: &Map<Value>, op: &Prepared) -> Result {
    let (owner, rcu) = (op.owner(), rcu::read_lock());
    match op.op() {
        Op::Lookup => map.get(owner, &rcu).map(|_| ()).ok_or(Refusal::Missing),
        Op::Put(Mode::Get) => map.get_or_create(owner, || Value(None), &rcu).map(|_| ()),
        Op::Put(mode) => map.update(owner, mode, Value(None), &rcu).map(|_| ()),
        Op::Delete => map.delete(owner, &rcu).map(|_| ()),
    }?;
    Ok(())
}

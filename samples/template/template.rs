// SPDX-License-Identifier: GPL-2.0

//! A template: a module outside of owner_storage's tree that keeps a value for each task.
//!
//! `/sys/kernel/debug/template/reads` tells a task how often it has read that file. A task's count
//! goes with the task, and all counts go with the module.

use kernel::{
    current,
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu, //
    },
    task::Task, //
};
use owner_storage::api::Map;

module! {
    type: Template,
    name: "template",
    authors: ["You"],
    description: "A value for each task",
    license: "GPL",
    // Where the symbols of owner_storage are exported.
    imports_ns: ["OWNER_STORAGE"],
}

struct Template {
    _file: Pin<KBox<File<Map<Atomic<u64>>>>>,
}

impl kernel::Module for Template {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let reads = Map::new(module)?;
        let dir = Dir::new(c"template");
        let file = dir.read_callback_file(c"reads", reads, &show);
        Ok(Self {
            _file: KBox::pin_init(file, GFP_KERNEL)?,
        })
    }
}

/// Counts a read of the calling task's, and prints the count.
fn show(reads: &Map<Atomic<u64>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let task: &Task = current!();
    // The value can be used as long as the guard lives.
    let rcu = rcu::read_lock();
    let mine = reads.get_or_create(task, || Atomic::new(0), &rcu);
    let mine = mine.map_err(|_| fmt::Error)?.value;
    writeln!(f, "{}", mine.fetch_add(1, Relaxed) + 1)
}

// SPDX-License-Identifier: GPL-2.0

//! A module that uses owner_storage and goes in each possible way: it drops its maps, forgets them,
//! or has them in a static, and its initialisation succeeds or fails.
//!
//! `/sys/kernel/debug/goes/values` gives a task that reads it a value in each map. Their drops use
//! and drop other maps of the module. The drops are text of the module, so a drop that comes too
//! late is an oops.

use kernel::{
    current,
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    prelude::*,
    sync::{
        rcu,
        Arc,
        SetOnce, //
    },
    task::Task,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use owner_storage::api::{
    Map,
    Mode,
    Refusal, //
};

module! {
    type: Goes,
    name: "goes",
    authors: ["The owner_storage developers"],
    description: "Torture of owner-attached storage: a user module that goes",
    license: "GPL",
    imports_ns: ["OWNER_STORAGE"],
    params: {
        way: i32 {
            default: 0,
            description: "What becomes of the maps: 0 dropped, 1 forgotten, 2 in a static",
        },
        fail: i32 {
            default: 0,
            description: "Whether the initialisation fails, after this number of milliseconds",
        },
    },
}

/// The maps, if they are in a static.
static MAPS: SetOnce<Arc<Maps>> = SetOnce::new();

/// A value with a drop that must run.
struct Plain(#[expect(dead_code, reason = "held for its drop")] KBox<u64>);

impl Plain {
    fn new() -> Result<Self> {
        Ok(Self(KBox::new(1, GFP_KERNEL)?))
    }
}

/// A value whose drop uses other maps and drops maps, in a kworker.
struct Nested {
    others: [Arc<Map<Plain>>; 2],
    /// A map of the value's own, which ends with it.
    _own: Map<Plain>,
    module: &'static ThisModule,
}

impl Drop for Nested {
    fn drop(&mut self) {
        // A failure changes nothing: the map may have ended.
        for map in &self.others {
            let _ = give(map);
        }
        if let Ok(map) = Map::new(self.module) {
            let _ = give(&map);
        }
    }
}

/// Gives the calling task a value. May sleep.
fn give(map: &Map<Plain>) -> Result {
    let value = Plain::new()?;
    store(map, value)?;
    Ok(())
}

/// Stores `value` for the calling task.
fn store<T: Send + Sync>(map: &Map<T>, value: T) -> Result<(), Refusal> {
    let task: &Task = current!();
    map.update(task, Mode::Any, value, &rcu::read_lock())?;
    Ok(())
}

/// Maps are ended in the order in which they were made: one of the others before the values that
/// use it are dropped, and one after that.
struct Maps {
    nested: Map<Nested>,
    others: [Arc<Map<Plain>>; 2],
    module: &'static ThisModule,
}

impl Maps {
    fn new(module: &'static ThisModule) -> Result<Arc<Self>> {
        let before = Arc::new(Map::new(module)?, GFP_KERNEL)?;
        let nested = Map::new(module)?;
        let after = Arc::new(Map::new(module)?, GFP_KERNEL)?;
        let maps = Self {
            nested,
            others: [before, after],
            module,
        };
        Ok(Arc::new(maps, GFP_KERNEL)?)
    }

    /// Gives the calling task a value in each map. May sleep.
    fn give(&self) -> Result {
        for map in &self.others {
            give(map)?;
        }
        let own = Map::new(self.module)?;
        give(&own)?;
        let value = Nested {
            others: self.others.clone(),
            _own: own,
            module: self.module,
        };
        store(&self.nested, value)?;
        Ok(())
    }
}

fn show(maps: &Arc<Maps>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    maps.give().map_err(|_| fmt::Error)?;
    writeln!(f, "given")
}

struct Goes {
    _file: Pin<KBox<File<Arc<Maps>>>>,
}

impl kernel::Module for Goes {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let maps = Maps::new(module)?;
        match module_parameters::way.value() {
            0 => {}
            1 => core::mem::forget(maps.clone()),
            2 => {
                MAPS.populate(maps.clone());
            }
            _ => return Err(EINVAL),
        }
        let dir = Dir::new(c"goes");
        let file = KBox::pin_init(
            dir.read_callback_file(c"values", maps.clone(), &show),
            GFP_KERNEL,
        )?;
        maps.give()?;
        #[allow(clippy::clone_on_copy, reason = "Linux 7.2 gives a reference")]
        let fail = module_parameters::fail.value().clone();
        if fail != 0 {
            fsleep(Delta::from_millis(fail.into()));
            return Err(ENODEV);
        }
        Ok(Self { _file: file })
    }
}

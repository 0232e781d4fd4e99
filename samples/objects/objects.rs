// SPDX-License-Identifier: GPL-2.0

//! Objects of a module's own as owners.
//!
//! The module has sessions. A write of a number to `/sys/kernel/debug/objects/sessions` opens
//! sessions, or closes the youngest, until there are so many, and then visits each of them. A read
//! prints the number of each session and its visits. The visits are values of a map, not a field:
//! code that does not know sessions can attach values to them in the same way.

use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu,
        Mutex, //
    },
    uaccess::UserSliceReader, //
};
use owner_storage::api::{
    Map,
    OwnerSlot, //
};

module! {
    type: Objects,
    name: "objects",
    authors: ["The owner_storage developers"],
    description: "Objects of a module's own as owners",
    license: "GPL",
    imports_ns: ["OWNER_STORAGE"],
}

/// The slot makes it an owner. It is found by its address, so a session does not move.
#[pin_data]
struct Session {
    #[pin]
    owner: OwnerSlot,
}

/// Sessions, which end together when this is dropped: each by itself would wait for a grace period.
struct Open(KVec<Pin<KBox<Session>>>);

impl Open {
    /// Opens sessions until there are `count`. May sleep.
    fn grow(&mut self, count: usize) -> Result {
        while self.0.len() < count {
            let session = pin_init!(Session {
                owner <- OwnerSlot::new(),
            });
            self.0
                .push(KBox::pin_init(session, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Leaves the first `count`, and returns the others, with the same addresses. May sleep.
    fn split(&mut self, count: usize) -> Result<Self> {
        let others = self.0.len().saturating_sub(count);
        let mut split = Self(KVec::with_capacity(others, GFP_KERNEL)?);
        while let Some(session) = (self.0.len() > count).then(|| self.0.pop()).flatten() {
            split.0.push(session, GFP_KERNEL)?;
        }
        Ok(split)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OwnerSlot::end_all(|| self.0.iter().map(|session| &session.owner));
    }
}

#[pin_data]
struct Sessions {
    #[pin]
    open: Mutex<Open>,
    visits: Map<Atomic<u64>>,
}

impl Sessions {
    fn new(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            open <- new_mutex!(Open(KVec::new())),
            visits: Map::new(module)?,
        })
    }

    /// Counts a visit of each session.
    fn visit(&self, open: &Open) -> Result {
        for session in &open.0 {
            let rcu = rcu::read_lock();
            let visits = self
                .visits
                .get_or_create(&session.owner, || Atomic::new(0), &rcu)?;
            visits.value.add(1, Relaxed);
        }
        Ok(())
    }
}

/// Prints all sessions. It may be called more than once for a read.
fn show(sessions: &Sessions, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let open = sessions.open.lock();
    for (number, session) in open.0.iter().enumerate() {
        let rcu = rcu::read_lock();
        let visits = sessions.visits.get(&session.owner, &rcu);
        writeln!(
            f,
            "{number} {}",
            visits.map_or(0, |visits| visits.load(Relaxed))
        )?;
    }
    Ok(())
}

/// Opens or closes sessions, and visits them.
fn write(sessions: &Sessions, input: &mut UserSliceReader) -> Result {
    let mut text = [0; 16];
    let text = text.get_mut(..input.len()).ok_or(EINVAL)?;
    input.read_slice(text)?;
    let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
    let count = text.trim().parse::<usize>().map_err(|_| EINVAL)?;
    let mut open = sessions.open.lock();
    let closed = open.split(count)?;
    let result = open.grow(count).and_then(|()| sessions.visit(&open));
    // The grace period passes without the lock.
    drop(open);
    drop(closed);
    result
}

struct Objects {
    _file: Pin<KBox<File<Sessions>>>,
}

impl kernel::Module for Objects {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let dir = Dir::new(c"objects");
        let sessions = Sessions::new(module);
        let file = dir.read_write_callback_file(c"sessions", sessions, &show, &write);
        Ok(Self {
            _file: KBox::pin_init(file, GFP_KERNEL)?,
        })
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Each operation in the middle of each other one, before each of its steps: on one CPU, and while
//! another CPU works on the same owner.

use super::{
    one_lock_fails,
    NO_FAULTS, //
};
use crate::{
    explore::{
        number,
        runtime,
        Explore, //
    },
    mock::{
        Fixture,
        Mock,
        PLACES,
        ROOM, //
    },
    storage::{
        create::Mode,
        error::Refusal,
        owner::Owner, //
    },
    sync::{
        fault::{
            self,
            Site, //
        },
        res_lock::{
            self,
            LockError, //
        }, //
    },
};
use machine::interrupt::{
    self,
    Kind, //
};
use std::sync::Arc;

/// Two maps, an owner that has an element in one of them or none, and another owner that can be
/// created from it.
#[derive(Clone)]
struct Case {
    f: Arc<Fixture>,
    other: Arc<Fixture>,
    owner: &'static Mock,
    child: &'static Mock,
}

impl Case {
    fn new(exists: bool) -> Self {
        let case = Self {
            f: Arc::new(Fixture::cloning()),
            other: Arc::new(Fixture::new()),
            owner: Mock::new(PLACES[0], 1, Some(ROOM)),
            child: Mock::new(PLACES[1], 2, Some(ROOM)),
        };
        if exists {
            let created = fault::spare(|| case.f.create(case.owner, 1));
            assert!(created == Ok((1, true)));
        }
        case
    }

    /// Ends the maps. All that was charged must be given back, whatever locks have failed.
    fn end(self) {
        assert!(self.f.elements() == self.found(self.owner) + self.found(self.child));
        let Self {
            f,
            other,
            owner,
            child,
        } = self;
        drop((f, other));
        assert!(owner.charge_now() == 0 && child.charge_now() == 0);
    }

    fn found(&self, owner: &Mock) -> u64 {
        u64::from(self.f.get(owner).is_some())
    }
}

type Operation = fn(&Case);

/// The operations that are interrupted.
const OPERATIONS: [Operation; 8] = [
    |case| ignore(case.f.create(case.owner, 2)),
    |case| ignore(case.f.update(case.owner, Mode::Any, 3)),
    |case| ignore(case.f.update(case.owner, Mode::Exist, 4)),
    |case| ignore(case.f.update(case.owner, Mode::NoExist, 5)),
    |case| ignore(case.f.delete(case.owner)),
    |case| ignore(case.other.create(case.owner, 6)),
    |case| ignore(case.owner.die()),
    // The reaper's work.
    |case| {
        ignore(case.f.update(case.owner, Mode::Any, 7));
        runtime().flush();
    },
];

/// Ignores the result of an operation. The operations that interrupt it check theirs.
fn ignore<T>(_outcome: T) {}

/// The operations that interrupt.
const INTERRUPTS: [Operation; 6] = [
    |case| ignore(case.f.get(case.owner)),
    |case| locks(case, || case.f.create(case.owner, 11).map(drop)),
    |case| locks(case, || case.f.update(case.owner, Mode::Any, 12).map(drop)),
    |case| {
        locks(case, || {
            case.other.update(case.owner, Mode::Any, 13).map(drop)
        })
    },
    |case| {
        let deleted = case.f.delete(case.owner);
        assert!(matches!(deleted, Ok(_) | Err(Refusal::Missing)));
    },
    |case| runtime().inherit(case.owner.id(), case.child),
];

/// Returns whether this CPU holds the lock of a storage.
fn holds_storage() -> bool {
    [Site::LinkLock, Site::UnlinkLock]
        .into_iter()
        .any(res_lock::holds)
}

/// Runs an operation that may take the lock of the owner's storage. It must get a lock error only
/// if the CPU holds such a lock already.
fn locks(case: &Case, operation: impl FnOnce() -> Result<(), Refusal>) {
    let held = holds_storage();
    match operation() {
        Ok(()) => {}
        Err(Refusal::Lock(LockError::Deadlock)) => {
            assert!(held, "a lock error, though no lock is held")
        }
        Err(Refusal::OwnerDead) => assert!(!case.owner.is_alive()),
        Err(refusal) => panic!("{refusal:?} in an interrupt"),
    }
}

/// Runs an update on the only CPU. It must be refused if and only if the CPU holds the lock of the
/// owner's live storage.
fn exactly(case: &Case) {
    let held = holds_storage() && runtime().has_storage(case.owner.id());
    match case.f.update(case.owner, Mode::Any, 14) {
        Ok(_) => assert!(!held, "no lock error, though the lock is held"),
        Err(Refusal::Lock(LockError::Deadlock)) => {
            assert!(held, "a lock error, though no lock is held")
        }
        Err(refusal) => assert!(refusal == Refusal::OwnerDead && !case.owner.is_alive()),
    }
}

/// Runs `operation`, and `inside` after so many of its steps. Returns whether `inside` has run.
fn interrupted<T: Clone + 'static>(
    case: &T,
    operation: impl FnOnce(&T),
    step: u64,
    kind: Kind,
    inside: fn(&T),
) -> bool {
    let interrupts = case.clone();
    interrupt::after(step, kind, move || inside(&interrupts));
    operation(case);
    interrupt::cancel()
}

/// On one CPU.
fn alone(
    (operation, inside, kind, exists): (Operation, Operation, Kind, bool),
) -> impl Fn(u64) -> bool + Copy {
    move |step| {
        let case = Case::new(exists);
        let came = interrupted(&case, operation, step, kind, inside);
        case.end();
        came
    }
}

/// Another CPU runs `meanwhile` at the same time.
fn with_another(
    (operation, inside, meanwhile): (Operation, Operation, Operation),
) -> impl Fn(u64) -> bool + Copy {
    move |step| {
        let case = Case::new(true);
        let other = case.clone();
        let thread = machine::spawn(move || meanwhile(&other));
        let came = interrupted(&case, operation, step, Kind::Nmi, inside);
        thread.join();
        case.end();
        came
    }
}

/// What interrupts the end of a map works on: another map, an owner, and one that is created from
/// it.
#[derive(Clone)]
struct Ending {
    other: Arc<Fixture>,
    owner: &'static Mock,
    child: &'static Mock,
}

/// The kind of an interrupt, and what it does.
type Interruption = (Kind, fn(&Ending));

const IN_AN_END: [Interruption; 5] = [
    (Kind::Nmi, |ending| {
        runtime().inherit(ending.owner.id(), ending.child)
    }),
    (Kind::Nmi, |ending| {
        // The plan can make the lock fail.
        let updated = ending.other.update(ending.owner, Mode::Any, 20);
        assert!(matches!(updated, Ok(false) | Err(Refusal::Lock(_))));
    }),
    (Kind::Nmi, |ending| {
        assert!(ending.other.delete(ending.owner) == Ok(20))
    }),
    (Kind::Nmi, |ending| {
        assert!(ending.other.get(ending.owner) == Some(20))
    }),
    // A notice of death does not come in an NMI.
    (Kind::Irq, |ending| assert!(ending.owner.notice())),
];

/// A map ends, and the reaper frees its elements.
fn end((kind, inside): Interruption) -> impl Fn(u64) -> bool + Copy {
    move |step| {
        let f = Fixture::cloning();
        let ending = Ending {
            other: Arc::new(Fixture::new()),
            owner: Mock::new(PLACES[0], 1, Some(ROOM)),
            child: Mock::new(PLACES[1], 2, Some(ROOM)),
        };
        fault::spare(|| {
            assert!(f.create(ending.owner, 19) == Ok((19, true)));
            assert!(ending.other.create(ending.owner, 20) == Ok((20, true)));
        });
        if kind == Kind::Irq {
            ending.owner.leave();
        }
        let came = interrupted(&ending, move |_| drop(f), step, kind, inside);
        let Ending {
            other,
            owner,
            child,
        } = ending;
        drop(other);
        assert!(owner.charge_now() == 0 && child.charge_now() == 0);
        came
    }
}

/// All pairs.
fn pairs<A: Copy, B: Copy>(
    one: impl IntoIterator<Item = A>,
    other: impl IntoIterator<Item = B> + Copy,
) -> impl Iterator<Item = (A, B)> {
    one.into_iter()
        .flat_map(move |a| other.into_iter().map(move |b| (a, b)))
}

#[test]
fn interrupt_alone_loom() {
    let inside = INTERRUPTS.into_iter().chain([exactly as Operation]);
    let inside: Vec<_> = inside.collect();
    let cases = OPERATIONS.into_iter().flat_map(|operation| {
        inside.iter().flat_map(move |&inside| {
            pairs([Kind::Nmi, Kind::Irq], [false, true])
                .map(move |(kind, exists)| (operation, inside, kind, exists))
        })
    });
    let model = Explore::new("anything in the middle of anything");
    model.loom_at_each_step(NO_FAULTS, cases.map(alone));
}

#[test]
fn interrupt_end_loom() {
    let model = Explore::new("anything in the middle of a map's end");
    model.loom_at_each_step(&one_lock_fails(3), IN_AN_END.into_iter().map(end));
}

#[test]
fn interrupt_with_another_loom() {
    let model = Explore::new("an NMI in the middle, and another CPU").preemptions(1);
    let [create, update, .., delete, _, death, _] = OPERATIONS;
    let [_, _, inside_update, _, inside_delete, _] = INTERRUPTS;
    let pairs_of = |operation| {
        pairs([inside_update, inside_delete], [update, delete])
            .map(move |(inside, meanwhile)| (operation, inside, meanwhile))
    };
    let mut cases: Vec<_> = [create, update, delete, death]
        .into_iter()
        .flat_map(pairs_of)
        .collect();
    if number::<u8>("LOOM_LONG").is_none() {
        cases = vec![
            (update, inside_delete, death),
            (delete, inside_update, death),
        ];
    }
    model.loom_at_each_step(NO_FAULTS, cases.into_iter().map(with_another));
}

// SPDX-License-Identifier: GPL-2.0
//! One operation inside another: EDEADLK exactly where its CPU holds a lock that it needs.

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{self, Map, Mode, Owner};
use ostor::process::Child;
use ostor::recursion::{Case, Fixture};
use ostor::settle;
use ostor::torture::{Context, Op, OpKind, Point, Recursion, TortureDevice, ioctl};
use uapi::ostor_recurse;

use crate::harness::{assert_refused_unchanged, new_map};

crate::suite![
    every_case,
    a_deadlock_is_counted_in_its_map,
    an_unlinking_under_a_held_lock_is_finished_later,
    both_create_one_element,
    an_outer_operation_that_does_not_pass_the_point,
    refused,
];

const CYCLE: Case = Case {
    point: Point::Storage,
    context: Context::Task,
    outer: OpKind::Update,
    outer_exists: false,
    inner: OpKind::Update,
    inner_exists: false,
    same_owner: true,
    same_map: false,
};

fn every_case() -> Result<()> {
    let (fixture, cases) = (Fixture::new()?, Case::all(Context::Task));
    assert!(cases.len() > 150, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = fixture.run(case)?;
        if !verdict.ok {
            wrong.push(format!(
                "{case:?}: {verdict:?}, must be {:?}",
                case.allowed(fixture.matrix())
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        cases.len()
    );
    Ok(())
}

fn a_deadlock_is_counted_in_its_map() -> Result<()> {
    let fixture = Fixture::new()?;
    assert!(fixture.run(&CYCLE)?.ok);
    assert_eq!(fixture.other_map().info()?.deadlocks, 1);
    assert_eq!(fixture.outer_map().info()?.deadlocks, 0);
    assert!(
        fixture
            .run(&Case {
                same_owner: false,
                ..CYCLE
            })?
            .ok
    );
    assert!(
        fixture
            .run(&Case {
                point: Point::None,
                ..CYCLE
            })?
            .ok
    );
    assert_eq!(fixture.other_map().info()?.deadlocks, 1);
    Ok(())
}

fn an_unlinking_under_a_held_lock_is_finished_later() -> Result<()> {
    let (fixture, before) = (Fixture::new()?, device::stats()?);
    let case = Case {
        inner: OpKind::Delete,
        inner_exists: true,
        ..CYCLE
    };
    assert!(fixture.run(&case)?.ok);
    let info = fixture.other_map().info()?;
    assert_eq!((info.elements, info.deleted, info.deferred), (0, 1, 1));
    let finished = settle::until(|| {
        let (info, stats) = (fixture.other_map().info()?, device::stats()?);
        Ok(info.pending == 0
            && stats.finished - before.finished == stats.deferred - before.deferred)
    })?;
    assert!(finished, "{:?}", device::stats()?);
    assert!(device::stats()?.deferred > before.deferred);
    Ok(())
}

fn both_create_one_element() -> Result<()> {
    let (map, torture) = (new_map()?, TortureDevice::open()?);
    let (outer, inner) = (
        Op::own(OpKind::Create, &map, 1),
        Op::own(OpKind::Create, &map, 2),
    );
    let outcome = Recursion {
        outer,
        inner,
        point: Point::None,
        context: Context::Task,
    }
    .run(&torture)?;
    assert_eq!((outcome.outer, outcome.inner), (Ok(()), Some(Ok(()))));
    let info = map.info()?;
    assert_eq!((info.elements, info.created), (1, 1));
    assert_eq!(map.get(Owner::Current)?.value[..8], 2u64.to_ne_bytes());
    Ok(())
}

fn an_outer_operation_that_does_not_pass_the_point() -> Result<()> {
    let (map, torture) = (new_map()?, TortureDevice::open()?);
    map.update(Owner::Current, &[], Mode::Any)?;
    let (outer, inner) = (
        Op::own(OpKind::Lookup, &map, 0),
        Op::own(OpKind::Delete, &map, 0),
    );
    for point in [Point::Storage, Point::Bucket, Point::Both] {
        let outcome = Recursion {
            outer,
            inner,
            point,
            context: Context::Task,
        }
        .run(&torture)?;
        assert_eq!((outcome.outer, outcome.inner), (Ok(()), None), "{point:?}");
        assert_eq!(map.info()?.elements, 1, "{point:?}");
    }
    Ok(())
}

/// A create inside a create, in the same map.
fn valid(map: &Map) -> ostor_recurse {
    ostor_recurse {
        outer: Op::own(OpKind::Create, map, 1).to_uapi(),
        inner: Op::own(OpKind::Create, map, 2).to_uapi(),
        point: Point::None as u32,
        ..ostor_recurse::default()
    }
}

fn refused() -> Result<()> {
    let (map, device, dead) = (new_map()?, device::open()?, Child::idle()?);
    dead.kill_and_reap()?;
    let null = std::fs::File::open("/dev/null")?;
    let torture = TortureDevice::open()?;
    let fd = |file: &std::fs::File| std::os::fd::AsRawFd::as_raw_fd(file);

    type Change<'a> = (Errno, &'static str, &'a dyn Fn(&mut ostor_recurse));
    let changes: [Change<'_>; 19] = [
        (Errno::EINVAL, "point", &|arg| arg.point = 6),
        (Errno::EINVAL, "reserved", &|arg| arg.reserved = 1),
        (Errno::EINVAL, "pad", &|arg| arg.pad = 1),
        (Errno::EINVAL, "unknown context", &|arg| arg.context = 9),
        (Errno::EINVAL, "a context that cannot be raised", &|arg| {
            arg.context = uapi::OSTOR_CONTEXT_KPROBE
        }),
        (Errno::EINVAL, "a create that drops nothing", &|arg| {
            arg.point = uapi::OSTOR_POINT_DROP
        }),
        (Errno::EINVAL, "no operation", &|arg| arg.outer.op = 0),
        (Errno::EINVAL, "unknown operation", &|arg| arg.inner.op = 5),
        (Errno::EINVAL, "flags of a create", &|arg| {
            arg.outer.flags = 1
        }),
        (Errno::EINVAL, "flags of an update", &|arg| {
            arg.inner.op = uapi::OSTOR_OP_UPDATE;
            arg.inner.flags = 3;
        }),
        (Errno::EINVAL, "kind of owner", &|arg| {
            arg.outer.owner.by = 6
        }),
        (Errno::EINVAL, "reserved of the owner", &|arg| {
            arg.inner.owner.id = 1
        }),
        (Errno::EINVAL, "a file that is no map", &|arg| {
            arg.inner.map_fd = fd(&device)
        }),
        (Errno::EBADF, "a file of another kind", &|arg| {
            arg.inner.map_fd = fd(&null)
        }),
        (Errno::EBADF, "no descriptor", &|arg| {
            arg.outer.map_fd = 9999
        }),
        (Errno::EBADF, "negative descriptor", &|arg| {
            arg.outer.map_fd = -2
        }),
        (Errno::EBADF, "no map", &|arg| arg.outer.map_fd = -1),
        (Errno::ESRCH, "dead outer owner", &|arg| {
            arg.outer.owner = Owner::task(&dead).to_uapi()
        }),
        (Errno::ESRCH, "dead inner owner", &|arg| {
            arg.inner.owner = Owner::task(&dead).to_uapi()
        }),
    ];
    for (errno, what, change) in changes {
        let mut arg = valid(&map);
        change(&mut arg);
        assert_refused_unchanged(&map, errno, what, || ioctl::recurse(&torture, &mut arg));
    }
    ioctl::recurse(&torture, &mut valid(&map))?;
    Ok(())
}

// SPDX-License-Identifier: GPL-2.0
//! Refused arguments of the commands on one element. Each differs in one field from a valid
//! one.

use anyhow::Result;
use nix::errno::Errno;
use ostor::device::{Map, Mode, Owner};
use ostor::process::Child;
use ostor::sys::ioctl::ElemCommand;

use crate::harness::{VALUE_SIZE, assert_refused_unchanged, new_map};
use crate::raw_elem::{RawElem, Value};

crate::suite![
    flags,
    reserved_fields,
    kinds_of_owner,
    sizes_of_value,
    a_missing_value,
    a_value_for_a_delete,
    pointers_to_nowhere,
    values_that_cannot_be_written,
    dead_owners,
    what_is_there_or_not,
    a_refusal_writes_nothing,
];

const WITH_VALUE: [ElemCommand; 4] = [
    ElemCommand::Lookup,
    ElemCommand::GetOrCreate,
    ElemCommand::Update,
    ElemCommand::Take,
];

#[track_caller]
fn assert_refused(map: &Map, errno: Errno, elem: &RawElem) {
    assert_refused_unchanged(map, errno, elem, || elem.clone().run(map));
}

/// Maps in which this thread has an element, and none, so that each command would succeed or
/// find none.
fn maps() -> Result<[Map; 2]> {
    let [full, empty] = [new_map()?, new_map()?];
    full.update(Owner::Current, b"stays", Mode::NoExist)?;
    Ok([full, empty])
}

/// Asserts that every command with the change is refused, with and without an element.
#[track_caller]
fn assert_all_refused(errno: Errno, change: impl Fn(&mut RawElem)) -> Result<()> {
    for map in &maps()? {
        for command in ElemCommand::ALL {
            let elem = RawElem::valid(command, Owner::Current).but(&change);
            assert_refused(map, errno, &elem);
        }
    }
    Ok(())
}

fn flags() -> Result<()> {
    for map in &maps()? {
        for command in ElemCommand::ALL {
            let wrong: &[u32] = match command {
                ElemCommand::Update => &[3, 4, 1 << 31, u32::MAX],
                _ => &[1, 2, 3, 1 << 31, u32::MAX],
            };
            for &flags in wrong {
                let elem = RawElem::valid(command, Owner::Current);
                assert_refused(map, Errno::EINVAL, &elem.but(|elem| elem.arg.flags = flags));
            }
        }
    }
    Ok(())
}

fn reserved_fields() -> Result<()> {
    for bit in [0, 31] {
        assert_all_refused(Errno::EINVAL, |elem| elem.arg.reserved = 1 << bit)?;
    }
    for bit in [0, 63] {
        assert_all_refused(Errno::EINVAL, |elem| elem.arg.owner.id = 1 << bit)?;
    }
    assert_all_refused(Errno::EINVAL, |elem| elem.arg.owner.fd = 1)
}

fn kinds_of_owner() -> Result<()> {
    for by in [6, 7, 1 << 31, u32::MAX] {
        assert_all_refused(Errno::EINVAL, |elem| elem.arg.owner.by = by)?;
    }
    Ok(())
}

fn sizes_of_value() -> Result<()> {
    let [full, empty] = maps()?;
    for command in WITH_VALUE {
        for size in [0, 1, VALUE_SIZE - 1, VALUE_SIZE + 1, 4096] {
            let elem = RawElem::valid(command, Owner::Current).but(|elem| {
                elem.value = Value::Bytes(vec![7; 4096]);
                elem.arg.value_size = size;
            });
            assert_refused(&full, Errno::EINVAL, &elem);
            assert_refused(&empty, Errno::EINVAL, &elem);
        }
        let huge = RawElem::valid(command, Owner::Current).with_value(Value::Nowhere);
        assert_refused(
            &full,
            Errno::EINVAL,
            &huge.but(|a| a.arg.value_size = u32::MAX),
        );
    }
    Ok(())
}

fn a_missing_value() -> Result<()> {
    for map in &maps()? {
        for command in WITH_VALUE {
            let elem = RawElem::valid(command, Owner::Current).with_value(Value::Null);
            assert_refused(map, Errno::EINVAL, &elem);
            if command != ElemCommand::GetOrCreate {
                assert_refused(
                    map,
                    Errno::EINVAL,
                    &elem.but(|elem| elem.arg.value_size = 0),
                );
            }
        }
    }
    Ok(())
}

fn a_value_for_a_delete() -> Result<()> {
    for map in &maps()? {
        let delete = RawElem::valid(ElemCommand::Delete, Owner::Current);
        let value = Value::Bytes(vec![0; VALUE_SIZE as usize]);
        assert_refused(map, Errno::EINVAL, &delete.with_value(value));
        assert_refused(
            map,
            Errno::EINVAL,
            &delete.but(|a| a.arg.value_size = VALUE_SIZE),
        );
    }
    Ok(())
}

fn pointers_to_nowhere() -> Result<()> {
    for map in &maps()? {
        for command in WITH_VALUE {
            for value in [Value::Nowhere, Value::Kernel] {
                let elem = RawElem::valid(command, Owner::Current).with_value(value);
                assert_refused(map, Errno::EFAULT, &elem);
            }
        }
    }
    Ok(())
}

fn values_that_cannot_be_written() -> Result<()> {
    let [full, empty] = maps()?;
    let read_only = |command| RawElem::valid(command, Owner::Current).with_value(Value::ReadOnly);
    for command in [
        ElemCommand::Lookup,
        ElemCommand::GetOrCreate,
        ElemCommand::Take,
    ] {
        assert_refused(&full, Errno::EFAULT, &read_only(command));
    }
    assert_refused(&empty, Errno::EFAULT, &read_only(ElemCommand::GetOrCreate));
    read_only(ElemCommand::Update).run(&empty)?;
    assert_eq!(
        empty.get(Owner::Current)?.value,
        [0x5a; VALUE_SIZE as usize]
    );
    Ok(())
}

fn dead_owners() -> Result<()> {
    let (map, child) = (new_map()?, Child::idle()?);
    child.kill_and_reap()?;
    for command in ElemCommand::ALL {
        assert_refused(
            &map,
            Errno::ESRCH,
            &RawElem::valid(command, Owner::task(&child)),
        );
    }
    Ok(())
}

fn what_is_there_or_not() -> Result<()> {
    let [full, empty] = maps()?;
    for command in [ElemCommand::Lookup, ElemCommand::Delete, ElemCommand::Take] {
        assert_refused(
            &empty,
            Errno::ENOENT,
            &RawElem::valid(command, Owner::Current),
        );
    }
    let update = RawElem::valid(ElemCommand::Update, Owner::Current);
    assert_refused(
        &empty,
        Errno::ENOENT,
        &update.but(|a| a.arg.flags = uapi::OSTOR_EXIST),
    );
    assert_refused(
        &full,
        Errno::EEXIST,
        &update.but(|a| a.arg.flags = uapi::OSTOR_NOEXIST),
    );
    assert_eq!(full.get(Owner::Current)?.value[..5], *b"stays");
    Ok(())
}

fn a_refusal_writes_nothing() -> Result<()> {
    let [_full, empty] = maps()?;
    for command in [ElemCommand::Lookup, ElemCommand::Take] {
        let before = RawElem::valid(command, Owner::Current).but(|elem| {
            elem.arg.seq = 77;
            elem.arg.created = 77;
        });
        let mut after = before.clone();
        assert_eq!(after.run(&empty), Err(Errno::ENOENT));
        after.arg.value = before.arg.value;
        assert_eq!((after.arg, after.value), (before.arg, before.value));
    }
    Ok(())
}

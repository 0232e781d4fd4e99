// SPDX-License-Identifier: GPL-2.0
//! The commands on maps and on single values.

use anyhow::Result;
use ostor::device::{self, Elem, Map, Mode};
use ostor::exit::Exit;
use ostor::output::Output;
use serde::Serialize;
use serde_json::json;

use crate::cli::{GetArgs, ListArgs, MapCommand, SetArgs, Target};
use crate::figures::Figures;
use crate::holder;
use crate::lists;
use crate::value::{self, Shown};

/// Runs `ostor map`.
pub(crate) fn map(command: MapCommand, output: &Output) -> Result<Exit> {
    match command {
        MapCommand::Create {
            name,
            value_size,
            clone,
        } => {
            let flags = if clone { uapi::OSTOR_MAP_CLONE } else { 0 };
            let create = || Map::create_with(value_size, flags, &kernel_name(&name));
            let id = holder::hold(&name, create)?.info()?.id;
            let copies = if clone { ", copied on accept" } else { "" };
            output.result(
                json!({ "name": name, "id": id, "value_size": value_size, "clone": clone }),
                format!("map {name}, number {id}: {value_size} bytes per value{copies}"),
            )?;
        }
        MapCommand::Rm { names } => {
            for name in &names {
                holder::remove(name)?;
            }
            output.result(json!({ "removed": names }), "")?;
        }
        MapCommand::Ls { all } => {
            let (rows, text) = if all {
                lists::all_maps()?
            } else {
                lists::maps()?
            };
            output.result(rows, text)?;
        }
        MapCommand::Info { name } => {
            let figures = Figures::of_map(&holder::find(&name)?.info()?)?;
            output.result(figures.json(), figures.lines())?;
        }
    }
    Ok(Exit::Ok)
}

/// The name that a map has in the kernel: shorter than a holder's, and without hyphens.
fn kernel_name(name: &str) -> String {
    let most = uapi::OSTOR_NAME_SIZE as usize - 1;
    name.replace('-', "_").chars().take(most).collect()
}

/// Runs `ostor get`.
pub(crate) fn get(args: &GetArgs, output: &Output) -> Result<Exit> {
    let map = holder::find(&args.target.map.name)?;
    let owner = args.target.owner.find()?;
    let elem = match &args.create {
        Some(value) => map.get_or_create(owner.owner(), &value::parse(value)?)?,
        None => map.get(owner.owner())?,
    };
    show(&elem, output)
}

/// Runs `ostor set`.
pub(crate) fn set(args: &SetArgs, output: &Output) -> Result<Exit> {
    let map = holder::find(&args.target.map.name)?;
    let mode = match (args.noexist, args.exist) {
        (true, _) => Mode::NoExist,
        (_, true) => Mode::Exist,
        _ => Mode::Any,
    };
    let owner = args.target.owner.find()?;
    let elem = map.update(owner.owner(), &value::parse(&args.value)?, mode)?;
    let note = value::note(&args.value);
    let text = note.as_ref().map(|note| format!("note: {note}"));
    output.result(
        json!({ "seq": elem.seq, "created": elem.created, "note": note }),
        text.unwrap_or_default(),
    )?;
    Ok(Exit::Ok)
}

/// Runs `ostor delete`.
pub(crate) fn delete(target: &Target, output: &Output) -> Result<Exit> {
    holder::find(&target.map.name)?.delete(target.owner.find()?.owner())?;
    output.result(json!({ "deleted": true }), "")?;
    Ok(Exit::Ok)
}

/// Runs `ostor take`.
pub(crate) fn take(target: &Target, output: &Output) -> Result<Exit> {
    let map = holder::find(&target.map.name)?;
    show(&map.take(target.owner.find()?.owner())?, output)
}

/// Runs `ostor list`.
pub(crate) fn list(args: &ListArgs, output: &Output) -> Result<Exit> {
    let (rows, text) = lists::list(args)?;
    output.result(rows, text)?;
    Ok(Exit::Ok)
}

/// Runs `ostor stats`.
pub(crate) fn stats(output: &Output) -> Result<Exit> {
    let figures = Figures::of_stats(&device::stats()?)?;
    output.result(figures.json(), figures.lines())?;
    Ok(Exit::Ok)
}

fn show(elem: &Elem, output: &Output) -> Result<Exit> {
    #[derive(Serialize)]
    struct Row {
        #[serde(flatten)]
        value: Shown,
        seq: u64,
        created: bool,
    }
    let value = Shown::new(&elem.value);
    let text = value.line();
    output.data(
        Row {
            value,
            seq: elem.seq,
            created: elem.created,
        },
        &text,
    )?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_to_fit_the_kernel() {
        assert_eq!(kernel_name("colours"), "colours");
        assert_eq!(kernel_name("latency-of-requests"), "latency_of_requ");
    }
}

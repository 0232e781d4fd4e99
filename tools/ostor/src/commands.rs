// SPDX-License-Identifier: GPL-2.0
//! The commands on maps and single values.

use std::fs;

use anyhow::Result;
use ostor::device::{self, Elem, Item, Mode};
use serde::Serialize;
use serde_json::json;

use crate::cli::{GetArgs, ListArgs, MapCommand, SetArgs, Target};
use crate::exit::Exit;
use crate::holder;
use crate::output::{Output, table};
use crate::value::{self, Shown};

/// `ostor map …`
pub(crate) fn map(command: MapCommand, output: &Output) -> Result<Exit> {
    match command {
        MapCommand::Create { name, value_size } => {
            holder::create(&name, value_size)?;
            output.result(
                json!({ "name": name, "value_size": value_size }),
                format!("map {name}: {value_size} bytes per value"),
            )?;
        }
        MapCommand::Rm { names } => {
            for name in &names {
                holder::remove(name)?;
            }
            output.result(json!({ "removed": names }), "")?;
        }
        MapCommand::Ls => list_maps(output)?,
        MapCommand::Info { name } => output.figures(&holder::find(&name)?.info()?)?,
    }
    Ok(Exit::Ok)
}

fn list_maps(output: &Output) -> Result<()> {
    #[derive(Serialize)]
    struct Row {
        name: String,
        value_size: u32,
        elements: u64,
        bytes: u64,
        holder: i32,
    }
    let mut rows = Vec::new();
    for held in holder::all()? {
        let info = held.map.info()?;
        rows.push(Row {
            name: held.name,
            value_size: info.value_size,
            elements: info.elements,
            bytes: info.bytes,
            holder: held.pid,
        });
    }
    let cells = rows.iter().map(|row| {
        let numbers = [u64::from(row.value_size), row.elements, row.bytes].map(|n| n.to_string());
        let [value_size, elements, bytes] = numbers;
        [
            row.name.clone(),
            value_size,
            elements,
            bytes,
            row.holder.to_string(),
        ]
    });
    let text = table(["name", "value size", "elements", "bytes", "holder"], cells).to_string();
    output.result(&rows, text)
}

/// `ostor get`
pub(crate) fn get(args: &GetArgs, output: &Output) -> Result<Exit> {
    let map = holder::find(&args.target.map.name)?;
    let owner = args.target.owner.find()?;
    let elem = match &args.create {
        Some(value) => map.get_or_create(owner.owner(), &value::parse(value)?)?,
        None => map.get(owner.owner())?,
    };
    show(&elem, output)
}

/// `ostor set`
pub(crate) fn set(args: &SetArgs, output: &Output) -> Result<Exit> {
    let map = holder::find(&args.target.map.name)?;
    let mode = match (args.noexist, args.exist) {
        (true, _) => Mode::NoExist,
        (_, true) => Mode::Exist,
        _ => Mode::Any,
    };
    let owner = args.target.owner.find()?;
    let elem = map.update(owner.owner(), &value::parse(&args.value)?, mode)?;
    output.result(json!({ "seq": elem.seq, "created": elem.created }), "")?;
    Ok(Exit::Ok)
}

/// `ostor delete`
pub(crate) fn delete(target: &Target, output: &Output) -> Result<Exit> {
    holder::find(&target.map.name)?.delete(target.owner.find()?.owner())?;
    output.result(json!({ "deleted": true }), "")?;
    Ok(Exit::Ok)
}

/// `ostor take`
pub(crate) fn take(target: &Target, output: &Output) -> Result<Exit> {
    show(
        &holder::find(&target.map.name)?.take(target.owner.find()?.owner())?,
        output,
    )
}

/// `ostor stats`
pub(crate) fn stats(output: &Output) -> Result<Exit> {
    output.figures(&device::stats()?)?;
    Ok(Exit::Ok)
}

/// `ostor list`
pub(crate) fn list(args: &ListArgs, output: &Output) -> Result<Exit> {
    #[derive(Serialize)]
    struct Row {
        owner: String,
        name: Option<String>,
        seq: u64,
        #[serde(flatten)]
        value: Shown,
    }
    let row = |item: Item| Row {
        owner: owner_text(&item),
        name: task_name(&item),
        seq: item.entry.seq,
        value: Shown::new(&item.value),
    };
    let rows: Vec<_> = holder::find(&args.map.name)?
        .list()?
        .into_iter()
        .map(row)
        .collect();
    let cells = rows.iter().map(|row| {
        let name = row.name.clone().unwrap_or_default();
        [
            row.owner.clone(),
            name,
            row.seq.to_string(),
            row.value.line(),
        ]
    });
    output.result(
        &rows,
        table(["owner", "name", "seq", "value"], cells).to_string(),
    )?;
    Ok(Exit::Ok)
}

/// The owner as it can be given to another command.
fn owner_text(item: &Item) -> String {
    match item.entry.owner_kind {
        uapi::OSTOR_KIND_TASK => format!("tid:{}", item.entry.owner_id),
        kind => format!("kind {kind}:{}", item.entry.owner_id),
    }
}

/// What the task is called, if it still runs.
fn task_name(item: &Item) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{}/comm", item.entry.owner_id)).ok()?;
    Some(name.trim_end().to_owned())
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
    output.result(
        Row {
            value,
            seq: elem.seq,
            created: elem.created,
        },
        text,
    )?;
    Ok(Exit::Ok)
}

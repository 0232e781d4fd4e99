// SPDX-License-Identifier: GPL-2.0
//! Maps that outlive a command: a process in the background, the holder, keeps a
//! descriptor of the map and sends it to each command that connects to its socket.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{Backlog, getsockopt, listen};
use nix::unistd::{dup2_stdin, dup2_stdout, setsid};
use ostor::device::{self, Map};
use ostor::exit::{Exit, NoSuchMap, UsageError};
use ostor::sys::pass;
use ostor::sys::process::inherited;

/// Directory of the sockets.
const DIRECTORY: &str = "/run/ostor";

/// Request for the map.
const MAP: u8 = b'm';

/// Request to close the map and exit.
const QUIT: u8 = b'q';

/// A map and its holder.
pub(crate) struct Held {
    pub(crate) name: String,
    /// Process id of the holder.
    pub(crate) pid: i32,
    pub(crate) map: Map,
}

/// Creates a map, gives it a name and starts its holder.
pub(crate) fn hold(name: &str, create: impl FnOnce() -> device::Result<Map>) -> Result<Map> {
    let path = socket(name)?;
    if ask(&path, MAP).is_ok() {
        return Err(UsageError(format!("there is a map named {name} already")).into());
    }
    let map = create()?;
    fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot create {DIRECTORY}"))?;
    let listener = bind(&path).with_context(|| format!("cannot create {}", path.display()))?;

    // The holder gets the map as standard input and the socket as standard output. The
    // socket is bound already, so the next command can connect to it.
    Command::new("/proc/self/exe")
        .args(["hold", name])
        .current_dir("/")
        .stdin(Stdio::from(map.as_fd().try_clone_to_owned()?))
        .stdout(Stdio::from(OwnedFd::from(listener)))
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the map's holder")?;
    // An answer means that the holder listens itself, so that its socket shows its process
    // id from now on.
    Ok(held(name)?.map)
}

/// The map of that name.
pub(crate) fn find(name: &str) -> Result<Map> {
    Ok(held(name)?.map)
}

/// The map of that name and its holder.
fn held(name: &str) -> Result<Held> {
    let stream = ask(&socket(name)?, MAP).map_err(|error| no_such_map(name, error))?;
    let pid = getsockopt(&stream, PeerCredentials)?.pid();
    let map = Map::from_fd(pass::receive(&stream)?)?;
    Ok(Held {
        name: name.to_owned(),
        pid,
        map,
    })
}

/// All maps that have a holder, sorted by name.
pub(crate) fn all() -> Result<Vec<Held>> {
    let entries = match fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {DIRECTORY}"))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    let mut maps = Vec::new();
    for name in names {
        match held(&name) {
            Err(error) if error.is::<NoSuchMap>() => {}
            map => maps.push(map?),
        }
    }
    Ok(maps)
}

/// Ends the holder of a map. The map is freed when this returns, unless another process
/// still has a descriptor of it.
pub(crate) fn remove(name: &str) -> Result<()> {
    let mut stream = ask(&socket(name)?, QUIT).map_err(|error| no_such_map(name, error))?;
    stream
        .read_exact(&mut [0])
        .context("the map's holder ended early")
}

/// Holds the map at standard input, and serves requests at the socket at standard output
/// until one asks to quit.
pub(crate) fn serve(name: &str) -> Result<Exit> {
    let path = socket(name)?;
    setsid().context("cannot leave the session")?;
    let map = inherited(io::stdin().as_raw_fd())?;
    let listener = UnixListener::from(inherited(io::stdout().as_raw_fd())?);
    let nothing = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    // A connection shows the credentials of the process that called listen() last.
    listen(&listener, Backlog::MAXCONN)?;

    let mut last = loop {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0];
        match stream.read_exact(&mut request) {
            // The command may have ended before the answer.
            Ok(()) if request[0] == MAP => drop(pass::send(&stream, &map)),
            Ok(()) if request[0] == QUIT => break stream,
            _ => {}
        }
    };
    fs::remove_file(path)?;
    drop(map);
    last.write_all(&[QUIT])?;
    Ok(Exit::Ok)
}

/// The path of a map's socket.
fn socket(name: &str) -> Result<PathBuf> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(fits) {
        let rule = "up to 64 letters, digits, dots, hyphens and underscores";
        return Err(UsageError(format!("{name:?} is not a name for a map; use {rule}")).into());
    }
    Ok(Path::new(DIRECTORY).join(name))
}

/// Binds a socket to a path, also if the socket of a killed holder is still there.
fn bind(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        listener => listener,
    }
}

/// Connects to a holder and sends a request.
fn ask(path: &Path, request: u8) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(&[request])?;
    Ok(stream)
}

fn no_such_map(name: &str, error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => NoSuchMap(name.to_owned()).into(),
        _ => anyhow::Error::from(error).context(format!("cannot reach the holder of {name}")),
    }
}

// SPDX-License-Identifier: GPL-2.0
//! Maps that outlive a command: each is held by a process in the background,
//! which hands its descriptor to whoever asks at a socket.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::{dup2_stdin, dup2_stdout, setsid};
use ostor::device::{self, Map};
use ostor::sys::pass;
use ostor::sys::process::inherited;

use ostor::exit::{Exit, NoSuchMap, UsageError};

/// Where the sockets are.
const DIRECTORY: &str = "/run/ostor";

/// Asks the holder for the map.
const MAP: u8 = b'm';

/// Asks the holder to close the map and end.
const QUIT: u8 = b'q';

/// A map and who holds it.
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) pid: i32,
    pub(crate) map: Map,
}

/// Puts a map under a name and starts its holder.
pub(crate) fn hold(name: &str, create: impl FnOnce() -> device::Result<Map>) -> Result<Map> {
    let path = socket(name)?;
    if ask(&path, MAP).is_ok() {
        return Err(UsageError(format!("there is a map named {name} already")).into());
    }
    let map = create()?;
    fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot create {DIRECTORY}"))?;
    let listener = listen(&path).with_context(|| format!("cannot create {}", path.display()))?;

    // The holder finds the map at its standard input and the socket at its
    // standard output, so it is ready as soon as it is started.
    Command::new("/proc/self/exe")
        .args(["hold", name])
        .current_dir("/")
        .stdin(Stdio::from(map.as_fd().try_clone_to_owned()?))
        .stdout(Stdio::from(OwnedFd::from(listener)))
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the map's holder")?;
    Ok(map)
}

/// The map of that name.
pub(crate) fn find(name: &str) -> Result<Map> {
    Ok(held(name)?.map)
}

/// The map of that name, and who holds it.
pub(crate) fn held(name: &str) -> Result<Held> {
    let stream = ask(&socket(name)?, MAP).map_err(|error| no_such_map(name, error))?;
    let pid = getsockopt(&stream, PeerCredentials)?.pid();
    let map = Map::from_fd(pass::receive(&stream)?)?;
    Ok(Held {
        name: name.to_owned(),
        pid,
        map,
    })
}

/// All maps that are held, by name.
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

/// Ends the holder of a map. The map is gone when this returns, unless somebody
/// else uses it still.
pub(crate) fn remove(name: &str) -> Result<()> {
    let mut stream = ask(&socket(name)?, QUIT).map_err(|error| no_such_map(name, error))?;
    stream
        .read_exact(&mut [0])
        .context("the map's holder ended early")
}

/// Holds the map at standard input, for those who ask at the socket at standard
/// output, until asked to quit.
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

    let mut asker = loop {
        let (mut stream, _) = listener.accept()?;
        let mut wish = [0];
        match stream.read_exact(&mut wish) {
            // An asker that has gone away already is none of the holder's
            // business.
            Ok(()) if wish[0] == MAP => drop(pass::send(&stream, &map)),
            Ok(()) if wish[0] == QUIT => break stream,
            _ => {}
        }
    };
    fs::remove_file(path)?;
    drop(map);
    asker.write_all(&[QUIT])?;
    Ok(Exit::Ok)
}

/// The path of a map's socket.
fn socket(name: &str) -> Result<PathBuf> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(fits) {
        let rule = "up to 64 letters, digits, dots, hyphens and underscores";
        return Err(UsageError(format!("{name:?} is no name for a map; use {rule}")).into());
    }
    Ok(Path::new(DIRECTORY).join(name))
}

/// Listens at a path, in the place of a holder that was killed.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        listener => listener,
    }
}

/// Connects to a holder and tells it what is wanted.
fn ask(path: &Path, wish: u8) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(&[wish])?;
    Ok(stream)
}

fn no_such_map(name: &str, error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => NoSuchMap(name.to_owned()).into(),
        _ => anyhow::Error::from(error).context(format!("cannot reach the holder of {name}")),
    }
}

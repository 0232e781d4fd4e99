// SPDX-License-Identifier: GPL-2.0
//! Control groups that own storage: made, filled, emptied and removed on
//! purpose.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::unistd::Pid;

use crate::settle;

/// Where the cgroup v2 hierarchy is mounted.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// A control group. Dropping it removes it, if it is empty.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    id: u64,
}

impl Cgroup {
    /// Makes a cgroup in the v2 hierarchy, of a name that is not used yet.
    pub fn create() -> io::Result<Self> {
        Self::create_in(Path::new(MOUNT))
    }

    /// Makes a cgroup in another, or at the mount of any hierarchy.
    pub fn create_in(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::create_at(parent.join(format!("ostor-{}-{number}", std::process::id())))
    }

    /// Makes a cgroup at a path.
    pub fn create_at(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let id = id_of(&path)?;
        Ok(Self { path, id })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Opens its directory.
    pub fn open(&self) -> io::Result<OwnedFd> {
        open_directory(&self.path)
    }

    /// Moves a process into it.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        move_to(&self.path, pid)
    }

    /// Writes one of its files.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.path.join(file), text)
    }

    /// Reads one of its files.
    pub fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.path.join(file))
    }

    /// Removes it, once the processes in it are gone.
    pub fn remove(&self) -> io::Result<()> {
        remove_directory(&self.path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It is gone already if it was removed.
        let _ = fs::remove_dir(&self.path);
    }
}

/// The id of the cgroup whose directory this is.
pub fn id_of(directory: &Path) -> io::Result<u64> {
    // kernfs uses the id as the number of the inode where that has 64 bits.
    Ok(fs::metadata(directory)?.ino())
}

/// Opens a cgroup's directory.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlag::O_DIRECTORY.bits());
    options.open(path).map(|file: File| file.into())
}

/// Moves a process into the cgroup at a path.
pub fn move_to(path: &Path, pid: Pid) -> io::Result<()> {
    fs::write(path.join("cgroup.procs"), pid.to_string())
}

/// Removes a cgroup's directory. A process that was killed or moved away may
/// still be leaving, so this tries again for a while.
fn remove_directory(path: &Path) -> io::Result<()> {
    let start = Instant::now();
    loop {
        match fs::remove_dir(path) {
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy
                    && start.elapsed() < settle::DEADLINE =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

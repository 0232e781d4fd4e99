// SPDX-License-Identifier: GPL-2.0
//! Cgroups to be owners: created, filled, emptied and removed on purpose.

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

/// Mount point of the cgroup v2 hierarchy.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// A cgroup. Dropping it removes the cgroup if it is empty.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    id: u64,
}

impl Cgroup {
    /// Creates a cgroup with a new name in the v2 hierarchy.
    pub fn create() -> io::Result<Self> {
        Self::create_in(Path::new(MOUNT))
    }

    /// Creates a cgroup with a new name in another cgroup of any hierarchy.
    pub fn create_in(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::create_at(parent.join(format!("ostor-{}-{number}", std::process::id())))
    }

    /// Creates a cgroup at a path.
    pub fn create_at(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let id = id_of(&path)?;
        Ok(Self { path, id })
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Opens the directory.
    pub fn open(&self) -> io::Result<OwnedFd> {
        open_directory(&self.path)
    }

    /// Moves a process into the cgroup.
    pub fn add(&self, pid: Pid) -> io::Result<()> {
        move_to(&self.path, pid)
    }

    /// Writes a file of the cgroup.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.path.join(file), text)
    }

    /// Reads a file of the cgroup.
    pub fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.path.join(file))
    }

    /// Removes the cgroup. Waits for processes that are leaving it.
    pub fn remove(&self) -> io::Result<()> {
        remove_directory(&self.path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Fails if it has been removed already.
        let _ = fs::remove_dir(&self.path);
    }
}

/// The id of the cgroup with this directory.
pub fn id_of(directory: &Path) -> io::Result<u64> {
    // On a 64-bit kernel kernfs uses the id as inode number.
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

/// Removes a cgroup's directory. Repeats that for a while, since a process that was killed
/// or moved may still be leaving.
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

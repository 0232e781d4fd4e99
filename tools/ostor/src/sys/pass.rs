// SPDX-License-Identifier: GPL-2.0
//! Passing descriptors between processes.

#![expect(unsafe_code, reason = "a received descriptor is a number")]

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::Result;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// Sends a descriptor.
pub fn send(stream: &UnixStream, fd: &impl AsFd) -> Result<()> {
    let fds = [fd.as_fd().as_raw_fd()];
    let message = [ControlMessage::ScmRights(&fds)];
    let byte = [IoSlice::new(&[0])];
    sendmsg::<UnixAddr>(stream.as_raw_fd(), &byte, &message, MsgFlags::empty(), None).map(drop)
}

/// Receives a descriptor. Fails with EPROTO if the message has none.
pub fn receive(stream: &UnixStream) -> Result<OwnedFd> {
    let mut byte = [0];
    let mut byte = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([i32; 1]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(stream.as_raw_fd(), &mut byte, Some(&mut space), flags)?;
    match message.cmsgs()?.next() {
        Some(ControlMessageOwned::ScmRights(fds)) if fds.len() == 1 => {
            // SAFETY: The kernel has created the descriptor for this message, so no other
            // object owns it.
            Ok(unsafe { OwnedFd::from_raw_fd(fds[0]) })
        }
        _ => Err(Errno::EPROTO),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_descriptor_is_sent_and_received() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut read, write) = UnixStream::pair().unwrap();
        send(&here, &write).unwrap();
        drop(write);
        File::from(receive(&there).unwrap())
            .write_all(b"x")
            .unwrap();
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }

    #[test]
    fn a_byte_alone_is_not_a_descriptor() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"m").unwrap();
        assert_eq!(receive(&there).unwrap_err(), Errno::EPROTO);
    }
}

// SPDX-License-Identifier: GPL-2.0
//! Socket options: option memory, cookies and filters.

#![expect(unsafe_code, reason = "these options have no safe wrapper")]

use std::os::fd::{AsFd, AsRawFd};

use nix::Result;
use nix::errno::Errno;

/// `SO_MEMINFO`, which libc does not define for every target.
const SO_MEMINFO: libc::c_int = 55;

/// `SO_COOKIE`, likewise.
const SO_COOKIE: libc::c_int = 57;

/// `SO_NETNS_COOKIE`, likewise.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// Number of figures of `SO_MEMINFO`, `SK_MEMINFO_VARS`.
const MEMINFO_VARS: usize = 9;

/// A type for which every bit pattern is valid.
///
/// # Safety
///
/// Every bit pattern is a valid value, and there is no padding.
unsafe trait Plain: Default {}

// SAFETY: An integer has no padding, and every bit pattern is valid.
unsafe impl Plain for u64 {}

// SAFETY: An array of integers has no padding, and every bit pattern is valid.
unsafe impl Plain for [u32; MEMINFO_VARS] {}

/// Reads an option of type `T`.
fn get<T: Plain>(socket: &impl AsFd, option: libc::c_int) -> Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: The kernel writes at most `len` bytes, the size of `value`, and every bit
    // pattern is a valid `T`.
    Errno::result(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw mut value).cast(),
            &mut len,
        )
    })?;
    Ok(value)
}

/// Bytes of option memory charged to a socket.
pub fn option_memory(socket: &impl AsFd) -> Result<u64> {
    let figures: [u32; MEMINFO_VARS] = get(socket, SO_MEMINFO)?;
    Ok(figures[libc::SK_MEMINFO_OPTMEM as usize].into())
}

/// The cookie of a socket.
pub fn cookie(socket: &impl AsFd) -> Result<u64> {
    get(socket, SO_COOKIE)
}

/// The cookie of a socket's network namespace.
pub fn netns_cookie(socket: &impl AsFd) -> Result<u64> {
    get(socket, SO_NETNS_COOKIE)
}

/// Attaches a filter that accepts every packet. It is charged to the socket's option memory.
pub fn attach_filter(socket: &impl AsFd) -> Result<()> {
    let mut pass = libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: u32::MAX,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &mut pass,
    };
    // SAFETY: The kernel reads a `sock_fprog` at the address, and `len` instructions at the
    // address in it, which is that of `pass`.
    Errno::result(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn sockets_have_cookies() {
        let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [one, other] = &sockets;
        assert_eq!(option_memory(one), Ok(0));
        assert_eq!(cookie(one), cookie(&one.try_clone().unwrap()));
        assert_ne!(cookie(one), cookie(other));
        assert_eq!(netns_cookie(one), netns_cookie(other));
    }

    #[test]
    fn a_filter_takes_option_memory() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        attach_filter(&socket).unwrap();
        assert!(option_memory(&socket).unwrap() > 0);
    }

    #[test]
    fn other_files_have_no_cookie() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(cookie(&file), Err(Errno::ENOTSOCK));
    }
}

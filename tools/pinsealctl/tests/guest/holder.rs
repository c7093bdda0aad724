// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes that hold pages of a memory, each in its own way.

use crate::support::{page, until};
use pinseal::Options;
use rustix::{
    fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    fs::{OFlags, SealFlags, fcntl_add_seals, open, sendfile},
    io_uring::{
        IoringRegisterOp, IoringSetupFlags, io_uring_params, io_uring_register, io_uring_setup,
        iovec,
    },
    mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, sendmsg, socketpair,
    },
    pipe::{SpliceFlags, pipe, splice},
    thread::gettid,
};
use std::{
    any::Any,
    ffi::{c_int, c_void},
    fs::{self, File},
    io::{IoSlice, Read, Write},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream, UdpSocket},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    process, ptr, thread,
    time::Duration,
};

/// What a process keeps as long as it lives.
pub(crate) type Kept = Box<dyn Any>;

/// A child that holds something, and ends when this is dropped.
pub(crate) struct Holder {
    pub(crate) pid: i32,
    /// What it has said: a descriptor, or an address.
    pub(crate) said: u64,
    alive: Option<File>,
}

impl Holder {
    /// A child that does `hold`, which tells what it says and what is to be kept.
    #[track_caller]
    pub(crate) fn new(hold: impl FnOnce() -> (u64, Kept)) -> Self {
        Self::start(|say, wait| hold_on(hold, say, wait))
    }

    /// The same in a second thread, and the first one ends.
    #[track_caller]
    pub(crate) fn of_second_thread(hold: impl FnOnce() -> (u64, Kept) + Send + 'static) -> Self {
        Self::start(|say, wait| {
            thread::spawn(|| hold_on(hold, say, wait));
            // SAFETY: nothing refers to what is on this thread's stack.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        })
    }

    #[track_caller]
    fn start(work: impl FnOnce(OwnedFd, OwnedFd)) -> Self {
        let ((said, say), (wait, alive)) = (pipe().unwrap(), pipe().unwrap());
        // SAFETY: the tests run one after the other; the other thread waits for this one.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            drop((said, alive));
            work(say, wait);
            unreachable!();
        }
        drop((say, wait));
        let mut bytes = [0; 8];
        File::from(said)
            .read_exact(&mut bytes)
            .expect("the child holds nothing");
        Self {
            pid,
            said: u64::from_ne_bytes(bytes),
            alive: Some(alive.into()),
        }
    }
}

/// Does `hold`, says its answer, and ends the process when `wait` is closed.
fn hold_on(hold: impl FnOnce() -> (u64, Kept), say: OwnedFd, wait: OwnedFd) {
    let held = catch_unwind(AssertUnwindSafe(|| {
        let (answer, _kept) = hold();
        File::from(say).write_all(&answer.to_ne_bytes()).unwrap();
        File::from(wait).read_to_end(&mut Vec::new()).unwrap();
    }));
    process::exit(held.is_err().into());
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.alive = None;
        // SAFETY: it waits for a child.
        unsafe { libc::waitpid(self.pid, ptr::null_mut(), 0) };
    }
}

/// The pages of a large folio.
pub(crate) fn large() -> u64 {
    fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
        .map_or(0, |bytes| bytes.trim_end().parse::<u64>().unwrap() / page())
}

/// Makes large folios of all pages.
pub(crate) fn collapse(memory: impl AsFd, pages: u64) {
    const MADV_COLLAPSE: c_int = 25;

    let len = usize::try_from(pages * page()).unwrap();
    let align = usize::try_from(large() * page()).unwrap();
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: the second mapping replaces a part of the first.
    unsafe {
        let room = mmap_anonymous(
            ptr::null_mut(),
            len + align,
            ProtFlags::empty(),
            MapFlags::PRIVATE,
        );
        let room = room.unwrap();
        let start = room.byte_add(room.align_offset(align));
        mmap(start, len, protection, flags | MapFlags::FIXED, memory, 0).unwrap();
        until(|| libc::madvise(start, len, MADV_COLLAPSE) == 0);
        munmap(room, len + align).unwrap();
    }
}

/// A descriptor to be said.
pub(crate) fn number(fd: &impl AsRawFd) -> u64 {
    fd.as_raw_fd().try_into().unwrap()
}

fn bytes(pages: &Range<u64>) -> (u64, usize) {
    let len = (pages.end - pages.start) * page();
    (pages.start * page(), len.try_into().unwrap())
}

/// A shared mapping, which is not unmapped.
pub(crate) fn map(fd: impl AsFd, pages: &Range<u64>, protection: ProtFlags) -> *mut c_void {
    let (offset, len) = bytes(pages);
    // SAFETY: a new mapping is in no one's way.
    unsafe {
        mmap(
            ptr::null_mut(),
            len,
            protection,
            MapFlags::SHARED,
            fd,
            offset,
        )
    }
    .unwrap()
}

pub(crate) fn unmap(address: *mut c_void, pages: &Range<u64>) {
    // SAFETY: nothing refers to the mapping.
    unsafe { munmap(address, bytes(pages).1) }.unwrap();
}

/// `mseal()` of a mapping.
pub(crate) fn mseal(address: *mut c_void, pages: &Range<u64>) {
    // SAFETY: it changes nothing that can be seen.
    let failed = unsafe { libc::syscall(libc::SYS_mseal, address, bytes(pages).1, 0) };
    assert_eq!(failed, 0, "mseal: {}", std::io::Error::last_os_error());
}

/// An io_uring whose registered buffer `slot` is these addresses.
pub(crate) fn ring(address: *mut c_void, pages: &Range<u64>, slot: usize) -> OwnedFd {
    let mut buffers = vec![
        iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        slot
    ];
    buffers.push(iovec {
        iov_base: address,
        iov_len: bytes(pages).1,
    });
    let mut parameters = io_uring_params::default();
    // SAFETY: nothing is submitted; the buffers are not used.
    unsafe {
        let ring = io_uring_setup(4, &mut parameters).unwrap();
        let count = buffers.len().try_into().unwrap();
        let operation = IoringRegisterOp::RegisterBuffers;
        io_uring_register(&ring, operation, buffers.as_ptr().cast(), count).unwrap();
        ring
    }
}

/// The same, with pages that are not mapped any more.
pub(crate) fn ring_of(memory: impl AsFd, pages: &Range<u64>, slot: usize) -> OwnedFd {
    let address = map(memory, pages, ProtFlags::READ | ProtFlags::WRITE);
    let ring = ring(address, pages, slot);
    unmap(address, pages);
    ring
}

/// An io_uring whose own memory is these pages, which are not mapped any more: the first two.
pub(crate) fn ring_in(memory: impl AsFd, pages: &Range<u64>) -> OwnedFd {
    let address = map(memory, pages, ProtFlags::READ | ProtFlags::WRITE);
    let mut parameters = io_uring_params::default();
    parameters.flags = IoringSetupFlags::NO_MMAP;
    parameters.cq_off.user_addr = address.into();
    parameters.sq_off.user_addr = address.wrapping_byte_add(page() as usize).into();
    // SAFETY: the kernel pins the pages; nothing is submitted.
    let ring = unsafe { io_uring_setup(4, &mut parameters) }.unwrap();
    unmap(address, pages);
    ring
}

/// Registers a ring with this thread, which needs no descriptor of it then. Returns its number.
pub(crate) fn register_ring(ring: &OwnedFd) -> u32 {
    // struct io_uring_rsrc_update
    #[repr(C)]
    struct Update {
        offset: u32,
        resv: u32,
        data: u64,
    }
    let mut update = Update {
        offset: u32::MAX,
        resv: 0,
        data: number(ring),
    };
    // SAFETY: the kernel writes to `update`.
    unsafe {
        let operation = IoringRegisterOp::RegisterRingFds;
        io_uring_register(ring, operation, ptr::from_mut(&mut update).cast(), 1).unwrap();
    }
    update.offset
}

/// The memory of a ring is mapped, which then needs no descriptor.
pub(crate) fn map_ring(ring: &OwnedFd) -> *mut c_void {
    map(ring, &(0..1), ProtFlags::READ | ProtFlags::WRITE)
}

/// A pipe with these pages in it.
pub(crate) fn pipe_of(memory: impl AsFd, pages: &Range<u64>) -> (OwnedFd, OwnedFd) {
    let ends = pipe().unwrap();
    let (mut offset, len) = bytes(pages);
    let n = splice(
        memory,
        Some(&mut offset),
        &ends.1,
        None,
        len,
        SpliceFlags::empty(),
    )
    .unwrap();
    assert_eq!(n, len);
    ends
}

/// A udmabuf of these pages, if the kernel has them.
pub(crate) fn udmabuf(memory: impl AsFd, pages: &Range<u64>) -> Option<OwnedFd> {
    #[repr(C)]
    struct Create {
        memfd: c_int,
        flags: u32,
        offset: u64,
        size: u64,
    }
    const UDMABUF_CREATE: libc::c_ulong = 0x4018_7542;

    let device = open("/dev/udmabuf", OFlags::RDWR | OFlags::CLOEXEC, 0.into()).ok()?;
    // It must not shrink.
    fcntl_add_seals(&memory, SealFlags::SHRINK).unwrap();
    let (offset, len) = bytes(pages);
    let create = Create {
        memfd: memory.as_fd().as_raw_fd(),
        flags: 1,
        offset,
        size: len as u64,
    };
    // SAFETY: the argument is as the command has it, and the result a new descriptor.
    unsafe {
        let fd = libc::ioctl(device.as_raw_fd(), UDMABUF_CREATE as _, &create);
        assert!(fd >= 0, "udmabuf: {}", std::io::Error::last_os_error());
        Some(OwnedFd::from_raw_fd(fd))
    }
}

/// A pin handle, and the object that it is of.
pub(crate) fn pin_handle(
    memory: impl AsFd,
    pages: &Range<u64>,
    grace: Option<Duration>,
) -> (OwnedFd, Kept) {
    let object = Options::new().import(memory).unwrap();
    let pin = object.pin(pages.clone());
    let pin = match grace {
        Some(grace) => pin.leased(grace),
        None => pin,
    };
    let handle = pin.take().unwrap();
    (handle.into(), Box::new(object))
}

fn send(memory: impl AsFd, to: impl AsFd, pages: &Range<u64>) {
    let (mut offset, len) = bytes(pages);
    assert_eq!(sendfile(to, memory, Some(&mut offset), len).unwrap(), len);
}

/// A pair of sockets, with these pages to be received by the first.
pub(crate) fn unix_sockets(memory: impl AsFd, pages: &Range<u64>) -> (OwnedFd, OwnedFd) {
    let ends = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    send(memory, &ends.1, pages);
    ends
}

/// The same with TCP, in a network of its own.
pub(crate) fn tcp_sockets(memory: impl AsFd, pages: &Range<u64>) -> (TcpStream, TcpStream) {
    let (receiver, sender) = tcp_connection();
    send(memory, &sender, pages);
    (receiver, sender)
}

/// The same, but the receiver drops what arrives: the pages wait to be acknowledged.
pub(crate) fn tcp_unacknowledged(memory: impl AsFd, pages: &Range<u64>) -> (TcpStream, TcpStream) {
    let (receiver, sender) = tcp_connection();
    drop_short(&receiver, u32::MAX);
    // A segment for each page.
    sender.set_nodelay(true).unwrap();
    for page in pages.clone() {
        send(&memory, &sender, &(page..page + 1));
    }
    (receiver, sender)
}

/// The same, but the receiver has dropped the byte before the pages.
pub(crate) fn tcp_out_of_order(memory: impl AsFd, pages: &Range<u64>) -> (TcpStream, TcpStream) {
    let (receiver, mut sender) = tcp_connection();
    drop_short(&receiver, 1000);
    sender.set_nodelay(true).unwrap();
    sender.write_all(b"x").unwrap();
    send(&memory, &sender, pages);
    (receiver, sender)
}

/// The same with UDP, but the receiver has read a packet before that of the pages.
pub(crate) fn udp_sockets(memory: impl AsFd, pages: &Range<u64>) -> (UdpSocket, UdpSocket) {
    own_network();
    let [receiver, sender] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    sender.send(b"x").unwrap();
    send(&memory, &sender, pages);
    receiver.recv(&mut [0]).unwrap();
    (receiver, sender)
}

/// Lets a socket drop packets that are shorter.
fn drop_short(receiver: &TcpStream, len: u32) {
    let instruction = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut filter = [
        // The packet's length.
        instruction(0x80, 0, 0),
        // Jump if greater or equal.
        instruction(0x35, 1, len),
        // Return.
        instruction(6, 0, u32::MAX),
        instruction(6, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the argument is as the option has it.
    let failed = unsafe {
        libc::setsockopt(
            receiver.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            ptr::from_ref(&program).cast(),
            size_of_val(&program).try_into().unwrap(),
        )
    };
    assert_eq!(failed, 0);
}

fn tcp_connection() -> (TcpStream, TcpStream) {
    own_network();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, sender)
}

/// Gives this process a network with nothing but the loopback device.
fn own_network() {
    let socket_of = |family| rustix::net::socket(family, SocketType::DGRAM, None).unwrap();
    // SAFETY: a child has one thread; the argument is as the command has it.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNET), 0);
        let socket = socket_of(AddressFamily::INET);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[..2].copy_from_slice(&[b'l' as _, b'o' as _]);
        request.ifr_ifru.ifru_flags = libc::IFF_UP as _;
        assert_eq!(
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &request),
            0
        );
    }
}

pub(crate) fn this_thread() -> u64 {
    gettid().as_raw_nonzero().get().try_into().unwrap()
}

/// The number of a descriptor that a thread alone has.
pub(crate) const OF_THREAD: u64 = 100;

/// A thread with descriptors of its own, which alone has a copy of `fd`. Returns the thread's number.
pub(crate) fn in_a_thread(fd: OwnedFd) -> u64 {
    let (said, say) = pipe().unwrap();
    thread::spawn(move || {
        // SAFETY: this thread uses no descriptor that another one opens from here on.
        unsafe { assert_eq!(libc::unshare(libc::CLONE_FILES), 0) };
        let copy = rustix::io::fcntl_dupfd_cloexec(&fd, OF_THREAD as i32).unwrap();
        assert_eq!(number(&copy), OF_THREAD);
        File::from(say)
            .write_all(&this_thread().to_ne_bytes())
            .unwrap();
        loop {
            thread::park();
        }
    });
    let mut bytes = [0; 8];
    File::from(said).read_exact(&mut bytes).unwrap();
    u64::from_ne_bytes(bytes)
}

/// A descriptor that is on its way, and in no process: kept as long as the pair of sockets is.
pub(crate) fn in_flight(fd: OwnedFd) -> Kept {
    let ends = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(
        &ends.1,
        &[IoSlice::new(b"x")],
        &mut control,
        SendFlags::empty(),
    )
    .unwrap();
    drop(fd);
    Box::new(ends)
}

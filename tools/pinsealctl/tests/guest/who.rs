// SPDX-License-Identifier: MIT OR Apache-2.0

//! who

use crate::{
    holder::{self, Holder, Kept, number},
    refused::{as_nobody, hide_processes, make_device, no_device, own_mounts},
    support::{LONG, assert_says, ctl, document, filled, json, page, target, until},
};
use pinseal::{Look, Options};
use rustix::{
    fd::OwnedFd,
    fs::{MemfdFlags, fstat, ftruncate, memfd_create},
    mm::ProtFlags,
    mount::{MountFlags, mount},
    process::{DumpableBehavior, set_dumpable_behavior},
};
use serde_json::{Value, json as value};
use std::{fs, ops::Range, os::unix::fs::MetadataExt, path::Path};

const NOBODY: u32 = 65534;

/// The pages that are held, of 16.
const HELD: Range<u64> = 5..8;

/// Whether the kernel can name exact owners.
fn is_exact() -> bool {
    let has_types = Path::new("/sys/kernel/btf/vmlinux").exists();
    if !has_types {
        println!("SKIP: the kernel has no BTF");
    }
    has_types
}

fn memfd() -> OwnedFd {
    let memfd = memfd_of(16);
    settle();
    memfd
}

fn memfd_of(pages: u64) -> OwnedFd {
    let memfd = memfd_create("frames", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::io::write(&memfd, &vec![1; (pages * page()) as usize]).unwrap();
    memfd
}

/// The name of a process.
fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .unwrap()
        .trim_end()
        .to_owned()
}

/// New pages lose the references of LRU batches.
fn settle() {
    fs::write("/proc/sys/vm/drop_caches", "1").unwrap();
}

/// A child that holds pages of the memory, and nothing else of it.
#[track_caller]
fn held(memory: &OwnedFd, hold: impl FnOnce(&OwnedFd) -> (u64, Kept)) -> Holder {
    let fd = std::os::fd::AsRawFd::as_raw_fd(memory);
    Holder::new(|| {
        let held = hold(memory);
        // SAFETY: the child does not use it any more.
        unsafe { libc::close(fd) };
        held
    })
}

/// The holders of a kind.
fn of_kind(document: &Value, kind: &str) -> Vec<Value> {
    let holders = document["holders"].as_array().unwrap();
    holders
        .iter()
        .filter(|holder| holder["kind"] == kind)
        .cloned()
        .collect()
}

/// The only holder of a kind.
#[track_caller]
fn only(document: &Value, kind: &str) -> Value {
    let holders = of_kind(document, kind);
    assert_eq!(holders.len(), 1, "{document:#}");
    holders.into_iter().next().unwrap()
}

/// Checks that the holder has exactly these pages, in this one way, and that nothing is left to be
/// explained.
#[track_caller]
fn assert_exact(document: &Value, holder: &Value, pages: Range<u64>, pid: i32, via: &Value) {
    let expected = value!([{ "first": pages.start, "count": pages.end - pages.start }]);
    assert_eq!(holder["pages"], expected, "{document:#}");
    assert_eq!(holder["sure"], "exact");
    assert_eq!(holder["stops_seal"], true);
    let processes = holder["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 1, "{document:#}");
    let mut process = value!({ "pid": pid, "command": name(pid) });
    process
        .as_object_mut()
        .unwrap()
        .extend(via.as_object().unwrap().clone());
    assert_eq!(processes[0], process);
    assert_eq!(document["unexplained"], value!([]), "{document:#}");
    assert_eq!(document["unknown"], value!([]), "{document:#}");
}

fn fd(holder: &Holder) -> Value {
    value!({ "fd": holder.said })
}

#[test]
fn a_registered_buffer_is_named() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let child = held(&memory, |memory| {
        let ring = holder::ring_of(memory, &HELD, 3);
        (number(&ring), Box::new(ring))
    });
    let found = json(0, &["who", &target(&memory)]);
    let ring = only(&found, "io-uring");
    assert_exact(&found, &ring, HELD, child.pid, &fd(&child));
    assert_eq!(ring["buffer"], 3);
    assert_says(ring["help"].as_str().unwrap(), "unregister the buffer");
    assert_eq!(
        (&found["pinned_pages"], &found["dma_pinned_pages"]),
        (&value!(3), &value!(3))
    );

    let text = ctl(0, &["who", &target(&memory)]).out;
    let row = text
        .lines()
        .find(|line| line.contains("io_uring registered buffer 3"))
        .unwrap();
    assert_says(
        row,
        &format!("{} {} fd {}", child.pid, name(child.pid), child.said),
    );
    assert_says(row, "exact");
    assert!(row.starts_with("5-7 "), "{row}");
    assert!(!text.contains("Not known"), "{text}");
    drop(child);
    assert!(of_kind(&json(0, &["who", &target(&memory)]), "io-uring").is_empty());
}

/// Also what can never be sealed, is not open for writing here, or is no memfd.
#[test]
fn any_shared_memory_is_asked_about() {
    if !is_exact() {
        return;
    }
    let plain = memfd_create("plain", MemfdFlags::CLOEXEC).unwrap();
    let memfd = memfd_of(0);
    let path = format!("/tmp/pinsealctl-who-{}", std::process::id());
    let mut options = fs::OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let read_only = |memory: &OwnedFd| {
        let fd = std::os::fd::AsRawFd::as_raw_fd(memory);
        OwnedFd::from(fs::File::open(format!("/proc/self/fd/{fd}")).unwrap())
    };
    let (memfd_to_read, file) = (read_only(&memfd), OwnedFd::from(file));
    for (memory, asked) in [(&plain, &plain), (&memfd, &memfd_to_read), (&file, &file)] {
        rustix::io::write(memory, &vec![1; (16 * page()) as usize]).unwrap();
        settle();
        let child = held(memory, |memory| {
            let ring = holder::ring_of(memory, &HELD, 3);
            (number(&ring), Box::new(ring))
        });
        let found = json(0, &["who", &target(asked)]);
        assert_exact(
            &found,
            &only(&found, "io-uring"),
            HELD,
            child.pid,
            &fd(&child),
        );
    }
    let descriptors = || {
        let found = json(0, &["who", &target(&file)]);
        let of_memory = of_kind(&found, "descriptor").into_iter();
        of_memory
            .map(|holder| holder["processes"].as_array().unwrap().len())
            .sum::<usize>()
    };
    let before = descriptors();
    // An object that looks at it is one of its users, although its file system is not that of memfds.
    let look = Look::new(&file).unwrap();
    assert_eq!(descriptors(), before + 1);
    drop(look);
    fs::remove_file(&path).unwrap();
}

/// Its pages are named one by one, although the references are the folios'.
#[test]
fn parts_of_large_folios_are_named() {
    if !is_exact() {
        return;
    }
    let large = holder::large();
    if large == 0 || large * page() > 4 << 20 {
        println!("SKIP: no large folios of a size for tests");
        return;
    }
    let memory = memfd_of(2 * large);
    holder::collapse(&memory, 2 * large);
    settle();
    for pages in [5..8, large - 2..large + 3, 5..2 * large] {
        let child = held(&memory, |memory| {
            let ring = holder::ring_of(memory, &pages, 3);
            (number(&ring), Box::new(ring))
        });
        let found = json(0, &["who", &target(&memory)]);
        let ring = only(&found, "io-uring");
        assert_exact(&found, &ring, pages, child.pid, &fd(&child));
        // A large folio cannot be isolated.
        assert_eq!(ring["help"], "unregister the buffer");
    }
    let child = held(&memory, |memory| {
        let pipe = holder::pipe_of(memory, &(large - 2..large + 3));
        (number(&pipe.0), Box::new(pipe))
    });
    let found = json(0, &["who", &target(&memory)]);
    let pipe = only(&found, "pipe");
    assert_eq!(pipe["pages"], value!([{ "first": large - 2, "count": 5 }]));
    assert_eq!(found["unexplained"], value!([]), "{found:#}");
    drop(child);
    if Path::new("/dev/udmabuf").exists() {
        let child = held(&memory, |memory| {
            let dmabuf = holder::udmabuf(memory, &(large - 2..large + 3)).unwrap();
            (number(&dmabuf), Box::new(dmabuf))
        });
        let found = json(0, &["who", &target(&memory)]);
        let udmabuf = only(&found, "udmabuf");
        assert_exact(
            &found,
            &udmabuf,
            large - 2..large + 3,
            child.pid,
            &fd(&child),
        );
    }
}

/// Two processes have it, once each, and it is one reference.
#[test]
fn a_shared_ring_is_counted_once() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let ring = holder::ring_of(&memory, &HELD, 0);
    let child = held(&memory, |_| (0, Box::new(())));
    let found = json(0, &["who", &target(&memory)]);
    let holder = only(&found, "io-uring");
    let expected = [std::process::id() as i32, child.pid]
        .map(|pid| value!({ "pid": pid, "command": name(pid), "fd": number(&ring) }));
    let mut expected = expected.to_vec();
    expected.sort_by_key(|process| process["pid"].as_i64());
    assert_eq!(holder["processes"], Value::Array(expected));
    assert_eq!(found["unexplained"], value!([]));
}

#[test]
fn a_ring_without_a_descriptor_is_named() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let child = held(&memory, |memory| {
        let ring = holder::ring_of(memory, &HELD, 1);
        (holder::register_ring(&ring).into(), Box::new(()))
    });
    let found = json(0, &["who", &target(&memory)]);
    let ring = only(&found, "io-uring");
    assert_exact(
        &found,
        &ring,
        HELD,
        child.pid,
        &value!({ "registered_ring": child.said }),
    );
    assert_eq!(ring["buffer"], 1);
    drop(child);

    let child = held(&memory, |memory| {
        let ring = holder::ring_of(memory, &HELD, 2);
        (holder::map_ring(&ring) as u64, Box::new(()))
    });
    let found = json(0, &["who", &target(&memory)]);
    let ring = only(&found, "io-uring");
    let via = value!({ "start": child.said, "end": child.said + page() });
    assert_exact(&found, &ring, HELD, child.pid, &via);
    assert_eq!(ring["buffer"], 2);
}

#[test]
fn the_memory_of_a_ring_is_named() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let child = held(&memory, |memory| {
        let ring = holder::ring_in(memory, &HELD);
        (number(&ring), Box::new(ring))
    });
    let found = json(0, &["who", &target(&memory)]);
    let ring = only(&found, "io-uring-memory");
    let pages = HELD.start..HELD.start + 2;
    assert_exact(&found, &ring, pages, child.pid, &fd(&child));
    assert_says(ring["help"].as_str().unwrap(), "close the ring");
}

#[test]
fn a_pipe_is_named() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let child = held(&memory, |memory| {
        let (read, write) = holder::pipe_of(memory, &HELD);
        drop(write);
        (number(&read), Box::new(read))
    });
    let found = json(0, &["who", &target(&memory)]);
    let pipe = only(&found, "pipe");
    assert_exact(&found, &pipe, HELD, child.pid, &fd(&child));
    assert_says(pipe["help"].as_str().unwrap(), "read the pipe empty");
    assert_eq!(
        (&found["pinned_pages"], &found["dma_pinned_pages"]),
        (&value!(3), &value!(0))
    );
}

#[test]
fn a_udmabuf_is_named() {
    if !is_exact() {
        return;
    }
    if !Path::new("/dev/udmabuf").exists() {
        println!("SKIP: no udmabuf");
        return;
    }
    let memory = memfd();
    let child = held(&memory, |memory| {
        let dmabuf = holder::udmabuf(memory, &HELD).unwrap();
        (number(&dmabuf), Box::new(dmabuf))
    });
    let found = json(0, &["who", &target(&memory)]);
    let udmabuf = only(&found, "udmabuf");
    assert_exact(&found, &udmabuf, HELD, child.pid, &fd(&child));
    assert_says(udmabuf["help"].as_str().unwrap(), "close the dma-buf");
    drop(child);

    // No process has it: it is found all the same.
    let child = held(&memory, |memory| {
        (
            0,
            holder::in_flight(holder::udmabuf(memory, &HELD).unwrap()),
        )
    });
    let found = json(0, &["who", &target(&memory)]);
    let udmabuf = only(&found, "udmabuf");
    assert_eq!(udmabuf["pages"], value!([{ "first": 5, "count": 3 }]));
    assert_eq!(udmabuf["processes"], value!([]));
    assert_eq!(found["unexplained"], value!([]), "{found:#}");
    drop(child);
}

#[test]
fn socket_queues_are_named() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let child = held(&memory, |memory| {
        let (receiver, sender) = holder::unix_sockets(memory, &HELD);
        (number(&receiver), Box::new((receiver, sender)))
    });
    let found = json(0, &["who", &target(&memory)]);
    assert_exact(
        &found,
        &only(&found, "socket"),
        HELD,
        child.pid,
        &fd(&child),
    );
    drop(child);

    // What was freed may have a page for a while more.
    let memory = memfd();
    let child = held(&memory, |memory| {
        let (receiver, sender) = holder::tcp_sockets(memory, &HELD);
        (number(&receiver), Box::new((receiver, sender)))
    });
    let found = json(0, &["who", &target(&memory)]);
    let sockets = of_kind(&found, "socket");
    let receiver = sockets
        .iter()
        .find(|socket| socket["processes"][0]["fd"] == child.said);
    let receiver = receiver.unwrap_or_else(|| panic!("{found:#}"));
    assert_exact(&found, receiver, HELD, child.pid, &fd(&child));
    assert_says(receiver["help"].as_str().unwrap(), "receive what is queued");
    drop(child);

    let memory = memfd();
    let child = held(&memory, |memory| {
        let (receiver, sender) = holder::tcp_unacknowledged(memory, &HELD);
        (number(&sender), Box::new((receiver, sender)))
    });
    let found = json(0, &["who", &target(&memory)]);
    let sender = only(&found, "socket");
    assert_exact(&found, &sender, HELD, child.pid, &fd(&child));
    drop(child);

    let memory = memfd();
    let child = held(&memory, |memory| {
        let (receiver, sender) = holder::tcp_out_of_order(memory, &HELD);
        (number(&receiver), Box::new((receiver, sender)))
    });
    let found = json(0, &["who", &target(&memory)]);
    let sockets = of_kind(&found, "socket");
    let receiver = sockets
        .iter()
        .find(|socket| socket["processes"][0]["fd"] == child.said);
    let receiver = receiver.unwrap_or_else(|| panic!("{found:#}"));
    assert_exact(&found, receiver, HELD, child.pid, &fd(&child));
    drop(child);

    let memory = memfd();
    let child = held(&memory, |memory| {
        let (receiver, sender) = holder::udp_sockets(memory, &HELD);
        (number(&receiver), Box::new((receiver, sender)))
    });
    let found = json(0, &["who", &target(&memory)]);
    let receiver = only(&found, "socket");
    assert_exact(&found, &receiver, HELD, child.pid, &fd(&child));
}

/// Exact also without BPF.
#[test]
fn mappings_that_stop_a_seal_are_named() {
    let memory = memfd();
    let child = held(&memory, |memory| {
        let address = holder::map(memory, &HELD, ProtFlags::READ | ProtFlags::WRITE);
        (address as u64, Box::new(()))
    });
    let sealed = held(&memory, |memory| {
        // It can be made writable.
        let address = holder::map(memory, &HELD, ProtFlags::READ);
        holder::mseal(address, &HELD);
        (address as u64, Box::new(()))
    });
    let found = json(0, &["who", &target(&memory)]);
    let mappings = of_kind(&found, "mapping");
    assert_eq!(mappings.len(), 2, "{found:#}");
    for (holder, mseal, protection, help) in [
        (&child, false, "rw-s", "--wait-mapped"),
        (&sealed, true, "r--s", "end the process"),
    ] {
        let mapping = mappings
            .iter()
            .find(|it| it["processes"][0]["pid"] == holder.pid)
            .unwrap();
        let end = holder.said + (HELD.end - HELD.start) * page();
        assert_eq!(mapping["processes"][0]["start"], holder.said);
        assert_eq!(mapping["processes"][0]["end"], end);
        assert_eq!(mapping["pages"], value!([{ "first": 5, "count": 3 }]));
        assert_eq!(mapping["sure"], "exact");
        assert_eq!(mapping["stops_seal"], true);
        assert_eq!(mapping["mseal"], mseal);
        assert_eq!(mapping["protection"], protection);
        assert_says(mapping["help"].as_str().unwrap(), help);
    }
    let text = ctl(0, &["who", &target(&memory)]).out;
    assert_says(&text, "mapping r--s, mseal'ed");
}

/// It is a zombie in `/proc`.
#[test]
fn a_process_without_its_first_thread_is_looked_into() {
    let memory = memfd();
    let copy = memory.try_clone().unwrap();
    let fd = number(&copy);
    let child = Holder::of_second_thread(move || {
        holder::map(&copy, &HELD, ProtFlags::READ | ProtFlags::WRITE);
        (holder::this_thread(), Box::new(copy))
    });
    let stat = format!("/proc/{}/stat", child.pid);
    until(|| fs::read_to_string(&stat).unwrap().contains(") Z "));
    let found = json(0, &["who", &target(&memory)]);
    let mapping = only(&found, "mapping");
    assert_eq!(mapping["processes"][0]["pid"], child.pid);
    let descriptors = of_kind(&found, "descriptor");
    let is_copy = |it: &&Value| it["processes"][0]["fd"] == fd;
    let copies: Vec<_> = descriptors.iter().filter(is_copy).collect();
    assert_eq!(copies.len(), 1, "{found:#}");
    assert_eq!(copies[0]["processes"][0]["pid"], child.said);
    json(0, &["show", &format!("{}:{fd}", child.said)]);
}

/// A module cannot unmap huge pages.
#[test]
fn any_mapping_of_huge_pages_stops_a_seal() {
    const POOL: &str = "/proc/sys/vm/nr_hugepages";
    struct Pool(u64);
    impl Drop for Pool {
        fn drop(&mut self) {
            fs::write(POOL, self.0.to_string()).unwrap();
        }
    }
    let in_pool = || fs::read_to_string(POOL).unwrap().trim_end().parse::<u64>();
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB;
    let Ok(memory) = memfd_create("huge", flags) else {
        println!("SKIP: no hugetlbfs");
        return;
    };
    let pool = Pool(in_pool().unwrap());
    fs::write(POOL, (pool.0 + 1).to_string()).unwrap();
    let huge = u64::try_from(fstat(&memory).unwrap().st_blksize).unwrap();
    if in_pool() == Ok(pool.0) || ftruncate(&memory, huge).is_err() {
        println!("SKIP: no memory for a huge page");
        return;
    }
    let child = held(&memory, |memory| {
        let pages = 0..huge / page();
        let reader = fs::File::open(format!("/proc/self/fd/{}", number(memory))).unwrap();
        let address = holder::map(&reader, &pages, ProtFlags::READ);
        // SAFETY: it is mapped.
        unsafe { address.cast::<u8>().read_volatile() };
        (address as u64, Box::new(()))
    });
    ctl(4, &["seal", "--timeout", "5ms", &target(&memory)]);
    let found = json(0, &["who", &target(&memory)]);
    let mapping = only(&found, "mapping");
    assert_eq!(mapping["processes"][0]["start"], child.said);
    assert_eq!(
        (&mapping["stops_seal"], &mapping["help"]),
        (&value!(true), &value!("unmap it"))
    );
    assert_says(
        &ctl(0, &["who", &target(&memory)]).out,
        "mapping r--s, hugetlb",
    );
    drop(child);
    ctl(0, &["seal", &target(&memory)]);
}

#[test]
fn what_is_in_no_ones_way_is_told_apart() {
    let memory = memfd();
    let reader = fs::File::open(format!("/proc/self/fd/{}", number(&memory))).unwrap();
    let address = holder::map(&reader, &HELD, ProtFlags::READ);
    let found = json(0, &["who", &target(&memory)]);
    let mapping = only(&found, "mapping");
    assert_eq!(
        (&mapping["stops_seal"], &mapping["help"]),
        (&value!(false), &value!(null))
    );
    let descriptors = of_kind(&found, "descriptor");
    let own = |fd: u64, writable: bool| {
        descriptors.iter().any(|descriptor| {
            descriptor["writable"] == writable
                && descriptor["stops_seal"] == false
                && descriptor["processes"][0]["fd"] == fd
        })
    };
    assert_eq!(descriptors.len(), 2, "{found:#}");
    assert!(
        own(number(&memory), true) && own(number(&reader), false),
        "{found:#}"
    );
    holder::unmap(address, &HELD);
}

/// `/proc/PID/fd` does not show it.
#[test]
fn a_descriptor_of_a_thread_is_named() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let child = held(&memory, |memory| {
        let copy = memory.try_clone().unwrap();
        (holder::in_a_thread(copy), Box::new(()))
    });
    let found = json(0, &["who", &target(&memory)]);
    let descriptors = of_kind(&found, "descriptor");
    let processes: Vec<_> = descriptors.iter().map(|it| &it["processes"][0]).collect();
    let thread = child.said as i32;
    let expected = value!({ "pid": thread, "command": name(thread), "fd": holder::OF_THREAD });
    assert!(processes.contains(&&expected), "{found:#}");
    // The process has no descriptor of that number.
    ctl(
        1,
        &["show", &format!("{}:{}", child.pid, holder::OF_THREAD)],
    );
    json(0, &["show", &format!("{thread}:{}", holder::OF_THREAD)]);
}

#[test]
fn pin_handles_are_named() {
    let memory = memfd();
    let child = held(&memory, |memory| {
        let (handle, object) = holder::pin_handle(memory, &HELD, None);
        (number(&handle), Box::new((handle, object)))
    });
    let found = json(0, &["who", &target(&memory)]);
    let handle = only(&found, "pin-handle");
    assert_eq!(handle["pages"], value!([{ "first": 5, "count": 3 }]));
    assert_eq!(
        (&handle["sure"], &handle["leased"]),
        (&value!("exact"), &value!(false))
    );
    assert_eq!(handle["processes"][0]["pid"], child.pid);
    assert_eq!(handle["processes"][0]["fd"], child.said);
    assert_says(handle["help"].as_str().unwrap(), "close the handle");
    assert_eq!(found["unexplained"], value!([]), "{found:#}");
    drop(child);

    // Its object has no descriptor any more.
    let child = held(&memory, |memory| {
        let (handle, object) = holder::pin_handle(memory, &HELD, None);
        drop(object);
        (number(&handle), Box::new(handle))
    });
    let found = json(0, &["who", &target(&memory)]);
    let handle = only(&found, "pin-handle");
    assert_eq!(handle["sure"], "candidate");
    assert_eq!(handle["processes"][0]["fd"], child.said);
    assert_eq!(
        found["unexplained"][0]["pages"],
        value!({ "first": 5, "count": 3 })
    );
    drop(child);

    // Of an object of the device, by its own descriptor.
    let object = filled(16);
    settle();
    let lease = object.pin(HELD).leased(LONG).take().unwrap();
    let found = json(0, &["who", &target(&object)]);
    let handle = only(&found, "pin-handle");
    assert_eq!(
        (&handle["sure"], &handle["leased"]),
        (&value!("exact"), &value!(true))
    );
    assert_eq!(handle["processes"][0]["fd"], number(&lease));
    assert_says(handle["help"].as_str().unwrap(), "--revoke");
    assert_eq!(found["unexplained"], value!([]), "{found:#}");
    assert_eq!(
        only(&found, "descriptor")["processes"][0]["fd"],
        number(&object)
    );
}

/// After isolation, it has copies.
#[test]
fn a_pin_handle_without_pages_of_it_is_not_named() {
    let object = filled(16);
    settle();
    let _handle = object.pin(HELD).take().unwrap();
    only(&json(0, &["who", &target(&object)]), "pin-handle");
    ctl(0, &["seal", "--isolate", "--no-wait", &target(&object)]);
    let found = json(0, &["who", &target(&object)]);
    assert!(of_kind(&found, "pin-handle").is_empty(), "{found:#}");
}

#[test]
fn an_object_is_as_good_as_a_memfd() {
    if !is_exact() {
        return;
    }
    let object = filled(16);
    settle();
    let ring = holder::ring_of(&object, &HELD, 4);
    let found = json(0, &["who", &target(&object)]);
    let holder = only(&found, "io-uring");
    let via = value!({ "fd": number(&ring) });
    assert_exact(&found, &holder, HELD, std::process::id() as i32, &via);
    assert_eq!(holder["buffer"], 4);
}

/// The program has a descriptor of it as well, for a moment.
#[test]
fn it_does_not_list_itself() {
    let object = Options::new()
        .memfd(Default::default())
        .size(16 * page())
        .create()
        .unwrap();
    let found = json(0, &["who", &target(&object)]);
    let descriptor = only(&found, "descriptor");
    assert_eq!(descriptor["processes"][0]["pid"], std::process::id());
}

#[test]
fn what_nothing_explains_is_listed() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let child = held(&memory, |memory| {
        let (read, write) = holder::pipe_of(memory, &HELD);
        drop(write);
        (0, holder::in_flight(read))
    });
    let found = json(0, &["who", &target(&memory)]);
    assert!(of_kind(&found, "pipe").is_empty());
    let unexplained = found["unexplained"].as_array().unwrap();
    assert_eq!(unexplained.len(), 1, "{found:#}");
    assert_eq!(unexplained[0]["pages"], value!({ "first": 5, "count": 3 }));
    assert_eq!(
        (&unexplained[0]["pins"], &unexplained[0]["plain"]),
        (&value!(0), &value!(1))
    );
    let text = ctl(0, &["who", &target(&memory)]).out;
    assert_says(&text, "not found: 1 plain");
    drop(child);
}

/// A process without privileges, that holds pages of its own memory, with the number of that.
fn of_nobody(hold: impl FnOnce(&OwnedFd) -> Kept) -> Holder {
    Holder::new(|| {
        // SAFETY: a child has one thread.
        unsafe {
            assert_eq!(libc::setgid(NOBODY), 0);
            assert_eq!(libc::setuid(NOBODY), 0);
        }
        set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
        let memory = memfd_of(16);
        let kept = hold(&memory);
        (number(&memory), Box::new((memory, kept)))
    })
}

fn who_as_nobody(holder: &Holder) -> Value {
    let target = format!("{}:{}", holder.pid, holder.said);
    let ended = as_nobody(&["--json", "who", &target]);
    assert_eq!(ended.code, 0, "{ended:?}");
    document("who", &ended.out)
}

#[track_caller]
fn assert_does_not_know(found: &Value, what: &str) {
    let unknown = found["unknown"].as_array().unwrap();
    let says = |line: &Value| line.as_str().unwrap().contains(what);
    assert!(unknown.iter().any(says), "no \"{what}\" in {unknown:#?}");
}

#[test]
fn without_privileges_it_says_what_it_cannot_know() {
    let child = of_nobody(|memory| {
        // Its buffer is still mapped.
        let address = holder::map(memory, &HELD, ProtFlags::READ | ProtFlags::WRITE);
        Box::new(holder::ring(address, &HELD, 3))
    });
    settle();
    let found = who_as_nobody(&child);
    assert_does_not_know(&found, "exact owners of page references");
    assert_does_not_know(&found, "only root may look into them");
    let ring = only(&found, "io-uring");
    assert_eq!(
        (&ring["sure"], &ring["buffer"]),
        (&value!("likely"), &value!(3))
    );
    assert_eq!(ring["pages"], value!([{ "first": 5, "count": 3 }]));
    assert_eq!(ring["processes"][0]["pid"], child.pid);
    assert_eq!(found["unexplained"], value!([]), "{found:#}");
    assert_eq!(only(&found, "mapping")["sure"], "exact");
    drop(child);

    // Its buffer is not mapped any more.
    let child = of_nobody(|memory| Box::new(holder::ring_of(memory, &HELD, 3)));
    settle();
    let found = who_as_nobody(&child);
    let ring = only(&found, "io-uring");
    assert_eq!(
        (&ring["sure"], &ring["buffer"]),
        (&value!("candidate"), &value!(null))
    );
    assert_eq!(ring["pages"], value!([]));
    assert_eq!(ring["processes"][0]["pid"], child.pid);
    assert_eq!(
        found["unexplained"][0]["pages"],
        value!({ "first": 5, "count": 3 })
    );
    drop(child);

    let child = of_nobody(|memory| Box::new(holder::pipe_of(memory, &HELD)));
    settle();
    let found = who_as_nobody(&child);
    assert_eq!(only(&found, "pipe")["sure"], "candidate");
    assert!(of_kind(&found, "io-uring").is_empty(), "{found:#}");
}

/// With Yama, descriptors may be listed but not fetched.
#[test]
fn what_cannot_be_fetched_is_counted() {
    const SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";
    let Ok(before) = fs::read_to_string(SCOPE) else {
        println!("SKIP: the kernel has no Yama");
        return;
    };
    let child = of_nobody(|_| Box::new(()));
    let target = format!("{}:{}", child.pid, child.said);
    let look = || {
        let ended = as_nobody(&["--json", "ls", "--memfds"]);
        let hidden = document("ls", &ended.out)["hidden_processes"].as_u64();
        (hidden.unwrap(), as_nobody(&["show", &target]))
    };
    let [free, restricted] = ["0", "1"].map(|scope| {
        fs::write(SCOPE, scope).unwrap();
        look()
    });
    fs::write(SCOPE, before).unwrap();
    assert_eq!(restricted.0, free.0 + 1);
    assert_eq!((free.1.code, restricted.1.code), (0, 77));
    assert_says(&restricted.1.err, SCOPE.rsplit_once('/').unwrap().1);
}

#[test]
fn it_says_that_proc_hides_processes() {
    let child = of_nobody(|_| Box::new(()));
    assert!(
        !who_as_nobody(&child)["unknown"]
            .to_string()
            .contains("hidepid")
    );
    hide_processes();
    assert_does_not_know(&who_as_nobody(&child), "hidepid");
}

/// As on a kernel without BTF, for root.
#[test]
fn without_types_it_says_so() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let ring = holder::ring_of(&memory, &HELD, 3);
    own_mounts();
    mount(
        "none",
        "/sys/kernel/btf",
        "tmpfs",
        MountFlags::empty(),
        None,
    )
    .unwrap();
    let found = json(0, &["who", &target(&memory)]);
    assert_does_not_know(&found, "the kernel has no /sys/kernel/btf/vmlinux");
    let candidate = only(&found, "io-uring");
    assert_eq!(candidate["sure"], "candidate");
    assert_eq!(candidate["processes"][0]["fd"], number(&ring));
}

#[test]
fn without_a_device_owners_are_named_all_the_same() {
    if !is_exact() {
        return;
    }
    let memory = memfd();
    let ring = holder::ring_of(&memory, &HELD, 3);
    no_device();
    let found = json(0, &["who", &target(&memory)]);
    assert_does_not_know(
        &found,
        "which pages have extra references: there is no /dev/pinseal",
    );
    assert_eq!(found["pinned_pages"], value!(null));
    let holder = only(&found, "io-uring");
    assert_eq!(
        (&holder["sure"], &holder["buffer"]),
        (&value!("exact"), &value!(3))
    );
    assert_eq!(holder["pages"], value!([{ "first": 5, "count": 3 }]));
    assert_eq!(holder["processes"][0]["fd"], number(&ring));
    let text = ctl(0, &["who", &target(&memory)]).out;
    assert_says(&text, "pages in use:  not known");
}

#[test]
fn a_device_of_others_is_not_the_descriptor() {
    let rdev = fs::metadata("/dev/pinseal").unwrap().rdev();
    let child = of_nobody(|_| Box::new(()));
    no_device();
    make_device("/dev/pinseal", 0o600, rdev);
    let found = who_as_nobody(&child);
    assert_does_not_know(&found, "/dev/pinseal may not be opened");
}

#[test]
fn what_is_no_memory_is_refused() {
    let file = fs::File::open("/proc/self/status").unwrap();
    assert_says(&ctl(1, &["who", &target(&file)]).err, "neither an object");
    assert_says(&ctl(1, &["who", "1:9999"]).err, "no descriptor 9999");
    let unused = pinseal::Object::options().create().unwrap();
    assert_says(&ctl(1, &["who", &target(&unused)]).err, "no memory yet");
}

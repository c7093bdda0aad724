// SPDX-License-Identifier: MIT OR Apache-2.0

//! A pool of buffers for frames, as a Wayland client shares it with a compositor.
//!
//! ```text
//! buffer_pool [FRAMES]
//! ```
//!
//! The pool is one object. The compositor seals its size, so the client cannot cut it off below a mapping
//! (SIGBUS). What the compositor shows is a lease of the buffer's pages, as a display controller's pins
//! would be; giving it up is what releases the buffer. In the end the client frees the memory of a buffer
//! that is still shown: the lease is asked back.
//!
//! Client and compositor are two threads here, connected by a socket like two processes.

mod pass;

use pinseal::{LeaseState, Object, Options, PinHandle, Seals};
use std::{
    env,
    error::Error,
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
    time::Duration,
};

const BUFFERS: u64 = 3;
const BUFFER_PAGES: u64 = 4;
const GRACE: Duration = Duration::from_secs(5);

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let frames: u8 = match env::args().nth(1) {
        Some(frames) => frames.parse()?,
        None => 10,
    };
    let (client, compositor) = UnixStream::pair()?;
    let compositor = thread::spawn(move || show(compositor));
    draw(client, frames)?;
    compositor.join().map_err(|_| "the compositor panicked")?
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

fn pages(buffer: u64) -> std::ops::Range<u64> {
    buffer * BUFFER_PAGES..(buffer + 1) * BUFFER_PAGES
}

/// The client: draws frames into free buffers, and attaches them.
fn draw(mut compositor: UnixStream, frames: u8) -> Result<()> {
    let size = BUFFERS * BUFFER_PAGES * page_size();
    let pool = Options::new().name("pool").size(size).create()?;
    pass::send(&compositor, &pool)?;

    let mut free: Vec<u8> = (0..BUFFERS as u8).collect();
    let mut last = 0;
    for frame in 0..frames {
        let buffer = match free.pop() {
            Some(buffer) => buffer,
            None => receive(&mut compositor)?.ok_or("the compositor has gone")?,
        };
        let pixels = vec![frame; (BUFFER_PAGES * page_size()) as usize];
        let offset = pages(buffer.into()).start * page_size();
        pool.write_all_at(&pixels, offset)?;
        compositor.write_all(&[buffer])?;
        last = buffer;
    }

    // When the others are released, the last frame is shown.
    while frames > 0 && free.len() < BUFFERS as usize - 1 {
        free.extend(receive(&mut compositor)?);
    }
    // What it draws no more, it frees. It has to be asked for.
    let pages = pages(last.into());
    let bytes = pages.start * page_size()..pages.end * page_size();
    let removed = pool.punch_hole(bytes).timeout(2 * GRACE).run()?;
    println!(
        "client: drew {frames} frames, and freed a buffer; {} pages were revoked",
        removed.revoked_pages
    );
    Ok(())
}

/// The compositor: shows the frame that was attached last.
fn show(mut client: UnixStream) -> Result<()> {
    let pool = Object::try_from(pass::receive(&client)?)?;
    let sealed = pool.seal(Seals::SHRINK | Seals::GROW).run()?;
    let pool = sealed.into_object();

    let mut shown: Option<(u8, PinHandle)> = None;
    let mut frames = 0;
    client.set_read_timeout(Some(Duration::from_millis(10)))?;
    loop {
        if let Some((_, lease)) = &shown {
            // Asked for: a sealer needs the pages more than the screen does.
            if lease.state()? != LeaseState::Held {
                shown = None;
            }
        }
        let buffer = match receive(&mut client) {
            Ok(Some(buffer)) => buffer,
            Ok(None) => break,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        let lease = pool
            .pin(pages(buffer.into()))
            .read_only()
            .leased(GRACE)
            .take()?;
        let mut pixel = [0];
        lease.read_at(&mut pixel, 0)?;
        assert_eq!(pixel[0], frames);
        frames += 1;
        // This releases the one that was shown before.
        if let Some((buffer, lease)) = shown.replace((buffer, lease)) {
            drop(lease);
            client.write_all(&[buffer])?;
        }
    }
    println!("compositor: showed {frames} frames");
    Ok(())
}

/// The number of a buffer; none if the other end has gone.
fn receive(socket: &mut UnixStream) -> std::io::Result<Option<u8>> {
    let mut buffer = [0];
    let n = socket.read(&mut buffer)?;
    Ok((n == 1).then_some(buffer[0]))
}

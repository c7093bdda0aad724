// SPDX-License-Identifier: MIT OR Apache-2.0

//! Seals.

use crate::{abi, flags::flags};

flags! {
    /// Seals of an object: those of memfd (see *fcntl(2)*), with the same meaning, and one more.
    ///
    /// A seal cannot be removed.
    ///
    /// ```
    /// use pinseal::Seals;
    ///
    /// assert!((Seals::WRITE | Seals::SHRINK | Seals::GROW) == Seals::CONTENT);
    /// assert_eq!(Seals::CONTENT.to_string(), "shrink,grow,write");
    /// assert_eq!(Seals::from_name("write"), Some(Seals::WRITE));
    /// ```
    Seals {
        /// No more seals can be added (`F_SEAL_SEAL`).
        SEAL = 0x1, "seal";
        /// The size cannot be reduced (`F_SEAL_SHRINK`).
        SHRINK = 0x2, "shrink";
        /// The size cannot be increased (`F_SEAL_GROW`).
        GROW = 0x4, "grow";
        /// The bytes cannot be changed, but by a change of size (`F_SEAL_WRITE`).
        WRITE = 0x8, "write";
        /// No new way to write can be made: mappings that exist stay writable
        /// (`F_SEAL_FUTURE_WRITE`).
        FUTURE_WRITE = 0x10, "future-write";
        /// The mode's execute bits cannot be changed (`F_SEAL_EXEC`).
        EXEC = 0x20, "exec";
        /// No mapping of the object becomes executable that is not yet
        /// (`PINSEAL_F_SEAL_FUTURE_EXEC`).
        FUTURE_EXEC = abi::F_SEAL_FUTURE_EXEC, "future-exec";
    }
}

impl Seals {
    /// Neither the bytes nor the size can change: [`WRITE`](Self::WRITE), [`SHRINK`](Self::SHRINK)
    /// and [`GROW`](Self::GROW).
    pub const CONTENT: Self = Self::WRITE.union(Self::SHRINK).union(Self::GROW);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::SealFlags;

    #[test]
    fn values_are_the_kernels() {
        assert_eq!(Seals::SEAL.bits(), SealFlags::SEAL.bits());
        assert_eq!(Seals::SHRINK.bits(), SealFlags::SHRINK.bits());
        assert_eq!(Seals::GROW.bits(), SealFlags::GROW.bits());
        assert_eq!(Seals::WRITE.bits(), SealFlags::WRITE.bits());
        assert_eq!(Seals::FUTURE_WRITE.bits(), SealFlags::FUTURE_WRITE.bits());
    }

    #[test]
    fn unknown_bits_are_shown() {
        assert_eq!(Seals::from_bits(0x100 | 0x8).to_string(), "write,0x100");
        assert_eq!(Seals::empty().to_string(), "-");
    }
}

// SPDX-License-Identifier: GPL-2.0-only

//! The rules of seals: which there are, and what they forbid. No kernel state.

use crate::uapi;
use kernel::{
    impl_flags,
    prelude::*, //
};

impl_flags!(
    /// A set of seals, `F_SEAL_*` of `<linux/fcntl.h>`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct SealSet(u32);

    /// One seal.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Seal {
        /// No more seals.
        Seal = uapi::F_SEAL_SEAL,

        /// The size cannot shrink.
        Shrink = uapi::F_SEAL_SHRINK,

        /// The size cannot grow.
        Grow = uapi::F_SEAL_GROW,

        /// Nobody can write, in any way.
        Write = uapi::F_SEAL_WRITE,

        /// Nobody can write but through shared writable mappings that exist.
        FutureWrite = uapi::F_SEAL_FUTURE_WRITE,
    }
);

impl SealSet {
    /// The seals that can be set.
    pub(crate) const SUPPORTED: u32 = uapi::F_SEAL_SEAL
        | uapi::F_SEAL_SHRINK
        | uapi::F_SEAL_GROW
        | uapi::F_SEAL_WRITE
        | uapi::F_SEAL_FUTURE_WRITE;

    /// The set with these bits.
    ///
    /// # Errors
    ///
    /// `EINVAL` when there are bits that are no seal, or one that is not supported.
    pub(crate) fn from_bits(bits: u32) -> Result<Self> {
        if bits & !Self::SUPPORTED == 0 {
            Ok(Self(bits))
        } else {
            Err(EINVAL)
        }
    }

    /// The set with these bits, which came from [`SealSet::bits`].
    pub(crate) const fn from_valid_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits, as user space knows them.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// Whether more seals can be added.
    ///
    /// # Errors
    ///
    /// `EPERM` when not, even for none.
    pub(crate) fn check_addable(self) -> Result {
        if self.contains(Seal::Seal) {
            return Err(EPERM);
        }
        Ok(())
    }

    /// Whether adding `new` takes away a way to write that is open now, so that pins and mappings
    /// matter.
    pub(crate) fn adding_ends_writing(self, new: SealSet) -> bool {
        new.contains(Seal::Write) && !self.contains(Seal::Write)
    }

    /// Whether new shared mappings may not be writable.
    pub(crate) fn forbid_writable_mappings(self) -> bool {
        self.contains_any(Seal::Write | Seal::FutureWrite)
    }
}

#[kunit_tests(pinseal_seals)]
mod tests {
    use super::*;

    const NONE: SealSet = SealSet::from_valid_bits(0);

    fn set(bits: u32) -> SealSet {
        SealSet::from_valid_bits(bits)
    }

    #[test]
    fn every_bit_alone_is_known_or_refused() {
        for bit in 0..u32::BITS {
            let known = SealSet::SUPPORTED & (1 << bit) != 0;

            match SealSet::from_bits(1 << bit) {
                Ok(seals) => assert!(known && seals.bits() == 1 << bit),
                Err(err) => assert!(!known && err == EINVAL),
            }
        }
    }

    #[test]
    fn one_unknown_bit_spoils_all() {
        assert!(SealSet::from_bits(SealSet::SUPPORTED).is_ok());
        assert!(SealSet::from_bits(SealSet::SUPPORTED | 1 << 31).is_err());
        assert!(SealSet::from_bits(0).is_ok());
    }

    #[test]
    fn only_the_seal_seal_ends_adding() {
        for bits in 0..=SealSet::SUPPORTED {
            assert!(set(bits).check_addable().is_ok() == (bits & uapi::F_SEAL_SEAL == 0));
        }
    }

    #[test]
    fn only_the_first_write_seal_ends_writing() {
        let write = set(uapi::F_SEAL_WRITE);

        assert!(NONE.adding_ends_writing(write));
        assert!(set(uapi::F_SEAL_FUTURE_WRITE).adding_ends_writing(write));
        assert!(!write.adding_ends_writing(write));
        assert!(!NONE.adding_ends_writing(set(SealSet::SUPPORTED & !uapi::F_SEAL_WRITE)));
    }

    #[test]
    fn both_write_seals_forbid_writable_mappings() {
        assert!(set(uapi::F_SEAL_WRITE).forbid_writable_mappings());
        assert!(set(uapi::F_SEAL_FUTURE_WRITE).forbid_writable_mappings());
        assert!(
            !set(uapi::F_SEAL_SHRINK | uapi::F_SEAL_GROW | uapi::F_SEAL_SEAL)
                .forbid_writable_mappings()
        );
    }
}

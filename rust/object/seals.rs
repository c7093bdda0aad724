// SPDX-License-Identifier: GPL-2.0-only

//! The rules of seals: which exist, what they imply and what they forbid. No kernel state.

use crate::uapi;
use kernel::{
    impl_flags,
    prelude::*, //
};

impl_flags!(
    /// A set of seals: `F_SEAL_*` of `<linux/fcntl.h>`, and ours.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct SealSet(u32);

    /// One seal.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Seal {
        /// No more seals.
        Seal = uapi::F_SEAL_SEAL,

        /// The size cannot shrink.
        Shrink = uapi::F_SEAL_SHRINK,

        /// The size cannot grow.
        Grow = uapi::F_SEAL_GROW,

        /// No write, in any way.
        Write = uapi::F_SEAL_WRITE,

        /// No write but through shared writable mappings that exist.
        FutureWrite = uapi::F_SEAL_FUTURE_WRITE,

        /// The bits of the file mode that make it executable cannot change.
        Exec = uapi::F_SEAL_EXEC,

        /// No execution but through executable mappings that exist. The kernel does not know it.
        FutureExec = uapi::PINSEAL_F_SEAL_FUTURE_EXEC,
    }
);

impl SealSet {
    /// The seals that the kernel knows and enforces for every descriptor of a file.
    const KERNEL: u32 = uapi::F_SEAL_SEAL
        | uapi::F_SEAL_SHRINK
        | uapi::F_SEAL_GROW
        | uapi::F_SEAL_WRITE
        | uapi::F_SEAL_FUTURE_WRITE
        | uapi::F_SEAL_EXEC;

    /// The seals that can be set.
    pub(crate) const SUPPORTED: u32 = Self::KERNEL | uapi::PINSEAL_F_SEAL_FUTURE_EXEC;

    /// The set with these bits.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a bit that is no supported seal.
    pub(crate) fn from_bits(bits: u32) -> Result<Self> {
        if bits & !Self::SUPPORTED == 0 {
            Ok(Self(bits))
        } else {
            Err(EINVAL)
        }
    }

    /// The seals of a file, from the kernel's bits. Unknown bits are left out.
    pub(crate) const fn from_kernel_bits(bits: u32) -> Self {
        Self(bits & Self::KERNEL)
    }

    /// The bits of the seals that the kernel knows.
    pub(crate) const fn kernel_bits(self) -> u32 {
        self.0 & Self::KERNEL
    }

    /// The seals that the kernel does not know.
    pub(crate) const fn non_kernel(self) -> Self {
        Self(self.0 & !Self::KERNEL)
    }

    /// The set of this one seal, if it is in the set.
    pub(super) fn only(self, seal: Seal) -> Self {
        self & seal
    }

    /// The set without this one seal.
    pub(super) fn without(self, seal: Seal) -> Self {
        self & !seal
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
    /// `EPERM` when not, even to add none.
    pub(crate) fn check_addable(self) -> Result {
        if self.contains(Seal::Seal) {
            return Err(EPERM);
        }
        Ok(())
    }

    /// The set with the seals that it implies: as with memfd, a file that stays executable must not
    /// change.
    pub(crate) fn with_implied(self, is_executable: bool) -> Self {
        if is_executable && self.contains(Seal::Exec) {
            self | Seal::Shrink | Seal::Grow | Seal::Write | Seal::FutureWrite
        } else {
            self
        }
    }

    /// Whether adding `new` ends writing that is possible now, so that pins and mappings matter.
    pub(crate) fn adding_ends_writing(self, new: SealSet) -> bool {
        new.contains(Seal::Write) && !self.contains(Seal::Write)
    }

    /// Whether new writes are forbidden: `write()`, and pins and mappings made from now on.
    pub(crate) fn forbid_writing(self) -> bool {
        self.contains_any(Seal::Write | Seal::FutureWrite)
    }

    /// Whether the size, in bytes, may not change from `old` to `new`.
    pub(crate) fn forbid_size(self, old: u64, new: u64) -> bool {
        (new < old && self.contains(Seal::Shrink)) || (new > old && self.contains(Seal::Grow))
    }

    /// Whether new shared writable mappings are forbidden.
    pub(crate) fn forbid_writable_mappings(self) -> bool {
        self.contains_any(Seal::Write | Seal::FutureWrite)
    }

    /// Whether new executable mappings are forbidden.
    pub(crate) fn forbid_executable_mappings(self) -> bool {
        self.contains(Seal::FutureExec)
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
    fn one_unknown_bit_is_refused() {
        assert!(SealSet::from_bits(SealSet::SUPPORTED).is_ok());
        assert!(SealSet::from_bits(SealSet::SUPPORTED | 1 << 31).is_err());
        assert!(SealSet::from_bits(0).is_ok());
    }

    #[test]
    fn only_the_seal_seal_ends_adding() {
        for bits in 0..=SealSet::KERNEL {
            for bits in [bits, bits | uapi::PINSEAL_F_SEAL_FUTURE_EXEC] {
                assert!(set(bits).check_addable().is_ok() == (bits & uapi::F_SEAL_SEAL == 0));
            }
        }
    }

    #[test]
    fn the_kernel_is_not_given_unknown_seals() {
        let all = set(SealSet::SUPPORTED);

        assert!(all.kernel_bits() == SealSet::KERNEL);
        assert!(SealSet::from_kernel_bits(u32::MAX).bits() == SealSet::KERNEL);
        assert!(SealSet::KERNEL & uapi::PINSEAL_F_SEAL_FUTURE_EXEC == 0);
    }

    #[test]
    fn only_the_exec_seal_of_an_executable_file_implies() {
        for bits in 0..=SealSet::KERNEL {
            let implied = match bits & uapi::F_SEAL_EXEC {
                0 => bits,
                _ => bits | (SealSet::KERNEL & !uapi::F_SEAL_SEAL),
            };

            assert!(set(bits).with_implied(false) == set(bits));
            assert!(set(bits).with_implied(true) == set(implied));
        }
    }

    #[test]
    fn only_future_exec_forbids_executable_mappings() {
        assert!(set(uapi::PINSEAL_F_SEAL_FUTURE_EXEC).forbid_executable_mappings());
        assert!(!set(SealSet::KERNEL).forbid_executable_mappings());
    }

    #[test]
    fn a_size_is_forbidden_in_its_direction_only() {
        let (shrink, grow) = (set(uapi::F_SEAL_SHRINK), set(uapi::F_SEAL_GROW));

        assert!(shrink.forbid_size(2, 1) && !shrink.forbid_size(1, 2) && !shrink.forbid_size(1, 1));
        assert!(grow.forbid_size(1, 2) && !grow.forbid_size(2, 1) && !grow.forbid_size(1, 1));
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

// SPDX-License-Identifier: MIT OR Apache-2.0

//! A macro for sets of bits: one type for each mask of the interface.

/// Defines a type for a mask, and a constant for each bit, with the name that people type.
macro_rules! flags {
    (
        $(#[$meta:meta])*
        $type:ident {
            $($(#[$doc:meta])* $name:ident = $value:expr, $text:literal;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $type(u32);

        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];

            /// No bit.
            pub const fn empty() -> Self {
                Self(0)
            }

            /// The set of these bits, also of those that this version of the crate has no name for.
            pub const fn from_bits(bits: u32) -> Self {
                Self(bits)
            }

            /// The bits, as the kernel has them.
            pub const fn bits(self) -> u32 {
                self.0
            }

            /// Whether no bit is set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether all bits of `other` are set.
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The bits of both sets.
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The bits that are not in `other`.
            pub const fn difference(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// The names of the bits, in the order of their values.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMES
                    .iter()
                    .filter(move |(bit, _)| self.contains(*bit))
                    .map(|(_, name)| *name)
            }

            /// The bit with that name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::NAMES
                    .iter()
                    .find(|(_, known)| *known == name)
                    .map(|(bit, _)| *bit)
            }

            /// The bits that have names.
            pub fn known() -> Self {
                Self::NAMES
                    .iter()
                    .fold(Self::empty(), |all, (bit, _)| all.union(*bit))
            }
        }

        impl std::ops::BitOr for $type {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }

        impl std::ops::BitOrAssign for $type {
            fn bitor_assign(&mut self, other: Self) {
                *self = self.union(other);
            }
        }

        /// The names, separated by commas; bits without one as a number; `-` if there is none.
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut words: Vec<String> = self.names().map(str::to_owned).collect();
                let rest = self.difference(Self::known());
                if !rest.is_empty() {
                    words.push(format!("{:#x}", rest.bits()));
                }
                f.pad(if words.is_empty() { "-".to_owned() } else { words.join(",") }.as_str())
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self)
            }
        }
    };
}

pub(crate) use flags;

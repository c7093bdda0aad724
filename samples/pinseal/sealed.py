#!/usr/bin/python3
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes memory that nothing can change any more. Documentation/userspace-api/libraries.rst shows it.

from pinseal import Object, Seal, SealError

with Object.create("frame") as frame:
    frame.write(b"hello")
    try:
        print(frame.seal(Seal.WRITE | Seal.SHRINK, timeout=0.5))
    except SealError as error:
        print(error, error.report.first_pinned)

# SPDX-License-Identifier: GPL-2.0-only
#
# The commands to type; `make help` lists them. Kbuild's part is in Kbuild.

# With the host's own tools, for the host's own kernel, as any out-of-tree module. ARCH,
# CROSS_COMPILE, LLVM, MO and so on are passed to Kbuild.
KDIR ?= /lib/modules/$(shell uname -r)/build

.PHONY: modules modules_install clean
modules:
	@scripts/doctor --build '$(KDIR)'
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)' modules

modules_install:
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)' $@

clean:
	$(MAKE) -C tools/lib clean
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)' clean

# What a system needs besides the module, under $(PREFIX). `make uninstall` removes what `make install`
# with the same variables would install.
.PHONY: install uninstall
# For a make in another folder, too.
destdir := $(abspath $(DESTDIR))
install:
	$(MAKE) -C packaging install DESTDIR='$(destdir)'
	$(MAKE) -C tools/lib install DESTDIR='$(destdir)' UAPI_HEADER=no

uninstall:
	@scripts/uninstall '$(destdir)'

# With a build root and stock kernels in $PINSEAL_CACHE. These take ARCH=x86_64 or
# ARCH=arm64.
.PHONY: deb test-packages test kunit vng vng-test crash count test-matrix hammer demo bench fuzz module check \
	checkpatch docs rust-analyzer format shell distclean-cache help
export KERNEL FLAVOURS TEST BENCH
module check checkpatch rust-analyzer format shell:
	@ARCH='$(ARCH)' scripts/$@

# KDIR= and O= of the command line.
given = $(if $(filter command environment,$(firstword $(origin $(1)))),$(abspath $($(1))))
# The compiler of the environment is for other programs.
kernel := PINSEAL_KDIR='$(call given,KDIR)' PINSEAL_IMAGE='$(call given,IMAGE)' LLVM='$(LLVM)' \
	CC='$(if $(filter command,$(firstword $(origin CC))),$(CC))'

test vng:
	@ARCH='$(ARCH)' $(kernel) PINSEAL_FILES='$(abspath $(FILES))' PINSEAL_RESULTS='$(call given,O)' \
		PINSEAL_MINUTES='$(MINUTES)' scripts/$@

vng-test:
	@ARCH='$(ARCH)' $(kernel) PINSEAL_RESULTS='$(call given,O)' scripts/test vng

count:
	@ARCH='$(ARCH)' COUNT='$(COUNT)' scripts/count

crash:
	@ARCH='$(ARCH)' ROUNDS='$(ROUNDS)' SEED='$(SEED)' scripts/crash

test-matrix:
	@FLAVOURS="$$(awk '!/^#/ { print $$1 }' qemu/flavours | xargs)" scripts/test

hammer:
	@ARCH='$(ARCH)' HAMMER_SECONDS='$(HAMMER_SECONDS)' SEED='$(SEED)' RUN='$(RUN)' scripts/hammer

docs:
	@PINSEAL_RESULTS='$(call given,O)' scripts/docs

deb:
	@ARCH='$(ARCH)' PINSEAL_RESULTS='$(call given,O)' scripts/deb

test-packages:
	@ARCH='$(ARCH)' scripts/test-packages

kunit:
	@scripts/kunit

demo bench:
	@ARCH='$(ARCH)' PINSEAL_DISK='$(DISK)' PINSEAL_RESULTS='$(call given,O)' scripts/show $@

fuzz:
	@ARCH='$(ARCH)' FUZZ_SECONDS='$(SECONDS)' SEED='$(SEED)' scripts/show fuzz

distclean-cache:
	@scripts/distclean-cache

help:
	@sed -n 's/^## \{0,1\}//p' $(MAKEFILE_LIST)

## In the project's own guests (build root, kernels and results are in a cache folder,
## $PINSEAL_CACHE or ~/.cache/pinseal; nothing on the host changes):
##
##   make test             every test, in an x86_64 and an arm64 guest
##   make test ARCH=arm64 TEST="abi seals"
##                         some tests in one guest
##   make test KERNEL=debug
##                         under debug kernels (or kcsan)
##   make test KERNEL=uml TEST=seals
##                         natively, in user-mode Linux: the quick way
##   make test FLAVOURS="rt-amd64 ..."
##                         under other kernels of qemu/flavours
##   make test KDIR=/path/to/build
##                         under a kernel of your own; IMAGE= if it is elsewhere
##   make test MINUTES=30  those that begin in this time, in an order of chance; the others are named
##   make test O=results   leaves TAP and logs in that folder
##   make kunit            the unit tests, natively (user-mode Linux, 10 minutes the first time)
##   make test-matrix      under all of them, with a table at the end
##   make hammer           under all of them, long variants, and hours of fuzzing
##   make hammer FLAVOURS="debug-arm64" TEST="fuzz seal_races" HAMMER_SECONDS=600
##                         parts of that; RUN=folder continues an interrupted one
##   make crash ROUNDS=200 kills guests under load, and checks what fsync() of stacked objects promised
##   make demo             sealing with real pins, memfd and pinseal side by side
##   make bench            the measurements; O=folder gets them as JSON, with plots
##   make bench BENCH="seal release"
##                         those whose names begin with one of these words
##   make bench BENCH=stacked DISK=16
##                         on a disk of so many MB/s: beside an emulated CPU, one as fast as the
##                         host's would seem faster than any real one
##   make count COUNT=seal instructions and cache lines of operations, memfd and pinseal, against their
##                         budgets; all, or those whose names begin so
##   make fuzz SECONDS=60 SEED=1
##                         random commands from several threads, against a model
##   make module           pinseal.ko for the stock kernels, all or ARCH's
##   make deb O=folder     Debian packages of module, tools and headers for the stock kernels, all or
##                         ARCH's
##   make test-packages    installs them with apt into Debians, boots these, and purges them
##   make check            formatting, clippy, header, layers, scripts
##   make rust-analyzer    rust-project.json and compile_commands.json, for editors
##   make docs O=folder    the documents as HTML
##   make checkpatch       the kernel's checkpatch.pl, for the module's C
##   make format           formats the Rust files
##   make test TEST="rust:pinseal rust:pinsealctl:lease"
##                         the tests of a Rust crate or program, or those with a word in their name
##   make shell            a shell in the build root
##   make vng              a shell in a guest, with the module, tests and tools; ARCH=, KERNEL=
##                         and FLAVOURS= choose the kernel; a pipe's commands are run;
##                         FILES="program folder" are in /pinseal/files
##   make vng-test TEST="abi seals"
##                         as make test, in guests that virtme-ng starts
##   make distclean-cache  removes the cache folder
##
## The Rust crate and pinsealctl, with the host's tools (rustc 1.85), in the folder tools:
##
##   cargo build           the crate, its examples, and pinsealctl; with --features pinsealctl/bpf (and
##                         clang, libelf, zlib) its `who` names exact owners
##   cargo test            their tests; as root, with the module loaded
##   cargo run --example generate -- FOLDER
##                         man pages and completions
##
## With the host's tools, for a kernel of your own (KDIR=, ARCH=, CROSS_COMPILE=,
## LLVM=1 as for any out-of-tree module):
##
##   make                  pinseal.ko
##   make modules_install
##   make install          what a system needs besides the module: manual, headers, loading at boot;
##                         PREFIX=/usr/local, DESTDIR=
##   make uninstall        removes that
##   make clean

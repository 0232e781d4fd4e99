# SPDX-License-Identifier: GPL-2.0
#
# The commands of this project; `make help` lists them. kbuild reads Kbuild.
# Without KDIR, everything is built and run in a Debian root with a test kernel or
# Debian's own. scripts/ makes or fetches these on first use and keeps them in a cache.

# Other names of the architectures.
arch-of-x86 := x86_64
arch-of-amd64 := x86_64
arch-of-aarch64 := arm64
arch-name := $(or $(arch-of-$(ARCH)),$(ARCH))

ifneq ($(origin KDIR),undefined)
ifeq ($(strip $(KDIR)),)
$(error KDIR is empty: give the path of a kernel build tree, or leave KDIR out)
endif
# Quoted as one word of the shell.
kdir := '$(subst ','\'',$(KDIR))'
# If the kernel was built with clang, its modules must be, too.
LLVM ?= $(if $(shell grep -sx CONFIG_CC_IS_CLANG=y $(kdir)/.config),1)
kbuild = +@MAKE='$(MAKE)' scripts/in-kdir $(kdir) M=$(CURDIR) MO=$(CURDIR)/build \
	$(if $(LLVM),LLVM=$(LLVM)) $(if $(ARCH),ARCH=$(arch-name))

module:
	@scripts/check-kdir $(kdir)
	@mkdir -p build && echo '*' >build/.gitignore
	$(kbuild) modules

modules_install: module
	$(kbuild) modules_install

# What owner_storage was built into.
OSTOR ?= build
ostor := '$(subst ','\'',$(abspath $(OSTOR)))'
samples:
	@scripts/check-user $(kdir) $(ostor)
	+@for sample in $(patsubst %/Kbuild,%,$(wildcard samples/*/Kbuild)); do \
		mkdir -p build/$$sample && MAKE='$(MAKE)' scripts/in-kdir $(kdir) M=$(CURDIR)/$$sample \
			MO=$(CURDIR)/build/$$sample OSTOR=$(ostor) $(if $(LLVM),LLVM=$(LLVM)) \
			$(if $(ARCH),ARCH=$(arch-name)) modules || exit; \
	done
else
modules_install:
	$(error modules_install needs KDIR, the build tree of the kernel to install for)

module:
	@scripts/module $(arch)

samples:
	@scripts/samples $(arch)
endif

# Without ARCH, commands run on x86_64, and the tests on both architectures.
arch = $(if $(ARCH),--arch $(arch-name))

demo:
	@scripts/vm $(arch) --kernel stock --timeout 600 -- ostor demo

test:
	@scripts/test $(arch)

test-matrix:
	@scripts/test --matrix

bench:
	@scripts/vm $(arch) --icount --timeout 1200 -- ostor-torture bench

stress:
	@scripts/vm $(arch) --timeout 1800 -- ostor-torture stress

torture:
	@scripts/torture

mutants:
	@scripts/mutants

busted:
	@scripts/busted

fuzz:
	@scripts/vm $(arch) --timeout 7200 -- ostor-fuzz --ops 5000000

lint:
	@scripts/lint

doc:
	@scripts/doc

clean:
	@scripts/clean

install:
	@scripts/install

uninstall:
	@scripts/install --uninstall

clean-old:
	@scripts/clean --old

distclean:
	@scripts/clean --all

define HELP
make             build owner_storage.ko. KDIR=TREE builds it against the built
                 kernel tree TREE, with the compilers of this machine;
                 scripts/complete-headers makes such a tree of Debian's headers
make samples     build the modules of samples/, which use owner_storage. With
                 KDIR=TREE, against what "make KDIR=TREE" has built, or OSTOR=DIR
make demo        run the demonstration on Debian's kernel in a virtual machine
make test        run every test; the last line has the counts
make test-matrix run the tests on Debian's kernels, and on kernels of every
                 configuration, PREEMPT_RT, one processor, KASAN and lockdep
                 among them, on both architectures. Takes hours; a run that was
                 stopped goes on where it was
make bench       count the instructions of each operation
make stress      run the stress tests
make torture     make locks and allocations fail, ten minutes on each of four
                 kernels, two of which check memory and locks, and five on each
                 of two more: PREEMPT_RT, one processor
make mutants     change the storage in each of many small ways, one at a time;
                 the models must fail each time. Takes hours
make busted      build the module with one fault after the other; the torture
                 must find each
make fuzz        make 5,000,000 ioctls with valid and invalid arguments
make lint        run every static check
make doc         build the documentation of the Rust code
make install     install the tools, their man pages and bash completion, the UAPI
                 header, and files for modprobe and udev (PREFIX, DESTDIR);
                 make uninstall removes them
make modules_install KDIR=TREE
                 install the module for that kernel (INSTALL_MOD_PATH, and
                 INSTALL_MOD_STRIP, as for kernels)
make clean       remove what was built from this checkout
make clean-old   remove what was built from checkouts that are gone, and what was
                 not used for a month
make distclean   empty the cache: root, kernels and everything that was built

ARCH=arm64 runs demo, test, bench, stress and fuzz, and builds the module, for
arm64, which is emulated, in place of x86_64. make test without ARCH does both.

scripts/vm -- COMMAND runs COMMAND on a test kernel with the module loaded.
Each script in scripts/ explains itself with --help.
endef

help:
	$(info $(HELP))
	@:

.DEFAULT_GOAL := module
.PHONY: module samples demo test test-matrix bench stress torture mutants busted fuzz lint doc install uninstall modules_install clean clean-old distclean help

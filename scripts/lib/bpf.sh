# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# BPF programs and their loaders, built in the root with libbpf and bpftool of the
# kernel's source. Needs kernel.sh and module.sh, and the kernel's lock held.

# bpf_paths: sets the paths for the kernel of kernel_paths, and the names of its
# architecture: those of the kernel's tools and of libbpf's macros, and that of the
# compiler and its libraries.
bpf_paths() {
	BPF=$KERNEL/bpf
	BPF_PROGRAMS=$CHECKOUT/bpf-$KERNEL_NAME
	case $ARCH in
	x86_64) BPF_ARCH=x86 BPF_TARGET=x86_64-linux-gnu ;;
	arm64) BPF_ARCH=arm64 BPF_TARGET=aarch64-linux-gnu ;;
	esac
}

# The shell script that the root runs, given the kernel's source, its build tree, the
# directory for the result, and the two names of the architecture. Builds libbpf for it,
# the part of bpftool that makes headers, and a header with the kernel's types.
# shellcheck disable=SC2016
BUILD_BPF='
	set -eux
	tools=$1/tools build=$2 out=$3 arch=$4 target=$5
	mkdir -p "$out/libbpf" "$out/bpftool"
	make -C "$tools/lib/bpf" -j"$(nproc)" ARCH="$arch" CROSS_COMPILE="$target-" OUTPUT="$out/libbpf/" \
		DESTDIR="$out" prefix= "$out/libbpf/libbpf.a" install_headers
	make -C "$tools/bpf/bpftool" -j"$(nproc)" OUTPUT="$out/bpftool/" \
		SKIP_LLVM=1 SKIP_LIBBFD=1 SKIP_CRYPTO=1 bootstrap
	"$out/bpftool/bootstrap/bpftool" btf dump file "$build/vmlinux" format c >"$out/include/vmlinux.h"'

build_bpf() {
	rm -rf "${CACHE:?}/$BPF"
	in_root sh -c "$BUILD_BPF" bpf "$IN_CACHE/$SOURCE" "$IN_CACHE/$KERNEL/build" "$IN_CACHE/$BPF" \
		"$BPF_ARCH" "$BPF_TARGET"
}

make_bpf() {
	STEP_LINES=100 run_step "bpf-$KERNEL_NAME" 40 90 count_lines \
		"Building libbpf and bpftool from the kernel's source" build_bpf
}

# ensure_bpf: builds libbpf and bpftool. Sets BPF_KEY.
ensure_bpf() {
	bpf_paths
	ensure_source
	BPF_KEY=$({ kernel_key; echo "$BUILD_BPF"; } | hash_of)
	ensure "bpf-$KERNEL_NAME" "$CACHE/$BPF.stamp" "$BPF_KEY" make_bpf
}

# Another script, given the kernel's build tree, the result of BUILD_BPF, the directory for
# the result, the module, and the two names of the architecture. Builds the tests of the
# kfuncs, the sample as a user does, and a module without BTF, and copies the libraries
# that the programs need. The root has no links for the linker to those of arm64, so they
# are named by their versions.
# shellcheck disable=SC2016
BUILD_BPF_PROGRAMS='
	set -eux
	build=$1 bpf=$2 out=$3 module=$4 arch=$5 target=$6
	libbpf="$bpf/libbpf/libbpf.a -l:libelf.so.1 -l:libz.so.1"
	mkdir -p "$out/lib"
	for name in kfuncs refused upstream; do
		clang --target=bpf -mcpu=v3 -O2 -g -Wall -Werror -fms-extensions -Wno-microsoft-anon-tag -D__TARGET_ARCH_"$arch" \
			-I"$bpf/include" -Iinclude -c "tools/bpf/$name.bpf.c" -o "$out/$name.bpf.o"
		"$bpf/bpftool/bootstrap/bpftool" gen skeleton "$out/$name.bpf.o" name "$name" >"$out/$name.skel.h"
	done
	for name in kfuncs upstream; do
		# shellcheck disable=SC2086
		"$target-gcc" -std=gnu11 -O2 -g -Wall -Werror -D_GNU_SOURCE -I"$out" -I"$bpf/include" -Iinclude/uapi \
			-o "$out/$name" "tools/bpf/$name.c" $libbpf -pthread
	done
	make -C samples/bpf CC="$target-gcc" O="$out" BPFTOOL="$bpf/bpftool/bootstrap/bpftool" \
		VMLINUX="$build/vmlinux" CPPFLAGS="-I$bpf/include" LIBBPF="$libbpf"
	for library in ld-linux-*.so.? libc.so.6 libelf.so.1 libz.so.1 libzstd.so.1; do
		cp /usr/lib/"$target"/$library "$out/lib/"
	done
	"$target-objcopy" -R .BTF -R .BTF.base "$module" "$out/owner_storage_without_btf.ko"'

build_bpf_programs() {
	rm -rf "${CACHE:?}/$BPF_PROGRAMS"
	in_root sh -c "$BUILD_BPF_PROGRAMS" programs "$IN_CACHE/$KERNEL/build" "$IN_CACHE/$BPF" \
		"$IN_CACHE/$BPF_PROGRAMS" "$IN_CACHE/$MODULE/owner_storage.ko" "$BPF_ARCH" "$BPF_TARGET"
	cp "$SCRIPTS/guest/bpf" "$CACHE/$BPF_PROGRAMS/"
}

make_bpf_programs() {
	STEP_LINES=100 run_step "bpf-programs-$KERNEL_NAME" 15 20 count_lines "Building BPF programs" build_bpf_programs
}

# ensure_bpf_programs: fills BPF_PROGRAMS with all that a guest needs.
ensure_bpf_programs() {
	local key
	ensure_bpf
	ensure_module plain
	key=$({
		echo "$BPF_KEY $MODULE_KEY $BUILD_BPF_PROGRAMS"
		cd "$PROJECT" && find tools/bpf samples/bpf include scripts/guest/bpf -type f -print0 | sort -z | xargs -0 sha256sum
	} | hash_of)
	ensure "$CHECKOUT_LOCK-bpf-$KERNEL_NAME" "$CACHE/$BPF_PROGRAMS.stamp" "$key" make_bpf_programs
}

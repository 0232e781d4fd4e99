# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The kernel's own benchmark of creations in BPF local storage, with the module's beside
# it. It is built in the root from the kernel's source, of which this project has no
# copy, with the types of a test kernel. Needs kernel.sh, and the kernel's lock held.

# shellcheck source=SCRIPTDIR/bpf.sh
. "$SCRIPTS/lib/bpf.sh"

# The shell script that the root runs, given the source, the result of BUILD_BPF, and the
# directory for the result. Builds the benchmark, and copies the libraries that it needs.
# The table of its main file keeps one benchmark, under the name of ours. The linker drops
# what else that file refers to.
# shellcheck disable=SC2016
BUILD_CREATION='
	set -eux
	tests=$1/tools/testing/selftests/bpf bpf=$2 out=$3
	mkdir -p "$out/lib"
	sed -e "/^static const struct bench \*benchs\[\]/,/^};/{/benchs\|bench_local_storage_create,\|^};/!d}" \
		-e "/^static const struct argp_child/,/^};/{/argp_child\|bench_local_storage_create_argp\|{},\|^};/!d}" \
		-e "s/\<bench_local_storage_create\>/bench_creation_speed/" "$tests/bench.c" >"$out/bench.c"
	skeleton() {
		clang --target=bpf -mcpu=v3 -O2 -g -Wall -fms-extensions -Wno-microsoft-anon-tag -D__TARGET_ARCH_x86 \
			-I"$bpf/include" -I"$tests" -I"$tests/progs" -c "$2" -o "$out/$1.o"
		"$bpf/bpftool/bootstrap/bpftool" gen skeleton "$out/$1.o" name "$1" >"$out/$1.skel.h"
	}
	skeleton bench_local_storage_create "$tests/progs/bench_local_storage_create.c"
	skeleton program tools/creation-speed/program.bpf.c
	gcc -std=gnu11 -O2 -g -Wall -D_GNU_SOURCE= -ffunction-sections -I"$out" -I"$bpf/include" -I"$tests" \
		-I"$1/tools/include" -I"$1/tools/include/uapi" -I"$1/tools/lib" \
		-Wl,--gc-sections -Wl,--wrap=setitimer -o "$out/bench" \
		"$out/bench.c" "$tests/testing_helpers.c" tools/creation-speed/contestants.c \
		"$bpf/libbpf/libbpf.a" -lelf -lz -lm -pthread
	ldd "$out/bench" | grep -o "/[^ ]*" | xargs cp -t "$out/lib"'

build_creation() {
	rm -rf "${CACHE:?}/$CREATION"
	in_root sh -c "$BUILD_CREATION" creation "$IN_CACHE/$SOURCE" "$IN_CACHE/$BPF" "$IN_CACHE/$CREATION"
	cp "$CACHE/$MODULE"/owner_storage{,_torture}.ko "$SCRIPTS/guest/creation-speed" "$CACHE/$CREATION/"
}

make_creation() {
	STEP_LINES=100 run_step "creation-$KERNEL_NAME" 15 10 count_lines \
		"Building the kernel's benchmark of creations" build_creation
}

# ensure_creation: fills CREATION with all that a guest needs.
ensure_creation() {
	local key
	CREATION=$CHECKOUT/creation-$KERNEL_NAME
	ensure_bpf
	ensure_module plain
	key=$({
		echo "$BPF_KEY $MODULE_KEY $BUILD_CREATION"
		cat "$PROJECT"/tools/creation-speed/* "$SCRIPTS/guest/creation-speed"
	} | hash_of)
	ensure "$CHECKOUT_LOCK-creation-$KERNEL_NAME" "$CACHE/$CREATION.stamp" "$key" make_creation
}

# creation_figures FORMAT CPU SAMPLES LOG: prints the figures, as text or json, from a
# guest's lines. Each contestant must have SAMPLES samples of each row. Fails if ours is
# slower than BPF's, and with 2 if samples are missing.
creation_figures() {
	awk -v format="$1" -v cpu="$2" -v wanted="$3" -f "$SCRIPTS/lib/creation.awk" "$4"
}

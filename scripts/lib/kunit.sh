# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The KUnit suites built into a kernel, by kunit.py: from a copy of the kernel's tree with
# the project as drivers/misc/owner_storage. Needs kernel.sh.

KUNIT=kunit
KUNIT_TREE=$KUNIT/tree
KUNIT_PLACE=drivers/misc/owner_storage

# overlay_tree: makes hard links, which takes half a minute and 1.8 GB less than a copy.
# Files that change are replaced, never written to.
overlay_tree() {
	local tree=$CACHE/$KUNIT_TREE dir=${KUNIT_PLACE%/*}
	rm -rf "$tree" "$tree.new"
	mkdir -p "$CACHE/$KUNIT"
	cp -al "$CACHE/$SOURCE" "$tree.new"
	rm "$tree.new/$dir/Makefile" "$tree.new/$dir/Kconfig"
	{
		cat "$CACHE/$SOURCE/$dir/Makefile"
		echo 'obj-$(CONFIG_OWNER_STORAGE) += owner_storage/'
	} >"$tree.new/$dir/Makefile"
	# Before the menu's end.
	sed '$i source "'"$KUNIT_PLACE"'/kunit/Kconfig"' "$CACHE/$SOURCE/$dir/Kconfig" >"$tree.new/$dir/Kconfig"
	ln -s "$IN_PROJECT" "$tree.new/$KUNIT_PLACE"
	mv "$tree.new" "$tree"
}

ensure_kunit_tree() {
	ensure kunit-tree "$CACHE/$KUNIT_TREE.stamp" \
		"$({ echo "$SOURCE"; declare -f overlay_tree; } | hash_of)" overlay_tree
}

# kunit_paths WAY
kunit_paths() {
	KUNIT_WAY=$1
	KUNIT_BUILD=$KUNIT/$KUNIT_WAY
	case $KUNIT_WAY in
	x86_64)
		KUNIT_ARGS=(--arch x86_64 --qemu_args '-smp 2 -cpu max') ;;
	arm64)
		# As in qemu.sh: what NMIs need.
		KUNIT_ARGS=(--arch arm64 --qemu_args '-smp 2 -machine gic-version=3'
			--kernel_args irqchip.gicv3_pseudo_nmi=1) ;;
	uml)
		# Two processors need user space to run under seccomp.
		KUNIT_ARGS=(--arch um --kernel_args seccomp=on --kernel_args ncpus=2) ;;
	esac
}

# prepare_kunit: removes what this run must not use of an earlier one.
prepare_kunit() {
	local built=$CACHE/$KUNIT_BUILD.built-with from=$CACHE/$KUNIT_BUILD.checkout
	if ! up_to_date "$built" "$SOURCE $(toolchain_key)"; then
		rm -rf "${CACHE:?}/$KUNIT_BUILD" "$CACHE/$KUNIT_BUILD.ran"
		set_stamp "$built" "$SOURCE $(toolchain_key)"
	fi
	# Objects of another checkout may be newer than the sources of this one.
	if ! up_to_date "$from" "$CHECKOUT"; then
		rm -rf "${CACHE:?}/$KUNIT_BUILD/$KUNIT_PLACE"
		set_stamp "$from" "$CHECKOUT"
	fi
	begin_build "$CACHE/$KUNIT_BUILD"
}

# run_kunit ARGUMENT…: prints the kernel's raw output. Fails if the kernel cannot be built.
run_kunit() {
	in_root -C "$IN_CACHE/$KUNIT_TREE" tools/testing/kunit/kunit.py run \
		--build_dir "$IN_CACHE/$KUNIT_BUILD" --make_options LLVM=1 --jobs "$(nproc)" \
		--kunitconfig "$IN_PROJECT/kunit/$KUNIT_WAY.kunitconfig" --timeout 300 \
		--raw_output=all "${KUNIT_ARGS[@]}" "$@"
}

# selects ARGUMENT…: whether these make kunit.py run some of the tests only.
selects() {
	[[ ${1:--} != -* || " $* " = *' --filter'[=_\ ]* ]]
}

# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# The kernel's source, and test kernels made from it and from configuration
# fragments; or Debian's kernels, as flavours too. Needs root.sh, and its lock held.

# shellcheck source=SCRIPTDIR/stock.sh
. "$SCRIPTS/lib/stock.sh"

# kernel_paths ARCH FLAVOUR: sets the paths of one kernel, the compiler of its modules,
# and the seconds and steps that building it usually takes.
kernel_paths() {
	ARCH=$1 FLAVOUR=$2
	KERNEL_NAME=$ARCH-$FLAVOUR
	KERNEL=kernel/$KERNEL_NAME
	KERNEL_IMAGE=$CACHE/$KERNEL/image
	case $ARCH in
	x86_64) MAKE_ARCH=x86_64 DEBIAN_ARCH=amd64 BUILT_IMAGE=arch/x86/boot/bzImage TYPICAL_KERNEL=(560 2780) ;;
	arm64) MAKE_ARCH=arm64 DEBIAN_ARCH=arm64 BUILT_IMAGE=arch/arm64/boot/Image TYPICAL_KERNEL=(450 2210) ;;
	*) die "there is no test kernel for \"$ARCH\"." "Known are x86_64 and arm64." ;;
	esac
	if is_stock "$FLAVOUR"; then
		# Its build tree names the compiler.
		MODULE_COMPILER=()
		! needs_btf_tool || MODULE_COMPILER=(RESOLVE_BTFIDS="$IN_CACHE/$BTF_TOOL/resolve_btfids")
		return
	fi
	MODULE_COMPILER=(LLVM=1)
	# A later fragment overrides an earlier one.
	FRAGMENTS=("$SCRIPTS/config/base.config" "$SCRIPTS/config/$ARCH.config")
	[ "$FLAVOUR" = default ] || FRAGMENTS+=("$SCRIPTS/config/$FLAVOUR.config")
	local file=$SCRIPTS/config/$FLAVOUR-$ARCH.config
	[ ! -f "$file" ] || FRAGMENTS+=("$file")
	for file in "${FRAGMENTS[@]}"; do
		[ -f "$file" ] || die "there is no kernel $ARCH of flavour \"$FLAVOUR\": ${file#"$PROJECT/"} is missing." \
			"A new flavour is a new fragment of that name."
	done
}

source_paths() {
	local version
	version=$(sed -n 's/^linux-source-[0-9.]* //p' "$ROOT/toolchain")
	SOURCE=linux/$version
}

unpack_source() {
	local tarball
	for tarball in "$ROOT"/usr/src/linux-source-*.tar.xz; do :; done
	rm -rf "${CACHE:?}/$SOURCE.new"
	mkdir -p "$CACHE/$SOURCE.new"
	tar -C "$CACHE/$SOURCE.new" --strip-components=1 -xf "$tarball"
	mv "$CACHE/$SOURCE.new" "$CACHE/$SOURCE"
}

make_source() {
	rm -rf "${CACHE:?}/$SOURCE"
	run_step source 20 1 count_lines "Unpacking the kernel's source" unpack_source
}

ensure_source() {
	source_paths
	SPACE=4000 ensure source "$CACHE/$SOURCE.stamp" "$SOURCE" make_source
}

# kernel_make ARGUMENT…: runs make in the kernel's build tree, in the root.
kernel_make() {
	in_root env KBUILD_BUILD_USER=owner_storage KBUILD_BUILD_HOST=vm \
		KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
		make -C "$IN_CACHE/$SOURCE" O="$IN_CACHE/$KERNEL/build" ARCH="$MAKE_ARCH" LLVM=1 "$@"
}

# check_config CONFIG FRAGMENT…: every line of the fragments must be in the configuration.
# olddefconfig silently drops an option whose dependencies are not met.
check_config() {
	local config=$1
	shift
	awk '
	function option(line) {
		if (match(line, /^CONFIG_[A-Za-z0-9_]+=/))
			return substr(line, 1, RLENGTH - 1)
		if (line ~ /^# CONFIG_[A-Za-z0-9_]+ is not set$/)
			return $2
		return ""
	}
	function value(line) {
		return line ~ /^#/ ? "n" : substr(line, index(line, "=") + 1)
	}
	{ name = option($0) }
	name == "" { next }
	FILENAME == config { is[name] = value($0); next }
	{ asked[name] = value($0); from[name] = FILENAME; sub(/.*\//, "", from[name]) }
	END {
		for (name in asked) {
			got = name in is ? is[name] : "n"
			if (got == asked[name])
				continue
			printf "%s=%s (%s) did not take: it is %s\n", name, asked[name], from[name],
				name in is ? got : "not set, or unknown to this kernel"
			bad = 1
		}
		exit bad
	}' config="$config" "$@" "$config"
}

configure_kernel() {
	local file in_root_fragments=()
	for file in "${FRAGMENTS[@]}"; do
		in_root_fragments+=("$IN_PROJECT/${file#"$PROJECT/"}")
	done
	kernel_make -s allnoconfig
	in_root sh -c 'cd "$1" && shift && "$0/scripts/kconfig/merge_config.sh" -m -Q -O . .config "$@"' \
		"$IN_CACHE/$SOURCE" "$IN_CACHE/$KERNEL/build" "${in_root_fragments[@]}"
	kernel_make -s olddefconfig
	check_config "$CACHE/$KERNEL/build/.config" "${FRAGMENTS[@]}"
}

build_kernel() {
	configure_kernel
	kernel_make -j"$(nproc)" all
	cp "$CACHE/$KERNEL/build/$BUILT_IMAGE" "$KERNEL_IMAGE.new"
	mv "$KERNEL_IMAGE.new" "$KERNEL_IMAGE"
}

make_kernel() {
	local built=$CACHE/$KERNEL/built-with
	# With another compiler or source all is built anew; after a change of
	# configuration, or an interruption, make knows what is left to do.
	if ! up_to_date "$built" "$SOURCE $(toolchain_key)"; then
		rm -rf "${CACHE:?}/$KERNEL"
		mkdir -p "$CACHE/$KERNEL"
		set_stamp "$built" "$SOURCE $(toolchain_key)"
	fi
	begin_build "$CACHE/$KERNEL/build"
	run_step "kernel-$KERNEL_NAME" "${TYPICAL_KERNEL[@]}" count_built \
		"Building the $ARCH test kernel, flavour $FLAVOUR" build_kernel
	end_build
}

# kernel_key: depends on the options only, so that a changed comment rebuilds nothing.
kernel_key() {
	if is_stock "$FLAVOUR"; then
		stock_key
		return
	fi
	{
		grep -hE '^(CONFIG_|# CONFIG_[A-Za-z0-9_]+ is not set)' "${FRAGMENTS[@]}"
		echo "$SOURCE"
		toolchain_key
	} | hash_of
}

# ensure_kernel: builds the kernel of kernel_paths, and returns with its lock held.
ensure_kernel() {
	if is_stock "$FLAVOUR"; then
		ensure "kernel-$KERNEL_NAME" "$CACHE/$KERNEL/stamp" "$(kernel_key)" make_stock
		return
	fi
	ensure_source
	SPACE=2000 ensure "kernel-$KERNEL_NAME" "$CACHE/$KERNEL/stamp" "$(kernel_key)" make_kernel
}

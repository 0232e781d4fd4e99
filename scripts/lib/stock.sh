# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# Debian's own kernels, of the suite that the root's kernel source is from: the image, and
# the headers, completed by scripts/complete-tree. The packages are unpacked in the
# cache. Nothing is installed in the root. Needs kernel.sh.

# The versions that the tests were run on, by flavour. If the mirror no longer has one,
# the newest version of the same series is taken.
declare -A STOCK_TESTED=(
	[stock]=7.3.4+deb13
	[stock72]=7.2.12+deb13
)

is_stock() {
	[ -n "${STOCK_TESTED[$1]:-}" ]
}

# resolve_btfids of the kernel's source in the root.
BTF_TOOL=btf-tool

# needs_btf_tool: whether the kernel of kernel_paths needs that one for its modules. Linux
# 7.2's own leaves a module's types apart from the kernel's, and then no BPF program can
# pass it a task.
needs_btf_tool() {
	[ "$FLAVOUR" = stock72 ]
}

build_btf_tool() {
	rm -rf "${CACHE:?}/$BTF_TOOL"
	mkdir -p "$CACHE/$BTF_TOOL"
	in_root make -C "$IN_CACHE/$SOURCE/tools/bpf/resolve_btfids" -j"$(nproc)" OUTPUT="$IN_CACHE/$BTF_TOOL/"
}

make_btf_tool() {
	run_step btf-tool 15 60 count_lines "Building resolve_btfids from the kernel's source" build_btf_tool
}

# ensure_btf_tool: builds it if it is needed.
ensure_btf_tool() {
	needs_btf_tool || return 0
	ensure_source
	ensure btf-tool "$CACHE/$BTF_TOOL.stamp" "$({ echo "$SOURCE"; toolchain_key; declare -f build_btf_tool; } | hash_of)" \
		make_btf_tool
}

# The modules that mount a shared folder, in the order of their dependencies. Test kernels
# have them built in.
SHARE_MODULES=(netfs 9pnet 9pnet_virtio 9p)

# stock_apt COMMAND ARGUMENT…: runs apt in the root, with its lists in the cache.
stock_apt() {
	local command=$1 apt=$IN_CACHE/$KERNEL/apt
	shift
	in_root -C "$apt" "$command" -q -o Dir::Cache="$apt" -o Dir::State::Lists="$apt/lists" \
		-o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o APT::Sandbox::User=root "$@"
}

# stock_lists: fetches the lists of the one suite that has these kernels.
stock_lists() {
	local apt=$CACHE/$KERNEL/apt
	rm -rf "$apt"
	mkdir -p "$apt"/{lists,archives}/partial
	grep -F " ${ROOT_SUITES[-1]} " "$ROOT/etc/apt/sources.list" >"$apt/sources.list"
	stock_apt apt-get update
}

# series: prints the series of the flavour, such as 7.3.
series() {
	cut -d. -f 1,2 <<<"${STOCK_TESTED[$FLAVOUR]}"
}

# stock_offered: prints the versions that the mirror has, such as 7.3.4+deb13.
stock_offered() {
	stock_apt apt-cache pkgnames "linux-headers-$(series)" |
		sed -nE "s/^linux-headers-($(series)(\.[0-9]+)*\+[a-z0-9]+)-$DEBIAN_ARCH\$/\1/p"
}

# choose_stock TESTED <VERSIONS: prints TESTED if it is among them, or the newest one, or
# nothing if there are none.
choose_stock() {
	sort -V | awk -v tested="$1" '
	{ newest = $0 }
	$0 == tested { found = 1 }
	END { print found ? tested : newest }'
}

fetch_stock() {
	local version release deb
	stock_lists
	version=$(stock_offered | choose_stock "${STOCK_TESTED[$FLAVOUR]}")
	[ -n "$version" ] || die "the Debian mirror has no kernel of Linux $(series) for $DEBIAN_ARCH." \
		"A kernel built from source does instead: scripts/vm --kernel default"
	release=$version-$DEBIAN_ARCH
	stock_apt apt-get download "linux-headers-$release:$DEBIAN_ARCH" "linux-headers-$version-common" \
		"linux-kbuild-$version" "linux-binary-$release:$DEBIAN_ARCH"
	# The root has the source of one version.
	source_paths
	version=$(in_root sh -c 'dpkg-deb -f "$1"/linux-headers-*-common_*.deb Version' version "$IN_CACHE/$KERNEL/apt")
	[ "$version" = "${SOURCE#linux/}" ] || stock_apt apt-get download "linux-source-$(series)=$version"
	for deb in "$CACHE/$KERNEL"/apt/*.deb; do
		in_root dpkg-deb -x "$IN_CACHE${deb#"$CACHE"}" "$IN_CACHE/$KERNEL/packages"
	done
	printf '%s\n' "$release" >"$CACHE/$KERNEL/release"
}

complete_stock() {
	local release tarball
	release=$(cat "$CACHE/$KERNEL/release")
	tarball=usr/src/linux-source-$(series).tar.xz
	if [ -f "$CACHE/$KERNEL/packages/$tarball" ]; then
		tarball=$IN_CACHE/$KERNEL/packages/$tarball
	else
		tarball=/$tarball
	fi
	in_root scripts/complete-tree "$IN_CACHE/$KERNEL/packages/usr/src/linux-headers-$release" \
		"$tarball" "$IN_CACHE/$KERNEL/build"
	mv "$CACHE/$KERNEL/packages/usr/lib/modules/$release/vmlinuz" "$KERNEL_IMAGE"
	rm -rf "${CACHE:?}/$KERNEL"/{packages,apt}
}

make_stock() {
	local hint="A kernel built from source does instead: scripts/vm --kernel default"
	rm -rf "${CACHE:?}/$KERNEL"
	STEP_HINT="If a download failed, check the network and run the same command again." \
		run_step "$FLAVOUR-$ARCH" 10 25 count_lines "Fetching Debian's kernel for $ARCH" fetch_stock
	[ "$(cat "$CACHE/$KERNEL/release")" = "${STOCK_TESTED[$FLAVOUR]}-$DEBIAN_ARCH" ] ||
		say "It is $(cat "$CACHE/$KERNEL/release"), since the mirror no longer has ${STOCK_TESTED[$FLAVOUR]}, which was tested."
	STEP_HINT=$hint run_step "complete-$FLAVOUR-$ARCH" 115 25 count_lines \
		"Completing its headers: compiling the kernel crate" complete_stock
}

# stock_key: leaves out comments, so that a changed comment rebuilds nothing.
stock_key() {
	{
		echo "${STOCK_TESTED[$FLAVOUR]}"
		toolchain_key
		sed '/^[[:space:]]*#/d' "$SCRIPTS/complete-tree" "$SCRIPTS/lib/exports.sh"
	} | hash_of
}

fetch_share() {
	local release archive=$KERNEL/share dir files=("${SHARE_MODULES[@]/%/.ko.xz}") number
	release=$(cat "$CACHE/$KERNEL/release")
	dir=$archive/lib/modules/$release/share
	stock_lists
	stock_apt apt-get download "linux-modules-$release:$DEBIAN_ARCH"
	rm -rf "${CACHE:?}/$archive"
	mkdir -p "$CACHE/$dir"
	in_root sh -euc '
		deb=$1 dir=$2
		shift 2
		dpkg-deb --fsys-tarfile "$deb"/linux-modules-*.deb |
			tar -C "$dir" -xf - --wildcards --transform "s|.*/||" "$@"
		xz -d "$dir"/*' share "$IN_CACHE/$KERNEL/apt" "$IN_CACHE/$dir" "${files[@]/#/*/}"
	# The guest loads them in the order of their names.
	for number in "${!SHARE_MODULES[@]}"; do
		mv "$CACHE/$dir/${SHARE_MODULES[number]}.ko" "$CACHE/$dir/$number-${SHARE_MODULES[number]}.ko"
	done
	pack "$IN_CACHE/$archive" "$IN_CACHE/$archive.cpio"
	rm -rf "${CACHE:?}/$archive" "${CACHE:?}/$KERNEL/apt"
}

make_share() {
	run_step "share-$FLAVOUR-$ARCH" 20 10 count_lines "Fetching the modules that share a folder with a guest" fetch_share
}

# ensure_share: sets SHARE_ARCHIVE to the part of the initramfs that this kernel needs to
# mount a shared folder, or to nothing. Needs initramfs.sh.
ensure_share() {
	SHARE_ARCHIVE=
	is_stock "$FLAVOUR" || return 0
	SHARE_ARCHIVE=$CACHE/$KERNEL/share.cpio
	ensure "share-$KERNEL_NAME" "$CACHE/$KERNEL/share.stamp" "$(kernel_key) ${SHARE_MODULES[*]} $(declare -f fetch_share | hash_of)" make_share
}

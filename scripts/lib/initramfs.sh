# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A guest boots from an uncompressed initramfs with busybox, init, the modules and the
# tools, which is kept as long as all of these are the same, and from one more small
# archive for each run, with the command. Needs module.sh and tools.sh.

# initramfs_paths WAYS: sets the paths for one set of module ways.
initramfs_paths() {
	INITRAMFS=$CHECKOUT/initramfs/$KERNEL_NAME$1
	case $ARCH in
	x86_64) BUSYBOX=$ROOT/usr/bin/busybox ;;
	arm64) BUSYBOX=$ROOT/opt/arm64/usr/bin/busybox ;;
	esac
}

# pack DIR FILE: packs DIR into the archive FILE. Both are paths in the root.
pack() {
	in_root sh -c 'cd "$1" && find . | cpio --quiet -o -H newc -R 0:0 >"$2"' pack "$1" "$2"
}

build_initramfs() {
	local dir=$CACHE/$INITRAMFS release way
	release=$(cat "$CACHE/$KERNEL/build/include/config/kernel.release")
	rm -rf "$dir"
	mkdir -p "$dir"/{bin,dev,etc,proc,root,share,sys,tmp,usr/bin,lib/modules/"$release"}
	# A path of the modules that does not depend on the kernel's release.
	ln -s "lib/modules/$release" "$dir/modules"
	for way in "$@"; do
		module_paths "$way"
		find "$CACHE/$MODULE" -name '*.ko' -exec cp -t "$dir/modules/" {} +
	done
	if ls "$dir"/modules/*.ko >/dev/null 2>&1; then
		# depmod wants to see the kernel's own lists, which are empty here.
		touch "$dir"/modules/modules.{order,builtin,builtin.modinfo}
		in_root depmod -b "$IN_CACHE/$INITRAMFS" "$release"
	fi
	cp "$SCRIPTS/guest/init" "$dir/init"
	cp "$BUSYBOX" "$dir/bin/busybox"
	# The busybox of both architectures has the same applets.
	in_root sh -c 'busybox --list | while read -r name; do
		[ "$name" = busybox ] || ln -s busybox "$1/bin/$name"; done' links "$IN_CACHE/$INITRAMFS"
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$dir/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$dir/etc/group"
	[ "$TOOLS_KEY" = none ] || find "$CACHE/$TOOLS_OUT" -maxdepth 1 -type f -perm -u=x -exec cp -t "$dir/usr/bin/" {} +
	pack "$IN_CACHE/$INITRAMFS" "$IN_CACHE/$INITRAMFS.cpio.new"
	mv "$dir.cpio.new" "$dir.cpio"
}

# ensure_initramfs WAY…: builds the modules of these ways and packs them. Packing is quick
# and shows no progress.
ensure_initramfs() {
	local way keys='' ways=''
	for way in "$@"; do
		ensure_module "$way"
		# All busted builds share one path, since each archive is large.
		keys+=" $way $MODULE_KEY" ways+="-${way%%:*}"
	done
	[ "$TOOLS_KEY" != none ] || ways+=-bare
	initramfs_paths "$ways"
	ensure "$CHECKOUT_LOCK-initramfs-$KERNEL_NAME$ways" "$CACHE/$INITRAMFS.stamp" \
		"$({ echo "$keys $TOOLS_KEY $(kernel_key)"; cat "$SCRIPTS/guest/init"; declare -f build_initramfs; } | hash_of)" \
		build_initramfs "$@"
}

# quoted WORD…: prints them quoted for the guest's shell.
quoted() {
	local word
	for word in "$@"; do
		printf " '%s'" "${word//\'/\'\\\'\'}"
	done
}

# pack_command RUN LOAD SHARE TERMINAL COMMAND…: makes RUN/initrd, for one boot. LOAD is
# the name of the module to load, or empty. With SHARE, ensure_share must have been
# called. TERMINAL has the rows and columns of COMMAND's terminal, or is empty.
pack_command() {
	local run=$1 load=$2 share=$3 terminal=$4 archives=("$CACHE/$INITRAMFS.cpio")
	shift 4
	[ -z "$share" ] || [ -z "$SHARE_ARCHIVE" ] || archives+=("$SHARE_ARCHIVE")
	mkdir -p "$CACHE/$run/command"
	printf "load='%s' share='%s' terminal='%s'\nset --%s\n" "$load" "$share" "$terminal" "$(quoted "$@")" \
		>"$CACHE/$run/command/command"
	pack "$IN_CACHE/$run/command" "$IN_CACHE/$run/command.cpio"
	cat "${archives[@]}" "$CACHE/$run/command.cpio" >"$CACHE/$run/initrd"
}

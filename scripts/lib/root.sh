# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The Debian trixie root that everything is built and run in, so that the host needs
# nothing but git and make; and in_root, which runs commands in it.

ROOT=$CACHE/root
ROOT_SUITES=(trixie trixie-backports)

packages() {
	sed 's/#.*//' "$SCRIPTS/packages" | tr -s ' \t\n' '\n' | sed '/^$/d'
}

# find_mirror: prints the Debian mirror of this machine's apt.
find_mirror() {
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SITE)' 'Created-By: Packages' |
		sed -n 's/^Debian|Debian|//p' | sort -u | head -n 1
}

mirror() {
	local site=${OWNER_STORAGE_MIRROR:-}
	[ -n "$site" ] || site=$(find_mirror)
	if [ -z "$site" ]; then
		say "apt has no package lists yet; fetching them"
		apt-get -q update >&2
		site=$(find_mirror)
	fi
	[ -n "$site" ] || die "no Debian mirror is known: apt's sources name none." \
		"Add one to /etc/apt, or set OWNER_STORAGE_MIRROR to a mirror's URI."
	printf '%s\n' "$site"
}

need_root_user() {
	[ "$(id -u)" -eq 0 ] || die "this must run as root: it makes a Debian root and mounts inside it." \
		"Run the same command with sudo."
}

need_mmdebstrap() {
	command -v mmdebstrap >/dev/null && return
	say "mmdebstrap is missing on this machine; installing it with apt"
	{ apt-get -q update && DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends mmdebstrap debian-archive-keyring; } >&2 ||
		die "mmdebstrap could not be installed." "Install it by hand and run this again."
}

# The shell script that mmdebstrap runs last, given the root: arm64 guests need a busybox
# too, which cannot be installed beside the one of this machine.
UNPACK_ARM64='set -eu
	dir=$1/opt/arm64
	mkdir -p "$dir"
	cd "$dir"
	APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -o APT::Sandbox::User=root download busybox-static:arm64
	dpkg-deb -x busybox-static_*.deb .
	rm busybox-static_*.deb'

# Bootstraps the root. Part of the root's key: a change here rebuilds the root.
bootstrap() {
	local to=$1 site=$2 suite sources=()
	for suite in "${ROOT_SUITES[@]}"; do
		sources+=("deb $site $suite main")
	done
	# A mirror that is not updated has Release files past their date.
	mmdebstrap --verbose --variant=apt --architectures=amd64,arm64 \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='APT::Install-Recommends "false"' \
		--include="$(packages | paste -sd,)" \
		--customize-hook="$UNPACK_ARM64" \
		"${ROOT_SUITES[0]}" "$to" "${sources[@]}"
	mkdir -p "$to$IN_CACHE" "$to$IN_PROJECT" "$to/share"
}

make_root() {
	local site
	need_root_user
	need_mmdebstrap
	site=$(mirror)
	rm -rf "$ROOT.new"
	STEP_HINT="If a download failed, check the network and run the same command again." \
		run_step root 60 760 count_dpkg \
		"Making a Debian ${ROOT_SUITES[0]} root: compilers, QEMU, kernel source" \
		bootstrap "$ROOT.new" "$site"
	rm -rf "$ROOT"
	mv "$ROOT.new" "$ROOT"
	# Kernels are rebuilt only when one of these has another version.
	chroot "$ROOT" dpkg-query -W -f '${Package} ${Version}\n' bindgen binutils 'clang-[0-9]*' \
		'lld-[0-9]*' 'llvm-[0-9]*' pahole rustc rust-src linux-source-7.3 >"$ROOT/toolchain"
}

ensure_root() {
	need_root_user
	SPACE=8000 ensure root "$CACHE/root.stamp" \
		"$({ packages; declare -p ROOT_SUITES; echo "$UNPACK_ARM64"; declare -f bootstrap; } | hash_of)" make_root
}

toolchain_key() {
	hash_of <"$ROOT/toolchain"
}

# The script that runs inside the new mount and process namespaces, outside the root.
# shellcheck disable=SC2016
ENTER='
	set -eu
	root=$1 cache=$2 project=$3 share=$4 kvm=$5
	shift 5
	mount -t proc proc "$root/proc"
	mount --bind "$cache" "$root/cache"
	mount --bind "$project" "$root/work"
	[ -z "$share" ] || mount --bind "$share" "$root/share"
	# A /dev of its own: no /dev/kvm unless asked for, since kunit.py would
	# start a guest on one that opens but runs nothing, and wait for ever.
	mount -t tmpfs -o mode=755 dev "$root/dev"
	for node in null zero full random urandom tty $kvm; do
		touch "$root/dev/$node"
		mount --bind "/dev/$node" "$root/dev/$node"
	done
	ln -s /proc/self/fd "$root/dev/fd"
	ln -s fd/0 "$root/dev/stdin"
	ln -s fd/1 "$root/dev/stdout"
	ln -s fd/2 "$root/dev/stderr"
	mkdir -m 1777 "$root/dev/shm"
	mount -t tmpfs -o mode=1777 tmp "$root/tmp"
	# The root resolves names and trusts certificates as the machine does: some
	# networks add certificate authorities of their own.
	for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
		[ -s "$file" ] || continue
		[ -e "$root$file" ] || touch "$root$file"
		mount --bind "$file" "$root$file"
	done
	exec chroot "$root" "$@"
'

# in_root [--share DIR] [--kvm] COMMAND…: runs COMMAND, which may begin with env's options
# and variables, in the root, in the project's directory. Needs the root's lock. However
# COMMAND ends, its mounts and all its processes go with its namespaces.
in_root() {
	local share='' kvm='' pass=() name
	while :; do
		case $1 in
		--share) share=$2; shift 2 ;;
		--kvm) kvm=kvm; shift ;;
		*) break ;;
		esac
	done
	for name in http_proxy https_proxy no_proxy CI; do
		[ -z "${!name:-}" ] || pass+=("$name=${!name}")
	done
	unshare --mount --pid --fork --kill-child=KILL \
		bash -c "$ENTER" enter "$ROOT" "$CACHE" "$PROJECT" "$share" "$kvm" \
		/usr/bin/env -i "${pass[@]}" HOME=/root LANG=C.UTF-8 \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME="$IN_CACHE/cargo" \
		/usr/bin/env -C "$IN_PROJECT" "$@"
}

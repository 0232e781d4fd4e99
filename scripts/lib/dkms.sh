# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# A Debian root with DKMS and the packages that a user would install for it, and nothing
# else of the main root, for Debian's kernel of kernel_paths. Needs kernel.sh, that
# kernel, and the main root's lock held.

# dkms signs modules with a key that openssl makes.
DKMS_PACKAGES=(dkms rustc rust-src bindgen openssl)
# A series of Debian's kernels that the module does not support.
DKMS_OTHER=6.12

# The shell script that mmdebstrap runs last, in the root, given the kernel's release and
# both series. linux-source keeps its name from version to version, so the script names
# the headers' version. It keeps the headers' package, to be installed again later. The
# headers of the other kernel are only unpacked: dkms reads nothing else of a kernel that
# it refuses.
INSTALL_HEADERS='
	release=$1 series=$2 other=$3
	version=$(apt-cache show "linux-headers-$release" | sed -n "s/^Version: //p" | head -n 1)
	apt-get install -q -y "linux-headers-$release" "linux-modules-$release" "linux-source-$series=$version"
	other=$(apt-cache pkgnames "linux-headers-$other" | grep -x "linux-headers-[0-9.]*+[a-z0-9]*-amd64" |
		sort -V | tail -n 1)
	cd /opt
	apt-get download -q "linux-headers-$release" "$other"
	dpkg-deb -x "$other"_*.deb /
	rm "$other"_*.deb
	echo "${other#linux-headers-}" >other'

# dkms_paths: sets DKMS, the root's path, and RELEASE, the kernel that dkms builds for.
dkms_paths() {
	DKMS_NAME=dkms-$KERNEL_NAME
	DKMS=$CACHE/dkms/$KERNEL_NAME
	RELEASE=$(cat "$CACHE/$KERNEL/release")
}

# Bootstraps the root. Part of the root's key: a change here rebuilds the root.
bootstrap_dkms() {
	local to=$1 site=$2 suite sources=()
	for suite in "${ROOT_SUITES[@]}"; do
		sources+=("deb $site $suite main")
	done
	# A mirror that is not updated has Release files past their date.
	mmdebstrap --verbose --variant=apt --architectures=amd64 \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='APT::Install-Recommends "false"' \
		--include="$(printf '%s\n' "${DKMS_PACKAGES[@]}" | paste -sd,)" \
		--customize-hook="chroot \"\$1\" sh -euc '$INSTALL_HEADERS' install $RELEASE $(series) $DKMS_OTHER" \
		"${ROOT_SUITES[0]}" "$to" "${sources[@]}"
	mkdir -p "$to$IN_CACHE" "$to$IN_PROJECT" "$to/share"
}

make_dkms() {
	local site
	need_mmdebstrap
	site=$(mirror)
	rm -rf "$DKMS.new"
	STEP_HINT="If a download failed, check the network and run the same command again." \
		run_step "$DKMS_NAME" 90 300 count_dpkg "Making a Debian root with DKMS and $RELEASE" \
		bootstrap_dkms "$DKMS.new" "$site"
	rm -rf "$DKMS"
	mv "$DKMS.new" "$DKMS"
}

# ensure_dkms: returns with the root's exclusive lock held.
ensure_dkms() {
	mkdir -p "$CACHE/dkms"
	SPACE=3000 ensure "$DKMS_NAME" "$DKMS.stamp" \
		"$({ echo "$RELEASE $INSTALL_HEADERS"; declare -p ROOT_SUITES DKMS_PACKAGES DKMS_OTHER
			declare -f bootstrap_dkms; } | hash_of)" make_dkms
	lock exclusive "$DKMS_NAME"
}

# in_dkms COMMAND…
in_dkms() {
	local ROOT=$DKMS
	in_root "$@"
}

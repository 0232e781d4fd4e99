# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# A Debian root of its own with DKMS and what the module needs under it, and nothing
# else that is in the main root: the packages that a user would install, for Debian's
# kernel of kernel_paths. Needs kernel.sh, that kernel, and the main root's lock held.

# openssl makes the key that dkms signs modules with.
DKMS_PACKAGES=(dkms rustc rust-src bindgen openssl)
# A series of which Debian has a kernel that the module does not support.
DKMS_OTHER=6.12

# What mmdebstrap runs last, in the root, given the kernel's release and both series.
# linux-source keeps its name from version to version, so the headers' version is named.
# The headers are installed again later. Those of the other kernel are only unpacked:
# dkms looks at nothing else of a kernel that it refuses.
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

# dkms_paths: DKMS, the root; in it, RELEASE, the kernel that dkms builds for.
dkms_paths() {
	DKMS_NAME=dkms-$KERNEL_NAME
	DKMS=$CACHE/dkms/$KERNEL_NAME
	RELEASE=$(cat "$CACHE/$KERNEL/release")
}

# What bootstraps the root. Part of the root's key: a change here rebuilds it.
bootstrap_dkms() {
	local to=$1 site=$2 suite sources=()
	for suite in "${ROOT_SUITES[@]}"; do
		sources+=("deb $site $suite main")
	done
	# Mirrors that stand still have Release files past their date.
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

# ensure_dkms: comes out of it with the root as no other run sees it.
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

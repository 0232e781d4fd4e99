# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# QEMU's command line, and a check that KVM works.

# kvm_works RUN: whether KVM runs a guest here. /dev/kvm may open and still run none. So
# this boots a guest, within ten seconds, and keeps the answer until the machine reboots.
# RUN is a directory for that guest.
kvm_works() {
	local answer=$CACHE/kvm-probe boot
	[ -c /dev/kvm ] && [ "$ARCH" = "$(uname -m)" ] || return 1
	boot=$(cat /proc/sys/kernel/random/boot_id)
	if ! grep -q "^$boot " "$answer" 2>/dev/null; then
		say "Finding out whether KVM runs a guest here (at most 10 s, once per boot of this machine)"
		mkdir -p "$CACHE/$1"
		pack_command "$1" '' '' '' true
		qemu_command "$1" kvm 1 max 0 ''
		if in_root --kvm timeout -k 1 10 "${QEMU[@]}" >/dev/null 2>&1 </dev/null &&
			[ "$(cat "$CACHE/$1/status" 2>/dev/null)" = 0 ]; then
			set_stamp "$answer" "$boot yes"
		else
			set_stamp "$answer" "$boot no"
		fi
		rm -rf "${CACHE:?}/$1"
		say "  it $(grep -q yes "$answer" && echo does || echo 'does not; guests run under TCG')"
	fi
	grep -q "^$boot yes" "$answer"
}

# qemu_program: sets QEMU_PROGRAM, with its machine.
qemu_program() {
	case $ARCH in
	x86_64) QEMU_PROGRAM=(qemu-system-x86_64 -machine pc) ;;
	arm64) QEMU_PROGRAM=(qemu-system-aarch64 -machine 'virt,gic-version=3') ;;
	esac
}

# check_cpu MODEL: dies unless QEMU has that processor, and the features named with it.
check_cpu() {
	local said
	[ "$1" != max ] || return 0
	qemu_program
	said=$(in_root timeout 10 "${QEMU_PROGRAM[@]}" -cpu "$1" -nodefaults -display none -S -monitor stdio \
		<<<quit 2>&1 >/dev/null) || die "QEMU refuses --cpu $1: ${said#*: }"
}

# qemu_command RUN ACCEL SMP CPU ICOUNT SHARE: sets QEMU. RUN holds the initrd and gets the
# guest's output: console, stdout, stderr and status. These are plain files, so that the
# guest never waits for a reader.
qemu_command() {
	local run=$IN_CACHE/$1 accel=$2 smp=$3 cpu=$4 icount=$5 share=$6 name cmdline
	qemu_program
	case $ARCH in
	x86_64)
		# The kernel panics if its timer does not tick while it checks that, and
		# reports an unstable TSC if two clocks differ. Both happen when the
		# host does not run the guest for a tenth of a second.
		cmdline='console=ttyS0 no_timer_check tsc=nowatchdog' ;;
	arm64)
		# NMIs are interrupts of a high priority there, which are off by default.
		cmdline='console=ttyAMA0 irqchip.gicv3_pseudo_nmi=1' ;;
	esac
	QEMU=("${QEMU_PROGRAM[@]}" -nodefaults -no-user-config -display none -no-reboot
		-m "${GUEST_MEMORY:-2G}" -smp "$smp" -cpu "$cpu"
		-kernel "$IN_CACHE/$KERNEL/image" -initrd "$run/initrd"
		-append "$cmdline loglevel=7 panic=-1 ${GUEST_CMDLINE:-}"
		-serial "file:$run/console"
		-device virtio-serial-pci)
	if [ "$icount" = 1 ]; then
		# No clock and no random numbers of the host, so that two runs are alike.
		QEMU+=(-accel tcg -icount 'shift=0,sleep=off' -rtc 'base=2026-01-01,clock=vm' -seed 1)
	elif [ "$accel" = kvm ]; then
		QEMU+=(-accel kvm)
	else
		QEMU+=(-accel 'tcg,thread=multi')
	fi
	for name in stdout stderr status; do
		QEMU+=(-chardev "file,id=$name,path=$run/$name"
			-device "virtserialport,chardev=$name,name=ostor.$name")
	done
	if [ -n "$share" ]; then
		QEMU+=(-fsdev "local,id=share,path=/share,security_model=none,multidevs=remap"
			-device 'virtio-9p-pci,fsdev=share,mount_tag=share')
	fi
}

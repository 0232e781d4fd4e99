#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# test.sh, in a guest with owner_storage loaded: shells in two cgroups fork and execute at
# the same time, and compare the module's counts with their own; then checks the report of
# the limit, and that the counts of a removed cgroup go.

counts=/sys/kernel/debug/cgroup_forks/counts
root=/sys/fs/cgroup

fail() {
	echo "$1"
	cat $counts
	exit 1
}

# worker NAME FORKS EXECS: forks and executes in the cgroup. The cgroup has a shell, which
# does what is counted.
worker() {
	echo 0 >"$root/$1/cgroup.procs" || exit
	done=0
	while [ "$done" -lt "$2" ]; do
		done=$((done + 1))
		if [ "$done" -le "$3" ]; then
			# A fork and an exec.
			/bin/true
		else
			(:)
		fi
	done
	echo 0 >$root/cgroup.procs
}

# counted NAME: prints what the module has counted for the cgroup.
counted() {
	sed -n "s/^$(stat -c %i "$root/$1") //p" $counts
}

mkdir $root/one $root/two
insmod /modules/cgroup_forks.ko limit=150 || fail "it does not load"
worker one 100 30 &
worker two 200 60 &
wait
[ "$(counted one)" = "100 30" ] || fail "100 forks and 30 execs, counted: $(counted one)"
[ "$(counted two)" = "200 60 over" ] || fail "200 forks and 60 execs, counted: $(counted two)"
dmesg | grep -q "cgroup $(stat -c %i $root/two) has forked more than 150 times" || fail "no report"
grep -qx 'missed 0' $counts || fail "something was not counted"
id=$(stat -c %i $root/two)
rmdir $root/one $root/two
tries=0
while grep -q "^$id " $counts; do
	tries=$((tries + 1))
	[ "$tries" -le 100 ] || fail "the counts of a removed cgroup stay"
	usleep 50000
done
rmmod cgroup_forks
echo "300 forks and 90 execs of two cgroups, each counted there; one reported above 150"

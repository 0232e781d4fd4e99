#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# test.sh, in a guest with owner_storage loaded: threads and processes set their pointers
# under load, which are counted one by one; a process with the pid of another one finds no
# value of that; and no value is left when the module has gone.

dir=/sys/kernel/debug/tsd
failed=0

# expect WHAT IS WANTED
expect() {
	[ "$2" = "$3" ] && return
	echo "$1: $2, expected $3"
	failed=1
}

# last TEXT: prints the last line of the kernel's log that has this text.
last() {
	dmesg | sed -n "s/^.*tsd: \(.*$1.*\)/\1/p" | tail -n 1
}

# process NUMBER: sets a value of its own many times.
process() {
	turn=0
	while [ "$turn" -lt 20 ]; do
		turn=$((turn + 1))
		echo "$1$turn" >"$dir/value" && read -r seen <"$dir/value" && [ "$seen" = "$1$turn" ] || return
	done
	echo right
}

insmod /modules/tsd.ko || exit

# Threads and processes at once.
for _ in 1 2 3 4; do
	{ echo 200 >"$dir/run" && echo right; } &
done >/tmp/runs
processes=0
while [ "$processes" -lt 100 ]; do
	processes=$((processes + 1))
	process "$processes" &
	[ $((processes % 8)) -ne 0 ] || sleep 0.1
done >/tmp/processes
wait
expect "runs that were right" "$(grep -c right /tmp/runs)" 4
expect "processes that were right" "$(grep -c right /tmp/processes)" 100
last pointers

# The processes have ended, and their values with them.
turn=0
while [ "$(cat "$dir/values")" != 0 ] && [ "$turn" -lt 100 ]; do
	turn=$((turn + 1))
	sleep 0.1
done
expect "values of processes that have ended" "$(cat "$dir/values")" 0

# A process with the pid of one that has ended. A table that is keyed by pid has a value
# for it, and the key has none.
echo 400 >/proc/sys/kernel/pid_max
first=$(sh -c 'echo 77 >"$1/value"; echo $$' sh "$dir")
turn=0
again=''
while [ "$turn" -lt 5000 ] && [ "${again%% *}" != "$first" ]; do
	turn=$((turn + 1))
	again=$(sh -c 'read -r value <"$1/value"; read -r by_pid <"$1/by_pid"; echo "$$ $value $by_pid"' sh "$dir")
done
expect "pid, value, and value by pid" "$again" "$first 0 77"
echo "pid $first again after $turn processes: value and value by pid are ${again#* }"

# This shell is alive, and has a value.
echo 5 >"$dir/value"
expect "values" "$(cat "$dir/values")" 1
rmmod tsd || exit
last 'values were made'
expect "values at the end" "$(last 'values were made')" "102 values were made, and 102 destroyed"

# A key that the module has not deleted.
insmod /modules/tsd.ko forget=1 || exit
echo 6 >"$dir/value"
rmmod tsd || exit
expect "forgotten key" "$(last forgotten)" "all 1 values of the forgotten key are destroyed"
[ "$failed" = 0 ]

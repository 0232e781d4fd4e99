#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# test.sh, in a guest with owner_storage loaded: opens and closes sessions, and compares
# their visits, and the number of values, with its own count; then does the same with two
# readers beside it.

sessions=/sys/kernel/debug/objects/sessions

fail() {
	touch /tmp/stop
	echo "$1"
	exit 1
}

# elements: prints the number of values that are not freed.
elements() {
	ostor stats | awk '$1 == "elements" { print $2 }'
}

# visited COUNT VISITS: fails unless so many sessions have so many visits.
visited() {
	seen=$(grep -c " $2\$" $sessions)
	[ "$seen" -eq "$1" ] || fail "$seen sessions have $2 visits, and not $1"
}

# become COUNT: opens or closes sessions, and waits until there are so many values.
become() {
	echo "$1" >$sessions || fail "it cannot have $1 sessions"
	tries=0
	while [ "$(elements)" -ne "$1" ]; do
		tries=$((tries + 1))
		[ "$tries" -le 100 ] || fail "$(elements) values, and not $1"
		usleep 50000
	done
}

# reader: reads all sessions again and again.
reader() {
	while [ ! -e /tmp/stop ]; do
		cat $sessions >/dev/null
	done
}

insmod /modules/objects.ko || fail "it does not load"
become 1000
visited 1000 1
become 1000
visited 1000 2
become 400
visited 400 3
become 600
# Those that were opened since must not have what those before them had.
visited 400 4
visited 200 1
reader &
reader &
round=0
while [ "$round" -lt 20 ]; do
	round=$((round + 1))
	echo $((round % 2 * 500)) >$sessions
done
touch /tmp/stop
wait
become 0
rmmod objects
echo "1000, 400 and 600 sessions had their visits; 10 times 500 were opened and closed under readers"

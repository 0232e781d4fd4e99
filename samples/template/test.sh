#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# test.sh [MODULE], in a guest with owner_storage loaded: 100 processes read the file of
# template, or of MODULE, 20 times each, eight at once, and compare the module's count with
# their own.

module=${1:-template}
file=/sys/kernel/debug/$module/reads

# reader: fails unless the count is that of this process alone.
reader() {
	mine=0
	while [ "$mine" -lt 20 ]; do
		mine=$((mine + 1))
		read -r seen <"$file" && [ "$seen" = "$mine" ] || return 1
	done
	echo right
}

insmod "/modules/$module.ko" || exit
readers=0
while [ "$readers" -lt 100 ]; do
	readers=$((readers + 1))
	reader &
	[ $((readers % 8)) -ne 0 ] || wait
done >/tmp/readers
wait
right=$(grep -c right /tmp/readers)
echo "$right of $readers processes read their own count 20 times"
rmmod "$module" && [ "$right" -eq "$readers" ]

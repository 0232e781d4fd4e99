#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# test.sh, in a guest with owner_storage loaded: clients send to servers on two ports at
# once. The module must count each connection, and each byte that the servers got.

services=/sys/kernel/debug/tcp_service/services
connections=20

# serve PORT: accepts connections, one after the other, and adds what came to /tmp/PORT.
serve() {
	served=0
	while [ "$served" -lt "$connections" ]; do
		nc -l -p "$1" </dev/null >>"/tmp/$1" || return
		served=$((served + 1))
	done
}

# send PORT: sends 1,000, 2,000, ... bytes.
send() {
	sent=0
	while [ "$sent" -lt "$connections" ]; do
		sent=$((sent + 1))
		until head -c $((1000 * sent)) /dev/zero | nc 127.0.0.1 "$1" >/dev/null 2>&1; do
			sleep 0.05
		done
	done
}

# column PORT NUMBER
column() {
	awk -v port="$1" -v number="$2" '$1 == port { print $number }' "$services"
}

ip link set lo up
insmod /modules/tcp_service.ko || exit
for port in 5001 5002; do
	: >"/tmp/$port"
	serve "$port" &
	send "$port" &
done
wait
sleep 1
right=0
for port in 5001 5002; do
	bytes=$(wc -c <"/tmp/$port")
	sed -n "1p; /^$port /p" "$services"
	echo "port $port: $connections connections and $bytes bytes by its server"
	# The kernel counts the end of each connection as a byte, too.
	[ "$(column "$port" 3)" = "$connections" ] &&
		[ "$(column "$port" 4)" = $((bytes + connections)) ] && [ "$bytes" -gt 0 ] &&
		[ "$(column "$port" 2)" = 0 ] && right=$((right + 1))
done
rmmod tcp_service && [ "$right" -eq 2 ]

#!/bin/sh
# make bench-peers: what `make bench` measures beside us. The official blake3 package is in requirements.lock already.
# nwipe comes as the distribution has it; where that one has no ChaCha20, `make bench` says what it compares with instead.
set -eu

missing=
for program in fio nwipe openssl; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -z "$missing" ]; then
    echo 'bench-peers: fio, nwipe and openssl are here'
    exit
fi
if [ "$(id -u)" != 0 ]; then
    echo "bench-peers: not here:$missing. As root: apt-get install$missing" >&2
    exit 1
fi
apt-get -qq update
# shellcheck disable=SC2086 # a list of names
apt-get -qq install --yes --no-install-recommends $missing

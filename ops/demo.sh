#!/bin/sh
# make run: a disk image full of customers' data, erased and proved before your eyes; then a rack of 24 bays at work.
# Without a terminal it ends by itself. Writes only below demo/, and touches no drive.
set -eu

eraser=${ERASER:-.venv/bin/eraser}
folder=demo
image=$folder/drive.img
secret='CONFIDENTIAL CUSTOMER RECORD'

records_left() { LC_ALL=C grep --text --fixed-strings --count "$secret" "$image" || true; }

rm -rf "$folder"
mkdir -p "$folder/certificates"
yes "$secret: name, address, telephone, bank account" | head -c 256M >"$image"

printf 'The drive:  %s, 256 MiB, with %s customer records on it.\n\n' "$image" "$(records_left)"
"$eraser" erase "$image" --standard random --verify full --certificates "$folder/certificates" --yes

left=$(records_left)
printf '\nRecords left on it, by grep: %s\n' "$left"
certificate=$(find "$folder/certificates" -name '*.json')
printf 'Its certificate:             %s\n' "$certificate"
printf 'Look at it:                  %s certificate show %s\n' "$eraser" "$certificate"
printf 'Check it:                    %s certificate verify %s\n' "$eraser" "$certificate"
[ "$left" = 0 ]

# ---- the rack

rack=$folder/rack
log=$folder/rack.log
look_for=$(dirname "$0")/look-for-markers.py
python=$(dirname "$eraser")/python
rack_seconds=40

is_free() { "$python" -c 'import socket, sys; socket.create_server(("127.0.0.1", int(sys.argv[1])))' "$1" 2>/dev/null; }
port=8080
while ! is_free "$port"; do port=$((port + 1)); done

"$eraser" serve --simulate 24 --fast --data "$rack" --listen "127.0.0.1:$port" >"$log" 2>&1 &
station=$!
trap 'kill "$station" 2>/dev/null || true; wait "$station" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

status() { "$eraser" status --socket "$rack/eraser.sock"; }
tries=0
until status >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 60 ] || ! kill -0 "$station" 2>/dev/null; then
        tail -5 "$log" >&2
        exit 1
    fi
    sleep 0.5
done

cat <<END

A rack of 24 bays, all of it made up: drives full of customers' records come and go, some of them sick or pulled too early.
What is real: the engine, the scheduler, the ledger, the certificates. It serves here until the end of this demonstration:

    http://127.0.0.1:$port/metrics    for Prometheus
    $eraser status --socket $rack/eraser.sock
    $eraser top --socket $rack/eraser.sock    live, bay by bay
    $log    its log

The same rack as a page for people, live, in Chinese and English; it signs you in as "demo", from this host alone:

    http://127.0.0.1:$port/

END
if [ -t 0 ] && [ -t 1 ]; then
    printf 'It works on until you press Enter here (t and Enter: watch it in this terminal). '
    read -r answer || answer=
    if [ "$answer" = t ]; then "$eraser" top --socket "$rack/eraser.sock"; fi
else
    seconds=0
    while [ "$seconds" -lt "$rack_seconds" ]; do
        sleep 8
        seconds=$((seconds + 8))
        printf '%2d s  %s\n' "$seconds" "$(status | tail -1)"
    done
    echo
    status
    echo
fi

echo 'Stopping it at checkpoints.'
kill "$station"
wait "$station" || true
trap - EXIT INT TERM
printf '\nWhat an independent reader finds on the drives (ops/look-for-markers.py, nothing of eraser in it):\n'
"$python" "$look_for" "$rack"
printf 'The certificates:            %s\n' "$rack/certificates"
printf 'Look at such a rack:         %s serve --simulate 24 --fast --data %s --listen 127.0.0.1:%s\n' "$eraser" "$rack" "$port"
printf '                             then open http://127.0.0.1:%s/\n' "$port"

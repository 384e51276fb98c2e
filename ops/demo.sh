#!/bin/sh
# make run: a disk image full of customers' data, erased and proved before your eyes. Writes only below demo/.
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

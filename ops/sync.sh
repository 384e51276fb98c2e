#!/bin/sh
# Makes VENV hold exactly what requirements.lock names, each file checked against its hash.
#
#   ops/sync.sh VENV
set -eu

venv=$1

# uv does not read pip's settings, and a machine behind a mirror often has no others.
if [ -n "${PIP_INDEX_URL:-}" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then
    export UV_DEFAULT_INDEX="$PIP_INDEX_URL"
fi
# Nor does it look at the machine's own certificates, where a mirror or a company's proxy has put its root.
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
fi
if [ -n "${PIP_CERT:-}" ] && [ -z "${SSL_CERT_FILE:-}" ]; then
    export SSL_CERT_FILE="$PIP_CERT"
fi

"$venv/bin/uv" --quiet pip sync --compile-bytecode --python "$venv/bin/python" --require-hashes requirements.lock && exit

printf 'sync: uv could not install requirements.lock; trying pip, which has its own settings\n' >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock

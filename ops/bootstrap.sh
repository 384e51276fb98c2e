#!/bin/sh
# Makes .venv with uv in it, as a plain user, from python3 alone.
#
#   ops/bootstrap.sh VENV        makes VENV, with VENV/bin/python and VENV/bin/uv
#   ops/bootstrap.sh --headers VENV
#                                prints where Python.h is, for C_INCLUDE_PATH; empty when the compiler finds it by itself
#
# A bare Debian has neither pip nor ensurepip nor Python.h. All three are in its own archive, and apt-get can download
# and dpkg unpack a package without root: nothing is installed outside VENV.
set -eu

say() { printf 'bootstrap: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Unpacks the Debian package $1 into the folder $2.
unpack_debian_package() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    mkdir -p "$2/download"
    (cd "$2/download" && apt-get -qq download "$1" >/dev/null 2>&1) || return 1
    dpkg -x "$2"/download/"$1"_*.deb "$2"
}

make_environment() {
    venv=$1
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || die "no $python here: install Python 3.11 or newer"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$("$python" --version) is too old: Eraser needs Python 3.11 or newer (set PYTHON=… to another one)"

    if [ ! -x "$venv/bin/python" ]; then
        "$python" -m venv --without-pip "$venv" || die "$python -m venv --without-pip failed"
    fi
    "$venv/bin/uv" --version >/dev/null 2>&1 && return

    if command -v uv >/dev/null; then
        uv --quiet pip install --python "$venv/bin/python" pip uv && return
        say "uv on PATH could not install uv into $venv; trying pip"
    fi
    if "$venv/bin/python" -m ensurepip --version >/dev/null 2>&1; then
        "$venv/bin/python" -m ensurepip >/dev/null 2>&1 &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv && return
        say "pip of ensurepip could not install uv; trying the system's pip"
    fi
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check pip uv && return
        say "the system's pip could not install uv; trying Debian's pip wheel"
    fi
    if unpack_debian_package python3-pip-whl "$venv/debian-pip"; then
        wheel=$(ls "$venv"/debian-pip/usr/share/python-wheels/pip-*.whl)
        PYTHONPATH=$wheel "$venv/bin/python" -m pip install --quiet --disable-pip-version-check pip uv && return
    fi
    die "no way to get Python packages: install python3-venv (or pip, or uv) and see that the package index can be reached"
}

# The folders to search for Python.h beyond the compiler's own, joined by ':'.
headers() {
    venv=$1
    include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -f "$include/Python.h" ] && return
    version=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    unpacked=$venv/debian-headers
    if [ ! -f "$unpacked/usr/include/python$version/Python.h" ]; then
        unpack_debian_package "libpython$version-dev" "$unpacked" ||
            die "no Python.h for Python $version: install python3-dev (or libpython$version-dev)"
    fi
    # The second: Debian's pyconfig.h includes <TRIPLET/pythonX.Y/pyconfig.h>.
    printf '%s:%s\n' "$unpacked/usr/include/python$version" "$unpacked/usr/include"
}

case ${1:-} in
--headers) headers "$(realpath "$2")" ;;
'' | -*) die "usage: ops/bootstrap.sh [--headers] VENV" ;;
*) make_environment "$1" ;;
esac

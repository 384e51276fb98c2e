#!/bin/sh
# Builds the package and installs it into .venv, as a user's install would be: not editable.
# The build folder stays, so only what changed is compiled again.
#
#   ops/install.sh VENV
set -eu

venv=$(realpath "$1")
include=$(ops/bootstrap.sh --headers "$venv")
if [ -n "$include" ]; then
    C_INCLUDE_PATH=$include${C_INCLUDE_PATH:+:$C_INCLUDE_PATH}
    export C_INCLUDE_PATH
fi

# Meson takes the package's whole folder, so what Python left in it when run from here must not be in it.
find eraser -name __pycache__ -prune -exec rm -r {} +

# Meson and ninja come from the environment, not from a build environment that is fetched anew each time.
PATH=$venv/bin:$PATH
export PATH
build=build/install-$("$venv/bin/python" -c 'import sys; print(sys.implementation.cache_tag)')
"$venv/bin/uv" --quiet pip install --python "$venv/bin/python" --no-build-isolation --no-deps --reinstall \
    --config-settings-package eraser:build-dir="$build" .

# Compiled now, so that the first erasure starts as fast as the second.
cd / # where no sources hide what is installed
exec "$venv/bin/python" -c 'import compileall, importlib.util as u
compileall.compile_dir(u.find_spec("eraser").submodule_search_locations[0], quiet=1)'

#!/bin/sh
# Creates the environment VENV (.venv) and installs into it what uv.lock names; does nothing if that is done already.
# usage: [PYTHON=python3.13] [VENV=.venv-3.13] devstack/install.sh run | dev
set -eu
cd "$(dirname "$0")/.."

uv_version=0.13.9
purpose=$1
venv=${VENV:-.venv}
fingerprint="uv $uv_version, $PWD, $(cat pyproject.toml uv.lock | cksum)"

recorded() { cat "$venv/$1" 2>/dev/null || true; }

record() {
    for stamp in "$@"; do echo "$fingerprint" >"$venv/$stamp"; done
}

# A name on the PATH may be a shim that starts nothing, so each candidate is tried.
find_python() {
    without_venv=
    for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3; do
        "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue
        if "$name" -c 'import ensurepip, venv' 2>/dev/null; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
        without_venv=${without_venv:-$name}
    done
    if [ -n "$without_venv" ]; then
        echo "$without_venv has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2
    else
        echo "Python 3.11, 3.12 or 3.13 is needed. On Debian and Ubuntu: apt install python3-venv;" \
            "or name one: make PYTHON=/path/to/python3.12 ..." >&2
    fi
    return 1
}

# An environment whose Python was removed, or whose folder was moved, holds programs that do not start.
drop_broken_environment() {
    made_in=$(recorded made-in)
    if [ -e $venv ] && { ! $venv/bin/python -c '' 2>/dev/null || [ "${made_in:-$PWD}" != "$PWD" ]; }; then
        echo "Removing $venv: it does not work any more"
        rm -rf $venv
    fi
}

make_environment() {
    python=$(find_python)
    echo "Making $venv with $python"
    "$python" -m venv $venv
    echo "$PWD" >$venv/made-in
}

# uv takes a second where pip takes a minute, and installs exactly what the lock file names.
install_with_uv() {
    cache=${XDG_CACHE_HOME:-${HOME:-/dev/null}/.cache}/uv
    if [ -z "${UV_CACHE_DIR:-}" ] && ! { mkdir -p "$cache" && [ -w "$cache" ]; } 2>/dev/null; then
        export UV_CACHE_DIR="$PWD/$venv/cache"
    fi
    export UV_COMPILE_BYTECODE=1 # once here, or at every start where Python may not write it
    export UV_PYTHON_DOWNLOADS=never UV_PYTHON="$PWD/$venv/bin/python" UV_PROJECT_ENVIRONMENT="$PWD/$venv"
    case $purpose in
    run) $venv/bin/uv sync --locked --extra simulator --no-group dev --inexact ;;
    dev) $venv/bin/uv sync --locked --extra simulator ;;
    esac
}

install_with_pip() {
    echo "uv cannot be installed here. Using pip: slower, and versions may differ from uv.lock" >&2
    $venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1' # the first to know groups
    case $purpose in
    run) $venv/bin/python -m pip install --group local --editable '.[simulator]' ;;
    dev) $venv/bin/python -m pip install --group local --group dev --editable '.[simulator]' ;;
    esac
}

drop_broken_environment
if [ "$(recorded "installed-$purpose")" = "$fingerprint" ]; then
    exit 0
fi
[ -x $venv/bin/pip ] || make_environment
if $venv/bin/python -m pip install --quiet "uv==$uv_version"; then
    install_with_uv
else
    install_with_pip
fi
case $purpose in
run) record installed-run ;;
dev) record installed-run installed-dev ;;
esac

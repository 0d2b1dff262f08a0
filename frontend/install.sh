#!/bin/sh
# Puts the viewer of 3D models, in the version of the lock file, into a folder, with the licenses of what it is made of.
# Usage: sh frontend/install.sh FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
into=${1:?the folder to put it into}
if ! command -v npm >/dev/null; then
    echo 'This needs npm, which comes with Node.js 22 or later. The console works without it: 3D models are downloads then.' >&2
    exit 1
fi
npm ci --prefix "$here" --ignore-scripts --no-audit --no-fund
mkdir -p "$into"
cp "$here/node_modules/@google/model-viewer/dist/model-viewer.min.js" "$into/model-viewer.min.js"
find "$here/node_modules" -maxdepth 3 -iname 'license*' -type f | sort | while read -r license; do
    printf '\n== %s\n\n' "${license#"$here/node_modules/"}"
    cat "$license"
done >"$into/model-viewer.licenses.txt"

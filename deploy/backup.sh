#!/bin/sh
# Keeps the database, the files of generated content and the settings in a folder, while everything runs. In the folder
# of docker-compose.yml:
#
#   sh deploy/backup.sh FOLDER
#
# Run again with the same folder, it replaces the dump and the settings, and copies the files that have come since. The
# folder holds secrets: it is closed to other accounts. Needs docker with Compose 2.
set -eu

say() { printf '%s\n' "$*"; }
fail() { say "error: $*" >&2; exit 1; }

[ $# = 1 ] || fail 'usage: deploy/backup.sh FOLDER'
umask 077
mkdir -p "$1"
FOLDER=$(cd "$1" && pwd)

# The database first: so every row of it has its file. A dump that breaks off leaves the one before.
docker compose exec -T postgres pg_dump -U junis -Fc junis >"$FOLDER/junis.dump.new" ||
    fail 'the database could not be dumped; the backup before is as it was'
mv "$FOLDER/junis.dump.new" "$FOLDER/junis.dump"
[ ! -f .env ] || cp .env "$FOLDER/env"

mkdir -p "$FOLDER/objects"
docker compose run --rm -T --no-deps --user "$(id -u):$(id -g)" -v "$FOLDER/objects:/backup" api objects export /backup ||
    fail 'some files are not in the backup; those are named above'
say "Done: $FOLDER"

#!/bin/sh
# Puts back what deploy/backup.sh has kept, and proves that all of it is there. In the folder of docker-compose.yml, with
# the backup's `env` as `.env`:
#
#   sh deploy/restore.sh FOLDER             into a stack without data
#   sh deploy/restore.sh --replace FOLDER   in place of the data that there is, which is lost
#
# It can be run again after an interruption, with --replace. Needs docker with Compose 2.
set -eu

say() { printf '%s\n' "$*"; }
fail() { say "error: $*" >&2; exit 1; }
in_postgres() { docker compose exec -T postgres "$@"; }
junis() { docker compose run --rm -T --no-deps "$@"; }

REPLACE=
if [ "${1-}" = --replace ]; then
    REPLACE=1
    shift
fi
[ $# = 1 ] || fail 'usage: deploy/restore.sh [--replace] FOLDER'
[ -f "$1/junis.dump" ] || fail "there is no backup in $1"
FOLDER=$(cd "$1" && pwd)

docker compose up -d --wait postgres redis objects
if [ -z "$REPLACE" ]; then
    tables=$(in_postgres psql -U junis -d junis -tAc "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    [ "$tables" = 0 ] || fail 'there is data in this stack already; --replace puts the backup in its place'
fi
docker compose stop api worker
in_postgres dropdb -U junis --force --if-exists junis
in_postgres createdb -U junis junis
in_postgres pg_restore -U junis -d junis --no-owner --no-privileges --exit-on-error <"$FOLDER/junis.dump"
# Brings an older dump up to date, and grants the server's role what a dump leaves out.
junis migrate
junis --user "$(id -u):$(id -g)" -v "$FOLDER/objects:/backup:ro" api objects import /backup
junis api verify-ledger
junis api objects verify
docker compose up -d
say "Done: restored from $FOLDER"

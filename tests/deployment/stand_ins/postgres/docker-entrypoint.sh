#!/bin/bash
# What Compose relies on: root gives the volume to postgres and becomes that user; the first start makes the database
# POSTGRES_DB, owned by POSTGRES_USER, with a server that answers on its socket only.
set -euo pipefail

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" "$PGHOST"
    chmod 700 "$PGDATA"
    chmod 3775 "$PGHOST"
    find "$PGDATA" "$PGHOST" ! -user postgres -exec chown postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

socket_only() { pg_ctl -D "$PGDATA" -s -w -o "-c listen_addresses='' -c unix_socket_directories=$PGHOST" "$@"; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    socket_only start
    createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
    socket_only -m fast stop
fi
exec "$@" -c listen_addresses='*' -c "unix_socket_directories=$PGHOST"

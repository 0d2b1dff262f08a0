#!/bin/sh
# Replaces the API containers and then the workers one by one, so that no request fails. In the folder of
# docker-compose.yml:
#
#   sh deploy/roll.sh            build the image from this checkout, migrate, roll
#   sh deploy/roll.sh --pull     pull the image instead of building it
#   sh deploy/roll.sh --as-is    take the image that is there, as after a change of .env
#   sh deploy/roll.sh --back     go back to the image before; the schema stays as it is
#
# After an interruption run it again: it goes on. Needs docker with Compose 2.
set -eu

PATIENCE=${ROLL_PATIENCE:-180} # seconds that a new container has to become healthy

say() { printf '%s\n' "$*"; }
fail() { say "error: $*" >&2; exit 1; }

# --- What is there ----------------------------------------------------------------------------------------------------

running() { docker compose ps -q --status running "$1"; }
count() { running "$1" | grep -c . || true; }
image_of() { docker inspect -f '{{.Image}}' "$1"; }
# The id of the image that new containers get.
wanted_image() { docker image inspect -f '{{.Id}}' "$IMAGE"; }

# The containers that were there when the roll began, and still run.
outdated() {
    for id in $(running "$1"); do
        if grep -qx "old=$id" "$STATE"; then say "$id"; fi
    done
}

# --- State, so that an interrupted run can go on ------------------------------------------------------------------------

STATE=.roll
# The file has the sizes and the image from before, and the containers that are to be replaced.
begin() {
    printf 'api=%s\nworker=%s\nimage=%s\n' "$apis" "$workers" "$1" >"$STATE.new"
    for id in $(running api) $(running worker); do say "old=$id" >>"$STATE.new"; done
    mv "$STATE.new" "$STATE"
}
kept() { [ ! -e "$STATE" ] || sed -n "s/^$1=//p" "$STATE"; }

# --- Steps --------------------------------------------------------------------------------------------------------------

obtain_image() {
    case $MODE in
    build) docker compose build api ;;
    pull) docker compose pull api ;;
    back)
        docker image inspect "$PREVIOUS" >/dev/null 2>&1 || fail "there is no image $PREVIOUS to go back to"
        newer=$(wanted_image)
        docker tag "$PREVIOUS" "$IMAGE"
        docker tag "$newer" "$PREVIOUS"
        ;;
    esac
}

# The image that runs now becomes the one to go back to, unless nothing changes.
remember_image() {
    [ "$MODE" != back ] || return 0
    before=$(kept image)
    if [ -n "$before" ] && [ "$before" != "$(wanted_image)" ]; then docker tag "$before" "$PREVIOUS"; fi
}

# Healthy, or running if it has no health check.
state_of() {
    docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}} {{.RestartCount}}' "$1" 2>/dev/null || echo gone
}

wait_until_well() {
    waited=0
    while [ "$waited" -lt "$PATIENCE" ]; do
        state=$(state_of "$1")
        case $state in
        'healthy 0') return 0 ;;
        # Without a health check: well if it still runs after some seconds.
        'running 0') if [ "$waited" -ge 5 ]; then return 0; fi ;;
        # It may take its time on a busy machine, even to become healthy again.
        'starting 0' | 'unhealthy 0' | 'created 0') ;;
        # It has ended, or is started again and again.
        *) return 1 ;;
        esac
        sleep 1
        waited=$((waited + 1))
    done
    return 1
}

# Starts one container more. Those that are there stay as they are.
add() {
    known=$(running "$1")
    # With its dependencies: without them, Compose would take the container for outdated at the next `up`.
    docker compose up -d --no-recreate --no-build --scale "$1=$(($(count "$1") + 1))" "$1" >/dev/null 2>&1 ||
        fail "no further container of $1 could be started; those that ran before still do"
    for id in $(docker compose ps -aq "$1"); do
        case "$known" in *"$id"*) ;; *) say "$id" ;; esac
    done
}

remove() { docker stop "$1" >/dev/null && docker rm "$1" >/dev/null; }

check_or_give_up() {
    if wait_until_well "$2"; then return 0; fi
    say "error: the new container of $1 did not become healthy ($(state_of "$2")). Its last lines:" >&2
    docker logs --tail 20 "$2" >&2 2>&1 || true
    docker rm -f "$2" >/dev/null 2>&1 || true
    fail "stopped: the $1 containers that are left still serve. Mend it and run this again, or go back by --back"
}

roll() {
    service=$1
    size=$2
    # What an interrupted run has begun may not be well yet.
    for id in $(running "$service"); do
        grep -qx "old=$id" "$STATE" || check_or_give_up "$service" "$id"
    done
    while
        old=$(outdated "$service" | head -n 1)
        [ -n "$old" ]
    do
        if [ "$(count "$service")" -le "$size" ]; then
            new=$(add "$service")
            [ -n "$new" ] || fail "no further container of $service has been started"
            check_or_give_up "$service" "$new"
        fi
        remove "$old"
        say "$service: replaced $(printf %.12s "$old")"
    done
    while [ "$(count "$service")" -lt "$size" ]; do
        new=$(add "$service")
        check_or_give_up "$service" "$new"
    done
}

main() {
    MODE=build
    case ${1-} in
    '') ;;
    --pull | --as-is | --back) MODE=${1#--} ;;
    *) fail "unknown option $1: --pull, --as-is or --back" ;;
    esac
    apis=$(kept api)
    [ -n "$apis" ] || apis=$(count api)
    [ "$apis" -gt 0 ] || fail "no API is running here: start everything by \`docker compose up -d\`"
    workers=$(kept worker)
    [ -n "$workers" ] || workers=$(count worker)
    IMAGE=$(docker compose config | awk '/^  [^ ]/ { here = $1 == "api:" } here && $1 == "image:" { print $2; exit }')
    [ -n "$IMAGE" ] || fail 'docker-compose.yml names no image of the service api'
    # The tag `previous` of the same image.
    case ${IMAGE##*/} in *[:@]*) PREVIOUS=${IMAGE%[:@]*}:previous ;; *) PREVIOUS=$IMAGE:previous ;; esac

    if [ ! -e "$STATE" ]; then
        begin "$(image_of "$(running api | head -n 1)")"
        obtain_image
    elif [ "$MODE" = back ]; then
        # The run that is given up has not yet made its image the one before.
        remember_interrupted
    else
        say 'Going on with the roll that was interrupted'
        obtain_image
    fi
    remember_image
    if [ "$MODE" != back ]; then
        docker compose run --rm --no-deps -T migrate || fail 'the migration failed; nothing has been replaced. Run this again'
    fi
    roll api "$apis"
    roll worker "$workers"
    # Takes a changed Caddyfile without closing a connection.
    if [ -n "$(running proxy)" ]; then
        docker compose exec -T proxy caddy reload --config /etc/caddy/Caddyfile --adapter caddyfile \
            --address unix//tmp/admin.sock >/dev/null 2>&1 || say 'warning: the proxy did not take its configuration'
    fi
    rm -f "$STATE"
    say "Done: $apis API and $workers worker containers of $(printf %.19s "$(wanted_image)")"
}

# While a roll is interrupted, the image to go back to is the one that ran when it began.
remember_interrupted() {
    before=$(kept image)
    newer=$(wanted_image)
    [ -n "$before" ] || fail "there is no image to go back to"
    begin "$newer"
    if [ "$before" != "$newer" ]; then
        docker tag "$before" "$IMAGE"
        docker tag "$newer" "$PREVIOUS"
    fi
}

main "$@"

#!/bin/sh
# Reads and changes lines of `.env`, each change as one step; secrets pass through pipes and are no arguments.
#
#   sh deploy/env.sh new              print a fresh secret of 192 bits: letters and digits
#   sh deploy/env.sh get NAME         print a value
#   sh deploy/env.sh set NAME         set it to the line from standard input
#   sh deploy/env.sh unset NAME       remove it
#   sh deploy/env.sh swap NAME OTHER  exchange two values
set -eu
cd "$(dirname "$0")/.."

fail() { echo "error: $*" >&2; exit 1; }
check() { case $1 in '' | *[!A-Z0-9_]* | [0-9]*) fail "'$1' is no name of a setting" ;; esac }

new() { od -An -vtx1 -N24 /dev/urandom | tr -d ' \n'; echo; }
get() { sed -n "s/^$1=//p" .env | tail -n 1; }
# The file without this setting, in the place of which the value is put, if there is one.
with() {
    SET_NAME=$1 SET_VALUE=${2-} awk '
        BEGIN { name = ENVIRON["SET_NAME"] "="; line = name ENVIRON["SET_VALUE"] }
        index($0, name) == 1 { if (!done && ENVIRON["SET_VALUE"] != "") print line; done = 1; next }
        { print }
        END { if (!done && ENVIRON["SET_VALUE"] != "") print line }'
}
keep() {
    umask 077
    # A copy has the mode and the owner of the file.
    cp -p .env .env.new
    cat >.env.new
    [ -s .env.new ] || fail '.env would be empty; it is as it was'
    mv .env.new .env
}

[ -f .env ] || fail 'there is no .env here: sh deploy/make_env.sh'
case ${1-} in
new) new ;;
get) check "${2-}" && get "$2" ;;
set)
    check "${2-}"
    IFS= read -r value || [ -n "$value" ] || fail 'no value came from standard input'
    [ -n "$value" ] || fail 'the value is empty'
    with "$2" "$value" <.env | keep
    ;;
unset) check "${2-}" && with "$2" <.env | keep ;;
swap)
    check "${2-}" && check "${3-}"
    one=$(get "$2") other=$(get "$3")
    [ -n "$one" ] && [ -n "$other" ] || fail "$2 or $3 is not set"
    with "$2" "$other" <.env | with "$3" "$one" | keep
    ;;
*) fail 'usage: deploy/env.sh new | get NAME | set NAME | unset NAME | swap NAME OTHER' ;;
esac

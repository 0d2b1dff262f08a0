#!/bin/sh
# Writes `.env` with fresh secrets from `.env.example`, readable by its owner only; an existing one stays as it is.
# usage: deploy/make_env.sh [simulator]     simulator: the settings for a trial without vendors are filled in too
set -eu
cd "$(dirname "$0")/.."

purpose=${1:-}
case $purpose in '' | simulator) ;; *) echo 'usage: deploy/make_env.sh [simulator]' >&2 && exit 2 ;; esac

# 192 random bits: letters and digits only, because some of them become parts of URLs.
secret() { od -An -vtx1 -N24 /dev/urandom | tr -d ' \n'; }

# Each setting that stands empty in the first section gets a secret of its own.
filled() {
    while IFS= read -r line; do
        case $line in
        [A-Z]*=) echo "$line$(secret)" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <.env.example
}

# The lines at the end of the file, without their comment signs.
simulated() {
    echo
    echo 'COMPOSE_PROFILES=simulator'
    sed -n 's/^#   \([A-Z_]*=.*\)$/\1/p' .env.example
}

next_steps() {
    echo 'Wrote .env with fresh secrets. Keep a copy of it in a safe place.'
    if [ "$purpose" = simulator ]; then
        echo 'The vendors are simulated. Start it: docker compose up -d --wait'
    else
        echo 'Fill in next: LLM_BASE_URL, LLM_API_KEY and LLM_MODEL for chat, REPLICATE_API_TOKEN for generations,'
        echo 'PUBLIC_URL as clients reach it. Then start it: docker compose up -d --wait'
    fi
}

umask 077
content=$(filled; if [ "$purpose" = simulator ]; then simulated; fi)
# -C: an existing file is never replaced, not even one that appears at this moment.
if ! (set -C && printf '%s\n' "$content" >.env) 2>/dev/null; then
    echo '.env exists already, or this folder cannot be written to; nothing was changed' >&2
    exit 1
fi
next_steps

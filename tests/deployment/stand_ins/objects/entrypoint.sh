#!/bin/sh
# What Compose relies on: root gives the volume to seaweed and becomes that user.
set -e
if [ "$(id -u)" = 0 ]; then
    [ "$(stat -c %U /data)" = seaweed ] || chown -R seaweed:seaweed /data
    exec setpriv --reuid=seaweed --regid=seaweed --clear-groups "$0" "$@"
fi
exec weed -logtostderr=true "$@"

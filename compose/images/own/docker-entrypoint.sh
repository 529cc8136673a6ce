#!/bin/sh
# `command:` holds the binary's arguments; the binary's own name in front of them is accepted too.
set -e
if [ "${1:-}" = "${OWN_BINARY##*/}" ]; then shift; fi
loader="$(find /opt/own/lib -maxdepth 1 -name 'ld-linux*' 2>/dev/null || true)"
if [ -n "$loader" ]; then
    exec "$loader" --library-path /opt/own/lib "$OWN_BINARY" "$@"
fi
exec "$OWN_BINARY" "$@"

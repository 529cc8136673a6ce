#!/bin/bash
# A standby: copies its primary once, then follows it. Arguments are those of `postgres`.
set -euo pipefail
if [ ! -f "$PGDATA/standby.signal" ]; then
    # Of a copy that was broken off nothing can be used.
    find "$PGDATA" -mindepth 1 -delete
    until pg_isready --quiet --host="$PRIMARY_HOST" --username="$PRIMARY_USER" --timeout=2; do sleep 0.3; done
    PGPASSWORD="$PRIMARY_PASSWORD" pg_basebackup --host="$PRIMARY_HOST" --username="$PRIMARY_USER" --pgdata="$PGDATA" \
        --checkpoint=fast --wal-method=stream --write-recovery-conf --no-sync
    chmod 700 "$PGDATA"
fi
exec "$@"

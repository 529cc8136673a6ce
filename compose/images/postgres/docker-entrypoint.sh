#!/bin/bash
# Contract of the official image, as far as stacks use it: POSTGRES_USER, POSTGRES_PASSWORD (or ..._FILE), POSTGRES_DB,
# POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD, PGDATA, /docker-entrypoint-initdb.d/*.{sh,sql,sql.gz} on the first start,
# options alone mean `postgres`, the server runs as the user postgres.
set -euo pipefail

from_file() { # VAR: takes the value from the file that VAR_FILE names
    local file_var="$1_FILE"
    if [ -n "${!file_var:-}" ]; then export "$1=$(<"${!file_var}")"; fi
}

init_cluster() {
    from_file POSTGRES_PASSWORD; from_file POSTGRES_USER; from_file POSTGRES_DB
    local user="${POSTGRES_USER:-postgres}" method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
    local db="${POSTGRES_DB:-$user}"
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo "postgres: the database is empty and POSTGRES_PASSWORD is not set: set it (or POSTGRES_HOST_AUTH_METHOD=trust)" >&2
        exit 1
    fi
    # shellcheck disable=SC2086 # the arguments are meant to be split
    initdb --username="$user" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}") --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-} ${POSTGRES_PASSWORD:+--auth-local=trust}
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    # Until the scripts have run, only the socket listens: a probe over TCP must not see a half-made database.
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -c log_min_messages=warning" -w start
    local psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$user")
    if [ "$db" != postgres ]; then
        "${psql[@]}" --dbname postgres -v db="$db" <<< 'CREATE DATABASE :"db";'
    fi
    psql+=(--dbname "$db")
    local f
    for f in /docker-entrypoint-initdb.d/*; do
        case "$f" in
            *.sh) echo "running $f"; if [ -x "$f" ]; then "$f"; else . "$f"; fi ;;
            *.sql) echo "running $f"; "${psql[@]}" -f "$f" ;;
            *.sql.gz) echo "running $f"; gunzip -c "$f" | "${psql[@]}" ;;
            */\*) ;;
            *) echo "ignoring $f" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA" /var/run/postgresql
        chown -R postgres:postgres "$PGDATA" /var/run/postgresql
        chmod 700 "$PGDATA"
        exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/var/lib/postgresql "$0" "$@"
    fi
    if [ ! -s "$PGDATA/PG_VERSION" ]; then init_cluster; fi
fi
exec "$@"

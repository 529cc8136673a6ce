#!/bin/bash
# Contract: a stack mounts a folder at /etc/postfix-conf. Its main.cf holds only what differs (any syntax of main.cf; each
# setting replaces the image's), its other files are copied to /etc/postfix, and those named there as hash:, btree: or lmdb:
# tables are compiled. MAILLOG_FILE (default /dev/stdout) names the log. No service is chrooted. Postfix runs in the
# foreground as process 1.
set -euo pipefail

if [ "${1:-}" != postfix ]; then exec "$@"; fi

# Postfix waits until a file that it reads is two seconds old; every file made here is made to look older.
aged() { touch -d '10 seconds ago' "$@"; }

conf=/etc/postfix-conf
if [ -d "$conf" ]; then
    for file in "$conf"/*; do
        case "${file##*/}" in
            main.cf) ;;
            *)
                if [ -f "$file" ]; then
                    install -m 0644 "$file" "/etc/postfix/${file##*/}"
                    aged "/etc/postfix/${file##*/}"
                fi
                ;;
        esac
    done
    if [ -f "$conf/main.cf" ]; then
        mkdir -p /run/postfix-conf
        cp "$conf/main.cf" /run/postfix-conf/main.cf
        cp /etc/postfix/master.cf /run/postfix-conf/master.cf
        aged /run/postfix-conf/*
        mapfile -t settings < <(postconf -c /run/postfix-conf -n | grep -v '^config_directory = ')
        if [ "${#settings[@]}" -eq 0 ]; then
            echo "postfix: $conf/main.cf sets nothing: write \`name = value\` lines or remove the file" >&2
            exit 1
        fi
        postconf -e "${settings[@]}"
    fi
fi
if [ -n "${MAILLOG_FILE:-}" ]; then postconf -e "maillog_file = $MAILLOG_FILE"; fi
postconf -F '*/*/chroot = n'
aged /etc/postfix/main.cf /etc/postfix/master.cf
{ grep -Eoh '(hash|btree|lmdb):/etc/postfix/[^, ]+' /etc/postfix/main.cf /etc/postfix/master.cf || true; } | sort -u \
    | while read -r table; do postmap "$table"; done

# Shippers and exporters run as other users; Postfix would make the file readable by root alone.
log="$(postconf -h maillog_file)"
case "$log" in
    /dev/*) ;;
    /*) mkdir -p "$(dirname "$log")"; touch "$log"; chmod 0644 "$log" ;;
esac
# A killed container leaves the file behind, and process 1 of the new one could be taken for its owner.
rm -f /var/spool/postfix/pid/master.pid
exec "$@"

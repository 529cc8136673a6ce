#!/bin/bash
# Contract: /etc/dovecot/dovecot.conf is the stack's; mail lies under /srv/mail and belongs to vmail (5000:5000).
set -euo pipefail
if [ "${1##*/}" = dovecot ]; then
    # Shippers run as other users; Dovecot would make its log readable by root alone.
    for setting in log_path info_log_path debug_log_path; do
        log="$(doveconf -h "$setting")"
        case "$log" in
            /dev/*) ;;
            /*) mkdir -p "$(dirname "$log")"; touch "$log"; chmod 0644 "$log" ;;
        esac
    done
    chown vmail:vmail /srv/mail
    # A killed container leaves the file behind, and process 1 of the new one could be taken for its owner.
    rm -f /run/dovecot/master.pid
fi
exec "$@"

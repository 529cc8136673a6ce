#!/bin/bash
# Contract of the upstream image: options alone, or a subcommand of filebeat, mean `filebeat`; -environment=container
# stays a default (log to stderr).
set -euo pipefail
if [ $# -eq 0 ] || [ "${1:0:1}" = - ]; then
    set -- filebeat "$@"
else
    case "$1" in
        enroll | export | generate | help | keystore | modules | run | setup | test | version) set -- filebeat "$@" ;;
    esac
fi
if [ "$1" = filebeat ]; then set -- "$@" -environment container; fi
exec "$@"

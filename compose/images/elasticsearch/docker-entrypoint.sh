#!/bin/bash
# Contract of the upstream image: `eswrapper` (the default) or options alone mean `elasticsearch`; settings come from the
# environment; ES_JAVA_OPTS holds the heap; never root.
set -euo pipefail
umask 0002
cd /usr/share/elasticsearch
if [ $# -eq 0 ] || [ "$1" = eswrapper ]; then
    set -- elasticsearch "${@:2}"
elif [ "${1:0:1}" = - ]; then
    set -- elasticsearch "$@"
fi
if [ "$(id -u)" = 0 ]; then
    chown -R elasticsearch:root data logs
    exec setpriv --reuid=1000 --regid=0 --clear-groups "$@"
fi
exec "$@"

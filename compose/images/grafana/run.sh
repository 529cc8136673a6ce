#!/bin/bash
# Contract of the upstream image: paths by GF_PATHS_*, settings by GF_<SECTION>_<KEY>, secrets by GF_<SECTION>_<KEY>__FILE.
set -euo pipefail
while IFS='=' read -r name file; do
    case "$name" in
        GF_*__FILE)
            if [ ! -r "$file" ]; then echo "grafana: $name names $file, which cannot be read" >&2; exit 1; fi
            export "${name%__FILE}=$(<"$file")"
            unset "$name"
            ;;
    esac
done < <(env)
exec grafana server --homepath="$GF_PATHS_HOME" --config="$GF_PATHS_CONFIG" --packaging=docker "$@" \
    cfg:default.log.mode=console \
    cfg:default.paths.data="$GF_PATHS_DATA" \
    cfg:default.paths.logs="$GF_PATHS_LOGS" \
    cfg:default.paths.plugins="$GF_PATHS_PLUGINS" \
    cfg:default.paths.provisioning="$GF_PATHS_PROVISIONING"

#!/bin/sh
# Installs the index templates once Elasticsearch answers. Fails at once if it refuses one, and after two minutes if it
# never answers.
set -eu
cd "$(dirname "$0")"
tries=240
until curl -fsS -o /dev/null "$ELASTICSEARCH/_cluster/health?wait_for_status=yellow&timeout=1s" 2>/dev/null; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        echo "elasticsearch-setup: no answer from $ELASTICSEARCH within two minutes" >&2
        exit 1
    fi
    sleep 0.5
done
for file in *-template.json; do
    name="${file%-template.json}-stack"
    answer=$(curl -sS -w '\n%{http_code}' -X PUT -H 'Content-Type: application/json' --data-binary "@$file" \
        "$ELASTICSEARCH/_index_template/$name")
    case "$answer" in
        *200) echo "elasticsearch-setup: template $name installed" ;;
        *) echo "elasticsearch-setup: template $name refused: $answer" >&2; exit 1 ;;
    esac
done

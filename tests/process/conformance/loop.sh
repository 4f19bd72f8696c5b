#!/bin/sh
# Create a task, poll it, take its result_url. curl and jq.
set -eu
call() { curl -fsS -H "Authorization: Bearer $AIRFORCE_API_KEY" -H "Content-Type: application/json" "$@"; }

body='{"model":"wan-2.6","prompt":"a fox in snow","duration_seconds":2}'
id=$(call -d "$body" "$AIRFORCE_BASE_URL/video/generations" | jq -er .task_id)
while :; do
    task=$(call "$AIRFORCE_BASE_URL/video/tasks/$id")
    status=$(printf %s "$task" | jq -er .status)
    case $status in
        completed) break ;;
        failed | expired) printf '%s\n' "$task" >&2 && exit 1 ;;
    esac
    sleep 0.2
done
curl -fsS "$(printf %s "$task" | jq -er .result_url)" | head -c 8 | tail -c 4
echo " $status"

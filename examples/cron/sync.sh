#!/usr/bin/env bash
# One run, from where the last one ended: tap | mapper | target. The store, state.json and states.jsonl
# lie in the current folder. Used by all examples here:
#
#     sync.sh [CONFIG …]    # default: config.json; ENV adds the environment's settings to a file's
#
# It ends with the code of the last plugin that failed; with 3 if all finished and something is left.
set -uo pipefail

options=()
for config in "${@:-config.json}"; do options+=(--config "$config"); done
state=()
if [ -s state.json ]; then state=(--state state.json); fi

tap-journeys "${options[@]}" "${state[@]}" \
  | mapper-journeys "${options[@]}" \
  | target-journeys "${options[@]}" > states.jsonl
codes=("${PIPESTATUS[@]}")

# The last whole line is the state to go on from, also after a failed run; `read` skips a torn one.
last=
while IFS= read -r line; do last=$line; done < states.jsonl
if [ -n "$last" ]; then
  printf '%s\n' "$last" > state.json.new && mv state.json.new state.json || exit 1
fi

worst=0
for code in "${codes[@]}"; do
  case $code in
    0) ;;
    3) if [ "$worst" = 0 ]; then worst=3; fi ;;
    141) if [ "$worst" = 0 ] || [ "$worst" = 3 ]; then worst=1; fi ;;  # a plugin behind it ended
    *) worst=$code ;;
  esac
done
exit "$worst"

#!/bin/sh
# An appliance on a board, for tests: `evaluate` notes when a session begins and ends, and leaves
# the archive that was prepared for it. What it is given: $EDGEMOE_WORK, $0 with prepared/ beside it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
while [ $# -gt 0 ]; do
  case $1 in
    --session) session=$2 ;;
    doctor) echo "all well"; exit "$(cat "$EDGEMOE_WORK/doctor" 2>/dev/null || echo 0)" ;;
  esac
  shift
done
mkdir -p "$EDGEMOE_WORK/results"
last=$(cat "$EDGEMOE_WORK/running" 2>/dev/null || echo none)
[ "$last" = none ] || ! kill -0 "$last" 2>/dev/null || echo "overlap $session $$" >> "$EDGEMOE_WORK/events"
echo $$ > "$EDGEMOE_WORK/running"
echo "begin $session $$" >> "$EDGEMOE_WORK/events"
echo "measuring $session"
sleep "$(cat "$EDGEMOE_WORK/duration" 2>/dev/null || echo 0.2)"
code=$(cat "$EDGEMOE_WORK/code" 2>/dev/null || echo 0)
cp "$here/prepared/$session.tar" "$EDGEMOE_WORK/results/$session.tar"
rm -f "$EDGEMOE_WORK/running"
echo "end $session $$" >> "$EDGEMOE_WORK/events"
exit "$code"

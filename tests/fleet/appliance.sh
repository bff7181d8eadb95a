#!/bin/sh
# An appliance on a board, for tests: `evaluate` notes each run in the session's own journal, as the
# real one does, goes on where the journal ends, and leaves the archive that was prepared for it.
# What it is given: $EDGEMOE_WORK with `runs`, `duration` (of one), `code` and `say`, and prepared/
# beside this file. While there is `hold` it waits. Two at once on a board are noted as an overlap,
# by a lock of their own.
set -eu
trap "" PIPE # without a reader it goes on, as the real one does
here=$(cd "$(dirname "$0")" && pwd)
setting() { cat "$EDGEMOE_WORK/$1" 2>/dev/null || echo "$2"; }
while [ $# -gt 0 ]; do
  case $1 in
    --session) session=$2 ;;
    doctor) setting say "all well"; exit "$(setting doctor 0)" ;;
  esac
  shift
done
mkdir -p "$EDGEMOE_WORK/results"
exec 9>"$EDGEMOE_WORK/measuring.lock"
flock --nonblock 9 || echo "overlap $session $$" >>"$EDGEMOE_WORK/events"
echo $$ >"$EDGEMOE_WORK/running"
echo "begin $session $$" >>"$EDGEMOE_WORK/events"
echo "measuring $session" || true
journal="$EDGEMOE_WORK/$session.runs"
touch "$journal"
done=$(wc -l <"$journal")
runs=$(setting runs 1)
while [ "$done" -lt "$runs" ]; do
  sleep "$(setting duration 0.2)" 9>&-
  while [ -e "$EDGEMOE_WORK/hold" ]; do sleep 0.1 9>&-; done
  done=$((done + 1))
  echo "run $done" >>"$journal"
  echo "$done of $runs runs" || true
done
cp "$here/prepared/$session.tar" "$EDGEMOE_WORK/results/.$session"
mv "$EDGEMOE_WORK/results/.$session" "$EDGEMOE_WORK/results/$session.tar"
rm -f "$EDGEMOE_WORK/running"
echo "end $session $$" >>"$EDGEMOE_WORK/events"
exit "$(setting code 0)"

#!/bin/sh
# template FILE [NAME=VALUE…]: print FILE with every @NAME@ replaced by its VALUE.
set -eu
. /usr/lib/shtools/log.sh
[ $# -gt 0 ] || die "which file?"
file=$1
shift
text=$(cat "$file")
for pair in "$@"; do
  text=$(printf '%s\n' "$text" | sed "s|@${pair%%=*}@|${pair#*=}|g")
done
printf '%s\n' "$text"

#!/bin/sh
# List the bucket; if an argument names an object, write that one and delete it.
# It has not the patience of a transfer, and says the one line with which rclone ends.
try() {
  what=$1
  shift
  said=$(rclone --retries 1 --low-level-retries 1 --contimeout 10s --timeout 20s --stats 0 "$@" \
    2>&1 >/dev/null) && return 0
  code=$?
  [ $code -eq 3 ] ||
    echo "$what: $(printf '%s\n' "$said" | sed -n 's/.*Failed to/failed to/p' | tail -n 1)"
  return $code
}
code=0
try 'it cannot be listed' lsf --max-depth 1 store: || code=$?
[ $# -gt 0 ] || exit $code
# 3 says that there is nothing yet.
[ $code -eq 0 ] || [ $code -eq 3 ] || exit 1
echo probe | try 'nothing can be written' rcat "store:$1" || exit 1
try 'nothing can be deleted' deletefile "store:$1" || exit 1

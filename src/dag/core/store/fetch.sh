#!/bin/sh
# Bring the files that the arguments name into the workspace, as far as the bucket has them.
# shellcheck disable=SC2154  # transfer.sh, which comes before, sets them
# shellcheck disable=SC2086  # neither a path of ours nor an architecture has a space

printf '%s\n' "$@" >$state/wanted
list || fail "cannot list $bucket"
awk 'NR == FNR { wanted[$0]; next } $0 in wanted' $state/wanted $state/listed >$state/found
count=$(wc -l <$state/found)
say "$count of $# packages are in $bucket/packages/$arch"
[ "$count" -eq 0 ] || rclone copy --files-from-raw $state/found store:$arch packages/$arch ||
  fail "cannot fetch from $bucket"

#!/bin/sh
# Both scripts that move packages begin with this; fetch.sh or upload.sh follows in the same process.
# The first five arguments are the workspace, the directory in which the build script keeps its
# files, the bucket's URL, the architecture as apk names it, and the id of the run.
# shellcheck disable=SC2034,SC2317,SC2329  # those files use what is set and defined here
# shellcheck disable=SC2086  # neither a path of ours nor an architecture has a space

set -u
workspace=$1 state=$2 bucket=$3 arch=$4 run=$5
shift 5
cd "$workspace" || exit 1
say() { echo "dag: $*"; }
fail() {
  say "$*" >&2
  [ ! -w /dev/termination-log ] || echo "$*" >/dev/termination-log
  exit 1
}
# List what the bucket has of the architecture; rclone's code 3 says that there is nothing yet.
list() {
  rclone lsf --files-only "$@" store:$arch >$state/listed
  case $? in 0) ;; 3) : >$state/listed ;; *) return 1 ;; esac
}
mkdir -p $state packages/$arch || exit 1

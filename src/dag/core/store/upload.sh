#!/bin/sh
# Upload what was built when the build has ended, and have the bucket's index know it.
# shellcheck disable=SC2154  # transfer.sh, which comes before, sets them
# shellcheck disable=SC2086  # neither a path of ours nor an architecture has a space

# Whoever ends the pod ends the build, and that is what ends this, unless it has not begun.
leaving=
trap 'leaving=yes' TERM
mkdir -p $state/index
# However this ends, nobody waits for it.
beat=
trap ': >$state/index/done; [ -z "$beat" ] || kill "$beat"' EXIT
mkfifo -m 666 $state/ended 2>/dev/null
exec 8<>$state/ended
waited=0
until [ -e $state/started ]; do
  waited=$((waited + 1))
  [ -z "$leaving" ] || fail 'the pod was ended before the build started'
  [ $waited -lt 3600 ] || fail 'the build did not start within an hour'
  sleep 1
done
exec 7<$state/ended 8>&-
{ cat <&7 >/dev/null; : >$state/gone; } &
exec 7<&-
while :; do : >$state/uploading; sleep 5; done >/dev/null 2>&1 &
beat=$!
until [ -e $state/made ] || [ -e $state/gone ]; do sleep 1; done

# A package is whole when melange has put it into its index. The main one of a build goes last: where
# it is, its subpackages are.
place=packages/$arch
: >$state/subpackages
: >$state/mains
if [ -e $place/APKINDEX.tar.gz ]; then
  tar -xzOf $place/APKINDEX.tar.gz APKINDEX 2>/dev/null >$state/index/own || : >$state/index/own
  awk -v state=$state -v place=$place '
    /^[PVo]:/ { field[substr($0, 1, 1)] = substr($0, 3) }
    function show(  file) {
      if (!("P" in field)) return
      file = field["P"] "-" field["V"] ".apk"
      if ((getline line <(place "/" file)) >= 0)
        print file >(state (field["o"] == field["P"] ? "/mains" : "/subpackages"))
      close(place "/" file)
      split("", field)
    }
    /^$/ { show() }
    END { show() }
  ' $state/index/own
else
  for apk in "$place"/*.apk; do
    [ ! -e "$apk" ] || ! gzip -t "$apk" 2>/dev/null || echo "${apk##*/}" >>$state/mains
  done
fi
cat $state/subpackages $state/mains >$state/finished
count=$(wc -l <$state/finished)
if [ "$count" -eq 0 ]; then
  say 'there are no finished packages to upload'
  exit 0
fi
for part in subpackages mains; do
  [ ! -s $state/$part ] ||
    rclone copy --checksum --files-from-raw $state/$part $place store:$arch ||
    fail "cannot upload to $bucket"
done
say "$count packages are in $bucket/packages/$arch"

# One writer of the index at a time: each lays a claim and looks for others. Of two who see each
# other both take theirs back; who sees nobody was first, because listings of buckets are consistent.
# A claim of a pod that died counts no longer after 15 minutes.
claim=
release() { [ -z "$claim" ] || rclone deletefile "store:.lock/$arch/$claim" || :; claim=; }
acquire() {
  tries=0
  while [ $tries -lt 200 ]; do
    tries=$((tries + 1))
    since=$(date +%s)
    claim=$since-$run
    echo "$run" | rclone rcat "store:.lock/$arch/$claim" || fail "cannot write to $bucket"
    rclone lsf --files-only store:.lock/$arch >$state/claims || { release; fail "cannot list $bucket"; }
    others=$(awk -F- -v own="$claim" -v oldest=$((since - 900)) \
      '$0 != own && $1 > oldest' $state/claims)
    [ -n "$others" ] || return 0
    release
    sleep "$(awk -v seed="$(date +%s)$tries" 'BEGIN { srand(seed); print 1 + int(rand() * 8) }')"
  done
  fail "others hold the index of $bucket: $others"
}
acquire
list --include /APKINDEX.tar.gz || { release; fail "cannot list $bucket"; }
if [ -s $state/listed ]; then
  rclone copyto store:$arch/APKINDEX.tar.gz $state/index/current.tar.gz ||
    { release; fail "cannot read the index of $bucket"; }
fi
# The build's container has the key: it merges and signs.
: >$state/index/asked
until [ -e $state/index/merged.tar.gz ] || [ -e $state/index/failed ] || [ -e $state/gone ]; do
  sleep 1
done
lost='the packages are uploaded, but the index of the bucket is as it was'
[ -e $state/index/merged.tar.gz ] || {
  release
  [ -e $state/index/failed ] || fail "$lost: the container with the key was killed before it could sign"
  fail "$lost: melange could not merge it, see the end of the build's log"
}
[ $(($(date +%s) - since)) -lt 600 ] || { release; fail "$lost: it took longer than a claim holds"; }
rclone copyto $state/index/merged.tar.gz store:$arch/APKINDEX.tar.gz || { release; fail "$lost"; }
release
say "the index of $bucket/packages/$arch has them"

#!/bin/sh
# Run a step of melange without a network, with the real bwrap, and say what a failed step lacked.
# Beside the directory of this program, links lead to that bwrap and to the cache of the sources.
here=${0%/*}/..
for step; do :; done
"$here/bwrap" --unshare-net "$@"
code=$?
# What is no step is a look of melange's own, and may well fail.
case $code:$step in 0:* | *:true | *:/etc/os-release) exit "$code" ;; esac
say() { echo "dag: --hermetic: $*" >&2; }
found() { printf '%s\n' "$step" | sed -n "$1"; }
lacks() { say "$1 wants $2, which is not in the cache: run dag cache; a pod gets it by --cache-bundle"; }
say "a step failed that had no network (exit code $code)"
name=$(found 's|^[[:space:]]*fn="/var/cache/melange/\(sha[0-9]*:[0-9a-f]\{64,\}\)"$|\1|p')
uri=$(found "s|^[[:space:]]*wget .* '\([^']*\)'\$|\1|p")
if [ -n "$name" ] && [ -n "$uri" ] && [ ! -f "$here/cache/$name" ]; then
  lacks fetch "$uri ($name)"
fi
uri=$(found '/^main \\$/{n;s|^[[:space:]]*"\([^"]*\)".*|\1|p;}')
[ -n "$uri" ] || exit "$code"
grep -qsF "remote.*.url:$uri\"]" "$here/cache/gitconfig" || lacks git-checkout "$uri"
exit "$code"

#!/bin/sh
# Look for the tools of a build, of which the argument names melange, and try a sandbox.
for tool in make "$1" bwrap; do
  command -v "$tool" >/dev/null || { echo "it has no $tool"; exit 1; }
done
bwrap --bind / / --dev /dev --proc /proc --unshare-pid --die-with-parent true 2>&1 || exit 1

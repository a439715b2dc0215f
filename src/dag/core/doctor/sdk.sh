#!/bin/sh
# Look for the tools of a build, of which the first argument names melange, and run the others, which
# try a step.
for tool in make "$1" bwrap; do
  command -v "$tool" >/dev/null || { echo "it has no $tool"; exit 1; }
done
shift
"$@" 2>&1 || exit 1

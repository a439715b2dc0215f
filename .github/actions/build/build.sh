#!/bin/bash
# Build what has changed in $DIRECTORY since the commit $SINCE, or everything if that is unknown.
# dag itself writes the step's summary and the annotations.
set -euo pipefail
reports=$(mktemp -d "${RUNNER_TEMP:-/tmp}/dag-XXXXXX")
{
  echo "markdown=$reports/dag.md"
  echo "junit=$reports/dag.xml"
} >>"$GITHUB_OUTPUT"
cd "$DIRECTORY"
set -- --arch "$BUILD_ARCH" --markdown "$reports/dag.md" --junit "$reports/dag.xml"
if [ -n "$SINCE" ] && git cat-file -e "$SINCE^{commit}" 2>/dev/null; then
  set -- "$@" --since "$SINCE"
else # a new branch, or a checkout without the history
  echo "::notice::The commit to compare with is not known, so everything is built."
fi
# shellcheck disable=SC2086  # each word is a flag
exec dag build "$@" ${BUILD_FLAGS-}

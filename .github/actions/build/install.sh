#!/bin/bash
# Install dag from the checkout that this action is in, and the programs that it builds with.
set -euo pipefail
pip install --quiet "$(dirname "$0")/../../.."
if ! command -v bwrap >/dev/null; then
  sudo apt-get update -qq
  sudo apt-get install -y -qq bubblewrap
fi
# Ubuntu permits no user namespaces to programs that it does not know, and steps are confined by them.
if [ -e /proc/sys/kernel/apparmor_restrict_unprivileged_userns ]; then
  sudo sysctl -q -w kernel.apparmor_restrict_unprivileged_userns=0
fi
if [ -n "${MELANGE_VERSION-}" ]; then
  go install "chainguard.dev/melange@$MELANGE_VERSION"
  echo "$(go env GOPATH)/bin" >>"$GITHUB_PATH"
fi

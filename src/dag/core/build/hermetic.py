"""Steps of a build without network: a `bwrap` that stands before the real one in PATH.

melange runs each step with the first `bwrap` that it finds, and keeps its own network, for package
repositories. Ours takes the network away, and when a step fails it says what that step wanted and
did not find in the cache: it reads this off the step's script, which is the last argument, as
melange's own pipelines write it
(https://github.com/chainguard-dev/melange/tree/v0.56.0/pkg/build/pipelines).
"""

from __future__ import annotations

import shlex
from string import Template

from dag.core.sources.gitconfig import CONFIG_NAME

HERMETIC = "dag: --hermetic: "
"""How its lines begin, after what melange writes before them."""

_BWRAP = Template(r"""
for step; do :; done
"$$real" --unshare-net "$$@"
code=$$?
# What is no step is a look of melange's own, and may well fail.
case $$code:$$step in 0:* | *:true | *:/etc/os-release) exit "$$code" ;; esac
say() { echo "$say$$*" >&2; }
found() { printf '%s\n' "$$step" | sed -n "$$1"; }
lacks() { say "$$1 wants $$2, which is not in the cache: run dag cache; a pod gets it by --cache-bundle"; }
say "a step failed that had no network (exit code $$code)"
name=$$(found 's|^[[:space:]]*fn="/var/cache/melange/\(sha[0-9]*:[0-9a-f]\{64,\}\)"$$|\1|p')
uri=$$(found "s|^[[:space:]]*wget .* '\([^']*\)'\$$|\1|p")
if [ -n "$$name" ] && [ -n "$$uri" ] && [ ! -f $cache/"$$name" ]; then
  lacks fetch "$$uri ($$name)"
fi
uri=$$(found '/^main \\$$/{n;s|^[[:space:]]*"\([^"]*\)".*|\1|p;}')
[ -n "$$uri" ] || exit "$$code"
grep -qsF "remote.*.url:$$uri\"]" $cache/$config || lacks git-checkout "$$uri"
exit "$$code"
""")

_PREPARE = Template(r"""
real=$$(command -v bwrap) || refuse 'this image has no bwrap, which --hermetic needs: see --sdk-image'
rm -rf $state/bin && mkdir $state/bin && {
  printf '#!/bin/sh\nreal=%s\n' "$$real"
  cat <<'END'
$bwrap
END
} >$state/bin/bwrap && chmod 755 $state/bin/bwrap || refuse "no file can be made in $state"
export PATH="$$(cd $state/bin && pwd):$$PATH"
""")


def prepare_script(state: str, cache_dir: str) -> str:
    """Write the part of a build script that puts our `bwrap` into PATH.

    `state` is a directory of the build's own; the script has a function `refuse`.
    """
    bwrap = _BWRAP.substitute(say=HERMETIC, cache=shlex.quote(cache_dir), config=CONFIG_NAME)
    return _PREPARE.substitute(state=state, bwrap=bwrap.strip()).strip()

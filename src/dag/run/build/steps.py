"""Whether the steps of a build can be confined on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dag.core.build.proxies import ProxyOptions, proxies_here, proxies_of_steps
from dag.core.build.scripts import check_script
from dag.core.package.makefile import Makefile
from dag.core.package.owncalls import OwnCall
from dag.errors import InfrastructureError, UsageError
from dag.io.proxies import proxy_variable
from dag.run.build.process import words_to_be_alone
from dag.run.build.tools import melange_here

_KEPT = (
    *("PATH", "HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    "HTTP_AUTH",
)
"""The variables of the user's environment that make gets, besides those of proxies; no Makefile takes
them for its own."""
_OURS = "dag: "
"""How the script begins what it says itself."""


def environment_of_builds(options: ProxyOptions) -> dict[str, str]:
    """Return the whole environment of the processes of a build."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, **proxies_here(options, os.environ), "LC_ALL": "C.UTF-8"}


PROXY_REMEDY = "`dag cache` fetches sources through it before a build, or --proxy names one without"
"""What to do for steps that do not get a proxy because it has a login."""


def kept_from_steps(environment: Mapping[str, str]) -> str:
    """Return in words which proxies of a build its steps do not get; empty if they get all."""
    kept = environment.keys() - proxies_of_steps(environment).keys()
    names = [f"${name}" for kind in ("http", "https") if (name := proxy_variable(kind)) in kept]
    if not names:
        return ""
    return f"steps do not get the proxy that {' and '.join(names)} names, because it has a login"


def require_usable_place(root: Path) -> None:
    """Check that units can be built below `root`, the directory of a store.

    Raises:
        UsageError: PATH or make cannot name what is there.

    """
    for character, who in ((":", "PATH"), ("\n", "make")):
        if character in str(root):
            what = "a colon" if character == ":" else "a line break"
            raise UsageError(
                f"nothing can be built in {root}: {who} cannot name a directory with {what} in its path",
                hint="name another directory with --store",
            )


def require_confined_steps(environment: Mapping[str, str]) -> None:
    """Run a step that does nothing, with the whole environment of a build.

    Raises:
        InfrastructureError: it cannot be confined; the message says what is missing, and what to do.

    """
    said = _try_step(words_to_be_alone(), environment)
    if said is None:
        return
    if not said.startswith(_OURS):
        # What keeps a unit apart was refused: the script knows better what would do.
        said = _try_step((), environment) or (
            f"steps cannot be confined here ({said}): build where new process ids and mounts are"
            " allowed, or trust all steps with --trust-steps"
        )
    raise InfrastructureError(said.removeprefix(_OURS))


def require_known_calls(makefile: Makefile, directory: Path, make_vars: Iterable[str]) -> None:
    """Check that recipes which do not call $(MELANGE) get to where steps are confined.

    `directory` has the Makefile, and `make_vars` are the user's own assignments for make.

    Raises:
        UsageError: one of them would not get there.

    """
    melange = Path(melange_here(make_vars))
    for call in makefile.own_calls:
        if why := _way_around(call, directory, melange):
            raise UsageError(
                f"{call.place}: steps would not be confined, because this recipe {why}",
                hint="let it call $(MELANGE) instead, or trust all steps with --trust-steps",
            )


def _way_around(call: OwnCall, directory: Path, melange: Path) -> str:
    if call.by:
        return f"calls melange by {call.by}, which gives it another PATH"
    path = directory / call.path
    if path.is_file() and melange.is_file() and not path.samefile(melange):
        return f"calls {call.path}, which is not the melange in PATH"
    for first in call.first:
        if shutil.which("bwrap", path=os.fspath(directory / first)):
            return f"looks for programs in {first} first, which has a bwrap of its own"
    return ""


def _try_step(before: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Return the last words of a check that failed, behind the words `before`."""
    with tempfile.TemporaryDirectory(prefix="dag-") as directory:
        done = subprocess.run(
            [*before, *check_script(directory).command()],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            process_group=0,
        )
    if done.returncode == 0:
        return None
    return (done.stderr.strip() or f"the check ended with {done.returncode}").splitlines()[-1]

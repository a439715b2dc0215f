"""Whether the steps of a build can be confined on this machine."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping

from dag.core.build.scripts import check_script
from dag.errors import InfrastructureError
from dag.run.build.process import words_to_be_alone


def require_confined_steps(environment: Mapping[str, str]) -> None:
    """Run a step that does nothing, with the whole environment of a build.

    Raises:
        InfrastructureError: it cannot be confined; the message says what is missing, and what to do.

    """
    with tempfile.TemporaryDirectory(prefix="dag-") as directory:
        done = subprocess.run(
            [*words_to_be_alone(), *check_script(directory).command()],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            process_group=0,
        )
    if done.returncode != 0:
        last = (done.stderr.strip() or "the check ended without a word").splitlines()[-1]
        raise InfrastructureError(last.removeprefix("dag: "))

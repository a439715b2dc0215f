"""Find, ask and run the user's own programs, such as gcloud and kind."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from dag.core.setup.steps import ABSENT_WORDS
from dag.errors import InfrastructureError

_HINTS = {
    "gcloud": "install the Google Cloud CLI: https://cloud.google.com/sdk/docs/install",
    "kind": "install kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    "docker": "install Docker: https://docs.docker.com/get-started/get-docker/",
}
_ABSENT = re.compile(ABSENT_WORDS, re.IGNORECASE)
_TAIL = 5
"""Lines of its output that tell why a program failed."""


@dataclass(frozen=True, slots=True)
class ProgramAnswer:
    """The lines of a program's stdout, or the reason of its failure."""

    lines: tuple[str, ...]
    failure: str | None = None

    @property
    def is_unsure(self) -> bool:
        """Return whether it failed for another reason than that the thing does not exist."""
        return self.failure is not None and not _ABSENT.search(self.failure)


def require(names: Sequence[str]) -> None:
    """Check that programs are in PATH.

    Raises:
        InfrastructureError: one of them is not.

    """
    for name in names:
        if shutil.which(name) is None:
            raise InfrastructureError(f"{name} is not installed", hint=_HINTS.get(name))


async def ask(argv: Sequence[str], env: Mapping[str, str]) -> ProgramAnswer:
    """Run a program that changes nothing, and return what it prints."""
    async with _running(argv, env, stderr=asyncio.subprocess.PIPE) as process:
        out, err = await process.communicate(b"")
    lines = tuple(out.decode(errors="replace").splitlines())
    if process.returncode == 0:
        return ProgramAnswer(lines)
    words = err.decode(errors="replace").strip()
    return ProgramAnswer((), words or f"it ended with exit code {process.returncode}")


async def run(
    argv: Sequence[str], stdin: str, env: Mapping[str, str], tell: Callable[[str], None]
) -> str | None:
    """Run a program, tell each line that it writes, and return its last lines if it failed."""
    tail: deque[str] = deque(maxlen=_TAIL)
    async with _running(argv, env, stderr=asyncio.subprocess.STDOUT) as process:
        assert process.stdin is not None  # noqa: S101  # they are pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(stdin.encode())
        process.stdin.close()
        async for line in process.stdout:
            tail.append(line.decode(errors="replace").rstrip())
            tell(tail[-1])
        code = await process.wait()
    if code == 0:
        return None
    return "\n".join(tail) or f"it ended with exit code {code}"


@asynccontextmanager
async def _running(
    argv: Sequence[str], env: Mapping[str, str], *, stderr: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a program, which ends with the caller, also when that is interrupted."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, env={**os.environ, **env}, stdin=pipe, stdout=pipe, stderr=stderr
        )
    except FileNotFoundError:
        require(argv[:1])
        raise
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()

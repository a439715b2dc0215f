"""git as a process that asks nobody, logs in only if it may, ends in time, and cannot fill the disk."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dag.core.limits import GIT_OUTPUT
from dag.core.units import size_words
from dag.core.web import PROXY_LOGIN, redact
from dag.errors import InfrastructureError
from dag.io.retries import MayHeal
from dag.io.sources.git.environment import environment
from dag.io.sources.git.work import work_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.logAllRefUpdates": "false",
    "credential.interactive": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # What comes stays the one pack that it came as, which index-pack has hashed.
    "fetch.unpackLimit": "1",
    "fetch.writeCommitGraph": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.prune": "false",
    "fetch.pruneTags": "false",
    "submodule.recurse": "false",
    "pack.writeReverseIndex": "false",
}
BLOCK = 512
"""Bytes of a block, in which a shell counts the size of files."""
_LIMITED = """\
{ ulimit -d "$1"; ulimit -f "$2"; } 2>/dev/null
shift 2
exec "$@"
"""
"""Limits the memory, in KiB, and the size of files, in blocks, of git and all that it starts.

Files that are mapped do not count as memory.
"""
_SLOWEST = 1000
"""Bytes a second that are no stall."""
_TAIL = 16 * 1024
"""Bytes of its messages that are kept; the last ones say why git ended."""
_WILL_STAY = re.compile(
    r"not found|couldn't find remote ref|Authentication failed|could not read (?:Username|Password)"
    r"|does not exist|SSL certificate|certificate verification|not our ref|unadvertised object"
    r"|access denied|does not appear to be a git|Host key verification failed"
    r"|transport '\w+' not allowed|unsupported URL protocol|redirect|not valid: is this a git"
    r"|does not support shallow|(?:response|returned error:) 4(?!08|29)\d\d|Permission denied|No space left",
    re.IGNORECASE,
)
_CERTIFICATE = re.compile(r"SSL certificate|certificate verification", re.IGNORECASE)
_PROXY_WANTS_LOGIN = re.compile(r"(?:response|returned error:) 407")
_WANTS_LOGIN = re.compile(r"Authentication failed|could not read (?:Username|Password)")
_LEADS_ELSEWHERE = re.compile(
    r"unable to update url base from redirection:\s+asked for: \S+\s+redirect: (\S+)"
)
_STAYED = re.compile(r"returned error: 30[1-8]")
"""git followed nowhere: `environment` keeps it from that where headers of the user are sent, and git itself
follows only with its first request."""
_KIND = re.compile(r"<= Recv header: content-type: *([^\s;]+)", re.IGNORECASE)
"""How git shows what kind of answer came: https://git-scm.com/docs/git#Documentation/git.txt-GITCURLVERBOSE"""
_NO_MEMORY = re.compile(r"Out of memory|Cannot allocate memory")


class GitFailed(MayHeal):  # becomes a SourceProblem
    """git ended with an error; `heals` says whether asking again may help."""

    def __init__(self, message: str, *, heals: bool) -> None:
        super().__init__(message)
        self.heals = heals


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLimits:
    """Bounds on what git may take. Times in seconds, sizes in bytes."""

    timeout: float = 3600.0
    """How long one command may take."""
    stall: float = 60.0
    """A command that for so long neither reads a kilobyte a second nor computes has failed."""
    max_size: int = 8 << 30
    """The size of one file, that is, of one transfer's pack."""
    memory: int = 4 << 30
    """The memory of one process: git keeps all that a server says of its branches and tags."""

    @property
    def blocks(self) -> int:
        """Return the size of one file in blocks, as a shell limits it."""
        return self.max_size // BLOCK


class Git:
    """A bare repository in which git is run."""

    def __init__(self, directory: Path, limits: GitLimits, *, credentials: bool = False) -> None:
        """Take the repository, which need not be there yet.

        Only with `credentials` may git log in somewhere, as the user would with it.
        """
        self.directory = directory
        self.limits = limits
        self._credentials = credentials

    async def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run a command and return what it wrote.

        Raises:
            GitFailed: it ended with an error, or did not end.
            InfrastructureError: there is no git.

        """
        output, _ = await self._run(arguments, stdin, {})
        return output

    async def require_no_page(self, uri: str) -> None:
        """Refuse a server that sends a web page where git asks for branches and tags.

        git takes it for a server of its oldest protocol that has none of them.

        Raises:
            GitFailed: that is so, or the server cannot be asked.
            InfrastructureError: there is no git.

        """
        _, told = await self._run(("ls-remote", "--", uri), b"", {"GIT_CURL_VERBOSE": "1"})
        if {kind.lower() for kind in _KIND.findall(told)} == {"text/html"}:
            what = "git fetch: a web page came in the place of the repository"
            raise GitFailed(f"{what}{self._page_hint}", heals=False)

    @property
    def _page_hint(self) -> str:
        login = "" if self._credentials else "; --credentials logs in as you would"
        return f": is the URL right? Open it in a browser: it may want a login{login}"

    async def _run(
        self, arguments: Sequence[str], stdin: bytes, more: Mapping[str, str]
    ) -> tuple[bytes, str]:
        """Run a command with `more` in its environment; return its output, and the end of its messages."""
        options = [word for item in _SETTINGS.items() for word in ("-c", "=".join(item))]
        around = environment(credentials=self._credentials)
        if not shutil.which("git", path=around.get("PATH")):
            raise InfrastructureError(
                "git is not installed", hint="git-checkout steps need it; install git"
            )
        limits = (str(self.limits.memory >> 10), str(self.limits.blocks))
        command = ["git", "--git-dir", str(self.directory), *options, *arguments]
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", _LIMITED, "sh", *limits, *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**around, **more},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self.limits.timeout):
                output, errors = await self._attend(process, stdin)
                code = await process.wait()
        except TimeoutError:
            message = f"git did not end in {self.limits.timeout:g} s"
            raise GitFailed(message, heals=True) from None
        finally:
            await _kill(process)
        if code and _NO_MEMORY.search(errors):
            most = size_words(self.limits.memory)
            raise GitFailed(
                f"git {arguments[0]}: it needed more than {most} of memory", heals=False
            )
        if code and (found := _LEADS_ELSEWHERE.search(errors)):
            what = f"the server leads to {redact(found[1])}, which is no repository"
            raise GitFailed(f"git {arguments[0]}: {what}{self._page_hint}", heals=False)
        if code and _STAYED.search(errors):
            what = "the server leads elsewhere, and git follows neither with headers of yours nor within a fetch"
            raise GitFailed(
                f"git {arguments[0]}: {what}: name the URL that it leads to", heals=False
            )
        if code:
            raise _failure(code, errors, arguments, has_login=self._credentials)
        return output, errors

    async def _attend(self, process: asyncio.subprocess.Process, stdin: bytes) -> tuple[bytes, str]:
        stall = self.limits.stall
        talking = asyncio.create_task(_communicate(process, stdin))
        before = -1
        try:
            while not (await asyncio.wait([talking], timeout=stall))[0]:
                now = work_of(process.pid)
                if abs(now - before) < _SLOWEST * stall:
                    raise GitFailed(f"it stalled: nothing came in {stall:g} s", heals=True)
                before = now
            return talking.result()
        finally:
            talking.cancel()

    async def line(self, *arguments: str) -> str:
        """Run a command that writes one line, and return that."""
        return (await self.run(*arguments)).decode().strip()

    async def succeeds(self, *arguments: str) -> bool:
        """Return whether a command that is a question answers yes."""
        try:
            await self.run(*arguments)
        except GitFailed:
            return False
        return True


async def _communicate(process: asyncio.subprocess.Process, stdin: bytes) -> tuple[bytes, str]:
    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018  # all are pipes
    process.stdin.write(stdin)
    with suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.drain()
    process.stdin.close()
    # A server's words come through stderr: only their end is kept, however many there are.
    output, errors = await asyncio.gather(_read_output(process.stdout), _read_end(process.stderr))
    return output, errors.decode(errors="replace")


async def _read_output(stream: asyncio.StreamReader) -> bytes:
    pieces, size = [], 0
    while data := await stream.read(1 << 16):
        size += len(data)
        if size > GIT_OUTPUT.most:
            raise GitFailed(str(GIT_OUTPUT.error("git")), heals=False)
        pieces.append(data)
    return b"".join(pieces)


async def _read_end(stream: asyncio.StreamReader) -> bytes:
    end = b""
    while data := await stream.read(1 << 16):
        end = (end + data)[-_TAIL:]
    return end


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # git's helpers are in its session: all of them end.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _failure(code: int, errors: str, arguments: Sequence[str], *, has_login: bool) -> GitFailed:
    lines: list[str] = []
    for line in filter(None, map(str.strip, errors.splitlines())):
        if lines and lines[-1].endswith(":"):  # the next line says it
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    # The first says what happened, those after it what came of it.
    text = "; ".join(dict.fromkeys(line.partition(":")[2].strip() for line in telling[:2]))
    text = re.sub(r"[a-z+]+://\S+", lambda found: redact(found[0]), text)
    message = f"git {arguments[0]}: {text[:500] or f'exit {code}'}"
    if _CERTIFICATE.search(errors):
        message += ": if it is the right server, $GIT_SSL_CAINFO must name a file with its CA"
    elif _PROXY_WANTS_LOGIN.search(errors):
        message += f": {PROXY_LOGIN}"
    elif _WANTS_LOGIN.search(errors) and not has_login:
        message += ": --credentials logs in as you would, if that repository exists"
    return GitFailed(message, heals=not _WILL_STAY.search(errors))

"""The scripts that run where a build runs: in the containers of a pod, and in a local workspace.

They are POSIX and run under dash and busybox alike. Each target of make is an argument of its own,
because one argument may hold only 128 KiB and the targets of a distribution are more.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dag.core.arch import Arch
from dag.core.package.makeassignments import split_assignment
from dag.core.package.makefile import KEY, KeyMaker
from dag.core.shell import ShellScript, script_text
from dag.core.sources.gitconfig import ENV_FILE, ENV_NAME
from dag.errors import UsageError

SCRIPT_STATE = "/tmp/.dag"  # noqa: S108  # the volume of one Pod
"""The directory in which the build script of a pod keeps its log and its pipes."""
OUT_PORT = 8017
"""The port on which a pod serves its workspace."""
OUT_SECONDS = 900
"""Seconds that a pod waits after its build for a client that copies the workspace."""
REFUSED = 3
"""The exit code of a build script that did not begin: the image or the workspace is unfit."""

MADE_NOTHING = "make made no package"
"""The termination message of a build that ended well and made no package."""

MELANGE = "/usr/bin/melange"
"""The path of melange in an SDK image."""

_PACKAGE = "dag.core.build"
# What make and the shell behind it leave alone in a word of MELANGE_EXTRA_OPTS.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~-]+")
_TRAILER = re.compile(
    r"dag: end of log: ([0-9]{1,18}) lines, ([0-9]{1,18}) bytes, exit ([0-9]{1,3})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeVariables:
    """The assignments on make's command line, where they win over the Makefile's own `:=`."""

    arch: Arch
    source_date_epoch: int
    """The time of the last commit, in seconds since 1970."""
    cache_dir: str
    melange: str = MELANGE
    melange_dir: str = "/usr/share/melange"
    key: str = KEY
    repositories: Sequence[str] = ()
    """URLs, or paths below the workspace, from which melange takes packages, too."""
    keyrings: Sequence[str] = ()
    pipeline_dirs: Sequence[str] = ()
    """Directories of pipelines that melange searches after those that the Makefile names."""
    build_options: Sequence[str] = ()
    """The options of definitions that melange enables."""
    melange_flags: Sequence[str] = ()
    """More words for melange: what `[melange]` of `dag.toml` adds to the Makefile's call."""
    files: Sequence[str] = ()
    """Assignments that tell dag's own Makefile where definitions are."""
    more: Sequence[str] = ()
    """The user's own `NAME=VALUE`. They win over ours, but MELANGE_EXTRA_OPTS is added to ours."""

    def words(self) -> list[str]:
        """Return the assignments as arguments of make, with MELANGE_EXTRA_OPTS last.

        Raises:
            UsageError: one of the user's is no assignment, or a value has a line break.

        """
        options = ["--cache-dir", self.cache_dir]
        for repository in self.repositories:
            options += ["--repository-append", repository]
        for keyring in self.keyrings:
            options += ["--keyring-append", keyring]
        for directory in self.pipeline_dirs:
            options += ["--pipeline-dirs", directory]
        for name in self.build_options:
            options += ["--build-option", name]
        options += self.melange_flags
        extra = [_option_word(option) for option in options]
        assignments = {
            "MELANGE": self.melange,
            "MELANGE_DIR": self.melange_dir,
            "KEY": self.key,
            "ARCH": self.arch.apk,
            "REPO": "./packages",
            "SOURCE_DATE_EPOCH": str(self.source_date_epoch),
            "MELANGE_RUNNER": "bubblewrap",
            **dict(file.split("=", 1) for file in self.files),
        }
        for assignment in self.more:
            name, value = split_assignment(assignment)
            if name == "MELANGE_EXTRA_OPTS":
                extra.append(value)
            else:
                assignments[name] = value
        assignments["MELANGE_EXTRA_OPTS"] = " ".join(extra)  # a new key, so it stays the last
        words = [f"{name}={value}" for name, value in assignments.items()]
        for word in words:
            if "\n" in word:
                raise UsageError(f"make cannot take {word!r}, because it has a line break")
        return words


def melange_of(more: Iterable[str], otherwise: str = MELANGE) -> str:
    """Return the path of the melange that make is to call, given the user's own assignments."""
    return _assigned_value(more, "MELANGE", otherwise)


def key_of(more: Iterable[str], otherwise: str) -> str:
    """Return the path of the key that make is told of, given the user's own assignments."""
    return _assigned_value(more, "KEY", otherwise)


def _assigned_value(more: Iterable[str], name: str, otherwise: str) -> str:
    return dict(map(split_assignment, more)).get(name, otherwise)


def _option_word(word: str) -> str:
    # The word passes through make, for which each `$` is doubled, and through a recipe's shell, for
    # which it is quoted.
    return word if _PLAIN.fullmatch(word) else shlex.quote(word).replace("$", "$$")


def build_script(
    variables: MakeVariables,
    *,
    key_maker: KeyMaker,
    makefile: str = "",
    keep_going: bool = False,
    mounted_key: str | None = None,
    confined: bool = False,
    hermetic: bool = False,
    trust_steps: bool = False,
    check_steps: bool = False,
    check_path: bool = False,
    pipes: Sequence[str] = (),
    path: str = "",
    state: str = SCRIPT_STATE,
) -> ShellScript:
    """Return the script of a build; it runs in the workspace, and its arguments are the targets.

    It has the throwaway key made by `key_maker`, or copies the one at `mounted_key` to
    `variables.key`. It makes what lies in `packages/` count as built, runs make, and forwards SIGTERM
    to it. It ends with the exit code of make; or with `REFUSED`, and then the reason is in
    the container's termination message, where `MADE_NOTHING` is if make ended well and made no package.
    `makefile` is the text of dag's own Makefile if make is to take that, and not the one in the
    workspace.

    The last line tells how many lines and bytes the log before it has (see `read_trailer`): the API
    server serves only the newest file of a rotated log, so a loss could not be seen from outside.

    melange runs each step with the first `bwrap` in PATH, so a `bwrap` of ours stands before the
    real one. It gives steps the proxies of the environment that have no login, unless they have no
    network, and leads git to the repositories of the cache; trusted steps may be run by another program,
    so there melange does that. Unless all steps are trusted, it gives each a user namespace of its own
    and, of the cache, what the step names; it reads this off the step's script, which is the last
    argument, as melange's own pipelines write it
    (https://github.com/chainguard-dev/melange/tree/v0.56.0/pkg/build/pipelines). With `check_steps`
    the script refuses to build where this cannot be had. With `hermetic` steps have no network, and
    when one fails, ours says what it wanted and did not find in the cache; melange keeps its own
    network for package repositories. With `check_path`, for a Makefile that does not call $(MELANGE),
    make is asked first whether its recipes find our bwrap. With `confined` the script refuses to build
    outside of a user namespace.

    It holds `pipes`, which are two at most, open until it ends, whatever ends it, and writes a line
    into each: another container sees by that when it begins and when it has ended. It waits until
    those have them open, too. If it ends by itself, the last line there is `exit CODE`.

    Programs are looked for in the directory `path` first.

    Raises:
        UsageError: a variable contradicts another flag, or it is no assignment.

    """
    words = variables.words()
    if not trust_steps and "MELANGE_RUNNER=bubblewrap" not in words:
        raise UsageError(
            "steps are confined by melange's runner bubblewrap, and MELANGE_RUNNER is set to another",
            hint="take it out of --make-var and of [make] in dag.toml, or trust all steps with"
            " --trust-steps",
        )
    if trust_steps and hermetic:
        raise UsageError(
            "--hermetic and --trust-steps exclude each other: steps without a network are confined"
        )
    signing_key = key_of(variables.more, variables.key)
    arguments = [
        f"--state={state}",
        f"--arch={variables.arch.apk}",
        f"--melange={melange_of(variables.more, variables.melange)}",
        f"--signing-key={signing_key}",
        *(f"--make={word}" for word in words),
        f"--cache={variables.cache_dir}",
        f"--key={signing_key if mounted_key is None else variables.key}",
    ]
    if makefile:
        arguments.append(f"--makefile={makefile}")
    if mounted_key is not None:
        arguments.append(f"--mounted-key={mounted_key}")
    elif key_maker is not KeyMaker.NOBODY:
        arguments.append("--make-key" if key_maker is KeyMaker.RULE else "--generate-key")
    arguments.append(bwrap_argument())
    if trust_steps:
        option = f" --env-file {_option_word(f'{state}/{ENV_NAME}')}"
        arguments += [f"--git-env={ENV_FILE.strip()}", f"--env-option={option}"]
    flags = {
        "--trusted": trust_steps,
        "--hermetic": hermetic,
        "--check-steps": check_steps and not trust_steps,
        "--check-path": check_path and not trust_steps,
        "--keep-going": keep_going,
        "--confined": confined,
    }
    arguments += [flag for flag, is_set in flags.items() if is_set]
    arguments += [f"--pipe={pipe}" for pipe in pipes]
    arguments += [f"--path={path}"] if path else []
    return ShellScript(script_text(_PACKAGE, "build"), (*arguments, "--"))


def script_file(arguments: Iterable[str]) -> str:
    """Return the build script as a file that needs no arguments."""
    words = " ".join(shlex.quote(word) for word in arguments)
    return f"set -- {words}\n{script_text(_PACKAGE, 'build')}"


def check_script(state: str) -> ShellScript:
    """Return the script that only tries whether steps can be confined where it runs.

    If not, it ends with `REFUSED`, and its last line says what is missing, and what to do.
    """
    arguments = (f"--state={state}", bwrap_argument(), "--check-only", "--")
    return ShellScript(script_text(_PACKAGE, "build"), arguments)


def bwrap_argument() -> str:
    """Return the argument of the build script with the script that runs steps."""
    return f"--bwrap={script_text(_PACKAGE, 'bwrap')}"


@dataclass(frozen=True, slots=True)
class Trailer:
    """The size of its own log as the build script counted it, and the exit code of make.

    Carriage returns are not counted.
    """

    lines: int
    bytes: int
    exit_code: int


def read_trailer(line: str) -> Trailer | None:
    """Read the last line of the build script; return None if `line` is another line."""
    match = _TRAILER.fullmatch(line)
    return Trailer(*map(int, match.groups())) if match else None

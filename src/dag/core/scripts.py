"""The POSIX sh that runs where a build runs: in the pod's containers, and in a local workspace.

Everything that comes from outside is quoted here and nowhere else. The scripts run under dash and
busybox alike; make's targets are the positional parameters, because one argument may hold only
128 KiB and a distribution's targets are more.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

from dag.core.arch import Arch
from dag.errors import UsageError

KEY = "melange.rsa"
STATE = ".dag"
"""Where the build script keeps its log and pipe, below the workspace."""
OUT_PORT = 8017
REFUSED = 3
"""Exit code of a build script that did not begin: the image or the workspace is not fit."""

_VARIABLE = re.compile(r"[^\s:#=+?!$]+")
# What make and the shell behind it leave alone in a word of MELANGE_EXTRA_OPTS.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~-]+")
_TRAILER = re.compile(r"dag: end of log: (\d+) lines, (\d+) bytes, exit (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeVariables:
    """What make is told on its command line, where it wins over the Makefile's own `:=`."""

    arch: Arch
    source_date_epoch: int
    """Seconds since 1970: the time of the last commit."""
    cache_dir: str
    melange: str = "/usr/bin/melange"
    melange_dir: str = "/usr/share/melange"
    key: str = KEY
    repositories: Sequence[str] = ()
    """URLs or paths below the workspace that melange also takes packages from."""
    keyrings: Sequence[str] = ()
    more: Sequence[str] = ()
    """The user's own `NAME=VALUE`; MELANGE_EXTRA_OPTS is added to ours, others win over ours."""

    def words(self) -> list[str]:
        """Give the assignments as arguments of make."""
        options = ["--cache-dir", self.cache_dir]
        for repository in self.repositories:
            options += ["--repository-append", repository]
        for keyring in self.keyrings:
            options += ["--keyring-append", keyring]
        extra = [_option_word(option) for option in options]
        assignments = {
            "MELANGE": self.melange,
            "MELANGE_DIR": self.melange_dir,
            "KEY": self.key,
            "ARCH": self.arch.apk,
            "REPO": "./packages",
            "SOURCE_DATE_EPOCH": str(self.source_date_epoch),
            "MELANGE_RUNNER": "bubblewrap",
        }
        for assignment in self.more:
            name, value = split_assignment(assignment)
            if name == "MELANGE_EXTRA_OPTS":
                extra.append(value)
            else:
                assignments[name] = value
        assignments["MELANGE_EXTRA_OPTS"] = " ".join(extra)
        return [f"{name}={value}" for name, value in assignments.items()]


def split_assignment(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`.

    Raises:
        UsageError: there is no `=`, or NAME is nothing that make takes for a variable.

    """
    name, equals, value = text.partition("=")
    if not equals or not _VARIABLE.fullmatch(name):
        raise UsageError(f"{text!r} is no assignment", hint="write it like NAME=VALUE")
    if "\n" in value or "\0" in value:
        raise UsageError(f"the value of {name} has a line break, which make cannot take")
    return name, value


def _option_word(word: str) -> str:
    # Goes through make (`$` doubled) and the shell of a recipe (quoted).
    return word if _PLAIN.fullmatch(word) else shlex.quote(word).replace("$", "$$")


_BUILD = Template(r"""
umask 022
# Kubernetes shows what is written there as the reason of the container's end.
refuse() {
  echo "dag: $$1" >&2
  [ ! -w /dev/termination-log ] || echo "$$1" >/dev/termination-log
  exit $refused
}
mkdir -p $state && rm -f $state/pipe && mkfifo $state/pipe || refuse 'no file can be made in the workspace'
command -v make >/dev/null || refuse 'this image has no make: see --sdk-image'
child= dog=
$announce
trap '[ -z "$$child" ] || kill -TERM "$$child" 2>/dev/null' TERM INT
tee $state/log <$state/pipe &
tee=$$!
call() { make $assignments "$$@"; }
fetched() { for apk in packages/$arch/*.apk; do [ ! -e "$$apk" ] || return 0; done; return 1; }
build() {
  $key
  if fetched; then
    find packages -name '*.apk' -exec touch {} +
    $melange index -o packages/$arch/APKINDEX.tar.gz --signing-key $signing packages/$arch/*.apk \
      || return
  fi
  exec make $assignments $flags "$$@"
}
build "$$@" >$state/pipe 2>&1 &
child=$$!
code=0
# Some shells tell what signal ended a process: those words were in no log, and in no count.
wait "$$child" 2>/dev/null || code=$$?
# A signal makes wait return early: the build has ended only when the process is gone.
while kill -0 "$$child" 2>/dev/null; do code=0; wait "$$child" 2>/dev/null || code=$$?; done
# Something that the build left in the background may hold the pipe open: no reason to hang.
{ sleep 10; kill "$$tee"; } >/dev/null 2>&1 &
dog=$$!
while kill -0 "$$tee" 2>/dev/null; do wait "$$tee" 2>/dev/null; done
kill "$$dog" 2>/dev/null
count() { echo "$$1 $$2"; }
# Container runtimes drop carriage returns at the ends of lines.
counted=$$(count $$(tr -d '\r' <$state/log | wc -l -c))
lines=$${counted% *} bytes=$${counted#* }
if [ -n "$$(tail -c 1 $state/log)" ]; then
  echo
  lines=$$((lines + 1))
fi
echo "dag: end of log: $$lines lines, $$bytes bytes, exit $$code"
exit "$$code"
""")

_ANNOUNCE = Template(
    "mkfifo -m 666 $state/ended 2>/dev/null; exec 9>$state/ended; echo started >&9"
)


def build_script(
    variables: MakeVariables,
    *,
    has_key_rule: bool,
    keep_going: bool = False,
    announce_end: bool = False,
) -> str:
    """Write the script of a build; its working directory is the workspace, `"$@"` the targets.

    It makes the throwaway key by the Makefile's own rule, makes what lies in `packages/` count as
    built, runs make, forwards SIGTERM to it, and ends with make's exit code, or with `REFUSED` and the
    reason in the container's termination message. The last line tells
    how many lines and bytes the log before it has (`read_trailer`): the API server serves only the
    newest file of a rotated log, so a loss could not be seen from outside. With `announce_end` it
    holds a pipe open in the workspace: another container reads EOF there when this one has ended.
    """
    return _BUILD.substitute(
        state=STATE,
        refused=REFUSED,
        assignments=shlex.join(variables.words()),
        arch=shlex.quote(variables.arch.apk),
        melange=shlex.quote(variables.melange),
        signing=shlex.quote(variables.key),
        key=f"call {shlex.quote(variables.key)} || return" if has_key_rule else ":",
        flags="-k" if keep_going else "",
        announce=_ANNOUNCE.substitute(state=STATE) if announce_end else ":",
    ).lstrip()


@dataclass(frozen=True, slots=True)
class Trailer:
    """What the build script counted of its own log, and make's exit code.

    The bytes are without carriage returns.
    """

    lines: int
    bytes: int
    exit_code: int


def read_trailer(line: str) -> Trailer | None:
    """Read the build script's last line; None if `line` is something else."""
    match = _TRAILER.fullmatch(line)
    return Trailer(*map(int, match.groups())) if match else None


def copy_out_script(source: str, target: str) -> str:
    """Write the script of an init container that copies what its image carries into a volume."""
    return f"cp -R {shlex.quote(source)}/. {shlex.quote(target)}/"


_SERVE = Template(r"""
set -eu
# The first process of a container has to want a signal to get it.
trap 'exit 143' TERM
state=$workspace/$state
mkdir -p "$$state" /tmp/dag/cgi-bin /tmp/dag/$run
cd /tmp/dag
ln -sfn $workspace/packages $run/packages
ln -sfn "$$state/log" $run/log
ln -sfn $workspace/$key.pub $run/$key.pub
touch alive
cgi() {
  printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\n%s\n' "$$2" >cgi-bin/$$1-$run
  chmod 755 cgi-bin/$$1-$run
}
cgi list 'cd $workspace && find packages $key.pub -type f -exec sha256sum {} + 2>/dev/null'
cgi alive 'touch /tmp/dag/alive'
cgi end 'touch /tmp/dag/end'
httpd -p $port -h /tmp/dag
# The build holds the other end open for as long as its container lives, however that ends.
mkfifo -m 666 "$$state/ended" 2>/dev/null || true
exec 8<>"$$state/ended"
read -r started <&8
exec 7<"$$state/ended" 8>&-
cat <&7 >/dev/null
touch alive
# The client says when it has everything, and now and then that it is still there. Should it never
# come, the pod must not stay for ever.
while [ ! -e end ]; do
  [ $$(($$(date +%s) - $$(stat -c %Y alive))) -lt $hold ] || {
    echo 'dag: nobody came for the packages within $hold seconds' >&2
    exit 1
  }
  sleep 1
done
""")


def serve_script(workspace: str, run: str, *, hold: int = 900) -> str:
    """Write the script of the container that keeps the workspace until the client has copied it.

    It serves over HTTP on `OUT_PORT`, below names that only who may read the pod knows:
    `/cgi-bin/list-RUN` (sha256sum's lines), `/RUN/packages/…`, `/RUN/melange.rsa.pub`, `/RUN/log`, `/cgi-bin/alive-RUN` and
    `/cgi-bin/end-RUN`. It ends `hold` seconds after the build if the client never comes.
    """
    return _SERVE.substitute(
        workspace=shlex.quote(workspace),
        state=STATE,
        run=shlex.quote(run),
        key=KEY,
        port=OUT_PORT,
        hold=hold,
    ).lstrip()

"""The POSIX sh that runs where a build runs: in the pod's containers, and in a local workspace.

Everything that comes from outside is quoted here and nowhere else. The scripts run under dash and
busybox alike; make's targets are the positional parameters, because one argument may hold only
128 KiB and a distribution's targets are more.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import Template

from dag.core.arch import Arch
from dag.core.build.hermetic import prepare_script
from dag.core.sources.gitconfig import ENV_NAME
from dag.errors import UsageError

KEY = "melange.rsa"
STATE = "/tmp/.dag"  # noqa: S108  # the volume of one Pod
"""Where the build script keeps its log and pipes. That is not in the workspace: if the Makefile names
no --source-dir, melange copies that, and would read from the pipes for ever."""
OUT_PORT = 8017
REFUSED = 3
"""Exit code of a build script that did not begin: the image or the workspace is not fit."""

NOTHING = "make made no package"
"""What the container of a build that ended well says where that is so."""

MELANGE = "/usr/bin/melange"
"""Where an SDK image has it."""

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
    melange: str = MELANGE
    melange_dir: str = "/usr/share/melange"
    key: str = KEY
    repositories: Sequence[str] = ()
    """URLs or paths below the workspace that melange also takes packages from."""
    keyrings: Sequence[str] = ()
    pipeline_dirs: Sequence[str] = ()
    """Paths of more pipelines, which melange asks after those that the Makefile names."""
    build_options: Sequence[str] = ()
    """Options of the definitions that melange enables."""
    more: Sequence[str] = ()
    """The user's own `NAME=VALUE`; MELANGE_EXTRA_OPTS is added to ours, others win over ours."""

    def words(self) -> list[str]:
        """Give the assignments as arguments of make, MELANGE_EXTRA_OPTS last."""
        options = ["--cache-dir", self.cache_dir]
        for repository in self.repositories:
            options += ["--repository-append", repository]
        for keyring in self.keyrings:
            options += ["--keyring-append", keyring]
        for directory in self.pipeline_dirs:
            options += ["--pipeline-dirs", directory]
        for name in self.build_options:
            options += ["--build-option", name]
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
        assignments["MELANGE_EXTRA_OPTS"] = " ".join(extra)  # a new key, so it stays the last
        return [f"{name}={value}" for name, value in assignments.items()]


def melange_of(more: Iterable[str], otherwise: str = MELANGE) -> str:
    """Find the melange that make is to call, given the user's own assignments."""
    return _given(more, "MELANGE", otherwise)


def _given(more: Iterable[str], name: str, otherwise: str) -> str:
    return dict(map(split_assignment, more)).get(name, otherwise)


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
mkdir -p $state && rm -f $state/pipe && mkfifo $state/pipe && : >$state/begun \
  || refuse "no file can be made in $state"
command -v make >/dev/null || refuse 'this image has no make: see --sdk-image'
child= dog=
$confine
$hermetic
$mounted_key
$announce
trap '[ -z "$$child" ] || kill -TERM "$$child" 2>/dev/null' TERM INT
tee $state/log <$state/pipe &
tee=$$!
# So that git finds what is in the cache; `dag cache` writes it there.
cached=
[ ! -f $env_file ] || cached=$env_option
call() { make $assignments"$$cached" "$$@"; }
fetched() { for apk in packages/$arch/*.apk; do [ ! -e "$$apk" ] || return 0; done; return 1; }
build() {
  $key
  if fetched; then
    find packages -name '*.apk' -exec touch {} +
    $melange index -o packages/$arch/APKINDEX.tar.gz --signing-key $signing packages/$arch/*.apk \
      || return
  fi
  exec make $assignments"$$cached" $flags "$$@"
}
exec 5>$state/pipe
build "$$@" >&5 2>&1 &
child=$$!
code=0
# Some shells tell what signal ended a process: those words were in no log, and in no count.
wait "$$child" 2>/dev/null || code=$$?
# A signal makes wait return early: the build has ended only when the process is gone.
while kill -0 "$$child" 2>/dev/null; do code=0; wait "$$child" 2>/dev/null || code=$$?; done
$merge
exec 5>&-
# The exit code is make's all the same; but whoever waits for packages wants to know.
made() { [ -d packages ] && [ -n "$$(find -L packages -name '*.apk' -newer $state/begun 2>&1)" ]; }
[ "$$code" != 0 ] || [ ! -w /dev/termination-log ] || made || echo '$nothing' >/dev/termination-log
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

# The pipe is open before `started` appears, so that whoever sees that and opens the pipe for reading
# gets its end when this process has ended, whatever ended it, and at once if that was before.
_ANNOUNCE = Template(
    "mkfifo -m 666 $state/ended 2>/dev/null; exec 9<>$state/ended; : >$state/started"
)

# https://man7.org/linux/man-pages/man7/user_namespaces.7.html: outside of any namespace, 0 is 0.
_CONFINE = r"""
read -r inside outside count </proc/self/uid_map
[ "$outside" != 0 ] ||
  refuse 'this node gave the pod no user namespace, so the build would have more rights than --isolation userns allows'
""".strip()

_MOUNTED_KEY = Template(r"""
[ -r $mounted ] || refuse 'there is no key at $mounted: does the SecretProviderClass name it melange.rsa?'
(umask 077 && cp $mounted $key) || refuse 'the key cannot be copied to $key'
if [ -r $mounted.pub ]; then
  cp $mounted.pub $key.pub
elif command -v openssl >/dev/null; then
  openssl rsa -in $key -pubout -out $key.pub 2>/dev/null
elif command -v ssh-keygen >/dev/null; then
  ssh-keygen -e -m PKCS8 -f $key >$key.pub 2>/dev/null
else
  refuse 'this image has neither openssl nor ssh-keygen to make the public key: mount melange.rsa.pub, too'
fi || refuse 'the mounted key is no RSA key in PEM'
cp $key.pub . || refuse "$$PWD cannot be written to"
""")

# The container that uploads asks, when it has the bucket's own index and nobody else is about it.
_MERGE = Template(r"""
merge() {
  waited=0
  until [ -e $state/index/asked ] || [ -e $state/index/done ]; do
    if [ ! -e $state/uploading ]; then  # its image may be on its way to the node
      waited=$$((waited + 1))
      [ $$waited -lt 900 ] || return 0
    elif [ -z "$$(find $state/uploading -mmin -2)" ]; then  # it was killed
      return 0
    fi
    sleep 1
  done
  [ ! -e $state/index/done ] || return 0
  set --
  while IFS= read -r apk; do set -- "$$@" "packages/$arch/$$apk"; done <$state/finished
  [ ! -e $signing ] || set -- --signing-key $signing "$$@"
  if $melange index --merge --source $state/index/current.tar.gz -o $state/index/new.tar.gz "$$@"
  then mv $state/index/new.tar.gz $state/index/merged.tar.gz
  else : >$state/index/failed
  fi
}
: >$state/made
merge >&5 2>&1
""")


def build_script(
    variables: MakeVariables,
    *,
    has_key_rule: bool,
    keep_going: bool = False,
    mounted_key: str | None = None,
    confined: bool = False,
    hermetic: bool = False,
    announce_end: bool = False,
    merge_index: bool = False,
    state: str = STATE,
) -> str:
    """Write the script of a build; its working directory is the workspace, `"$@"` the targets.

    It makes the throwaway key by the Makefile's own rule, or copies the one at `mounted_key` to
    `variables.key`, makes what lies in `packages/` count as built, runs make, forwards SIGTERM to
    it, and ends with make's exit code, or with `REFUSED` and the reason in the container's
    termination message; there it says also if make ended well and made no package (`NOTHING`). The last line tells how many lines and bytes the log before it has
    (`read_trailer`): the API server serves only the newest file of a rotated log, so a loss could
    not be seen from outside. `confined` refuses to build outside of a user namespace, `hermetic`
    takes the network from the steps (`dag.core.build.hermetic`). With `announce_end` it holds a pipe open
    in `state`: another container reads EOF there when this one has ended. With `merge_index`
    it waits, after make, for the container that uploads (`transfer.upload_script`).

    Raises:
        UsageError: a variable says what contradicts another flag, or is no assignment.

    """
    words = variables.words()
    if hermetic and "MELANGE_RUNNER=bubblewrap" not in words:
        raise UsageError(
            "--hermetic needs melange's runner bubblewrap, and MELANGE_RUNNER is set to another",
            hint="take it out of --make-var and of [make] in dag.toml",
        )
    env_file = f"{variables.cache_dir}/{ENV_NAME}"
    common = {
        "state": shlex.quote(state),
        "arch": shlex.quote(variables.arch.apk),
        "melange": shlex.quote(melange_of(variables.more, variables.melange)),
        "signing": shlex.quote(_given(variables.more, "KEY", variables.key)),
    }
    key = shlex.quote(variables.key)
    mounted = _MOUNTED_KEY.substitute(mounted=shlex.quote(mounted_key or ""), key=key)
    return _BUILD.substitute(
        common,
        refused=REFUSED,
        nothing=NOTHING,
        assignments=shlex.join(words),
        env_file=shlex.quote(env_file),
        env_option=shlex.quote(f" --env-file {_option_word(env_file)}"),
        key=f"call {key} || return" if has_key_rule and mounted_key is None else ":",
        flags="-k" if keep_going else "",
        confine=_CONFINE if confined else ":",
        hermetic=prepare_script(shlex.quote(state), variables.cache_dir) if hermetic else ":",
        mounted_key=mounted.strip() if mounted_key is not None else ":",
        announce=_ANNOUNCE.substitute(common) if announce_end else ":",
        merge=_MERGE.substitute(common).strip() if merge_index else ":",
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
state=$state
mkdir -p "$$state" /tmp/dag/cgi-bin /tmp/dag/$run
cd /tmp/dag
ln -sfn $workspace/packages $run/packages
ln -sfn "$$state/log" $run/log
ln -sfn $workspace/$key $run/$key
touch alive
cgi() {
  printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\n%s\n' "$$2" >cgi-bin/$$1-$run
  chmod 755 cgi-bin/$$1-$run
}
cgi list 'cd $workspace && find -L packages $key -type f -exec sha256sum {} + 2>/dev/null'
cgi alive 'touch /tmp/dag/alive'
cgi end 'touch /tmp/dag/end'
httpd -p $port -h /tmp/dag
# The build holds the other end open for as long as its container lives, however that ends.
mkfifo -m 666 "$$state/ended" 2>/dev/null || true
exec 8<>"$$state/ended"
until [ -e "$$state/started" ]; do sleep 1; done
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


def serve_script(workspace: str, run: str, public_key: str, *, state: str, hold: int = 900) -> str:
    """Write the script of the container that keeps the workspace until the client has copied it.

    It serves over HTTP on `OUT_PORT`, below names that only who may read the pod knows:
    `/cgi-bin/list-RUN` (sha256sum's lines), `/RUN/packages/…`, `/RUN/PUBLIC_KEY`, `/RUN/log`,
    `/cgi-bin/alive-RUN` and `/cgi-bin/end-RUN`. `state` is the build's, as this container has it. It
    ends `hold` seconds after the build if the client never comes.
    """
    return _SERVE.substitute(
        workspace=shlex.quote(workspace),
        state=shlex.quote(state),
        run=shlex.quote(run),
        key=shlex.quote(public_key),
        port=OUT_PORT,
        hold=hold,
    ).lstrip()

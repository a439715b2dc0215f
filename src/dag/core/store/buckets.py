"""Buckets: where they are, what rclone is told about them, and the scripts that move packages.

rclone gets everything through its environment, so that no key is ever in a manifest: the cloud's own
identity of the pod, or what a Secret of the namespace holds.
Sources: https://rclone.org/docs/#environment-variables, https://rclone.org/googlecloudstorage/,
https://rclone.org/s3/.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template

from dag.core.arch import Arch
from dag.errors import UsageError

DEFAULT_IMAGE = (
    "docker.io/rclone/rclone:1.75.1"
    "@sha256:45401ad7410db1d67ffdb58e19059ad20b0d8e0285a60e38bbec55cc1019c7a5"
)
"""The official image of rclone 1.75.1 for every platform; it has a shell, tar and awk beside it."""

_TYPES = {"gs": "google cloud storage", "s3": "s3"}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_FOLDER = re.compile(r"[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, or a folder of one; packages are below `packages/ARCH` in it."""

    scheme: str
    path: str
    """The bucket's name and, behind slashes, a folder."""

    @classmethod
    def parse(cls, text: str) -> Bucket:
        """Read `gs://NAME[/FOLDER…]` or `s3://…`; without a scheme it is GCS.

        Raises:
            UsageError: this names no bucket.

        """
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "gs", text
        if scheme not in _TYPES:
            raise UsageError(
                f"{text}: no bucket can be reached by {scheme}://", hint="known are gs:// and s3://"
            )
        name, *folders = rest.rstrip("/").split("/")
        if not _NAME.fullmatch(name) or not all(map(_FOLDER.fullmatch, folders)):
            raise UsageError(f"{text}: no name of a bucket", hint="write it like gs://name/folder")
        return cls(scheme, "/".join((name, *folders)))

    def environment(self, *, own_identity: bool) -> dict[str, str]:
        """Give what rclone is told, so that `store:` is the place of the packages.

        With `own_identity` nothing but the pod's own will come; else a Secret adds to this, by the
        names of rclone (`RCLONE_S3_ENDPOINT`) or of the cloud (`AWS_ACCESS_KEY_ID`).
        """
        variables = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_STORE_TYPE": "alias",
            "RCLONE_CONFIG_STORE_REMOTE": f"cloud:{self.path}/packages",
            "RCLONE_CONFIG_CLOUD_TYPE": _TYPES[self.scheme],
            "RCLONE_CONFIG_CLOUD_ENV_AUTH": "true",
            # Whoever may write objects need not be allowed to look at buckets.
            "RCLONE_CONFIG_CLOUD_NO_CHECK_BUCKET": "true",
            "RCLONE_TRANSFERS": "16",
            "RCLONE_CHECKERS": "32",
            "RCLONE_STATS": "30s",
            "RCLONE_STATS_ONE_LINE": "true",
            "RCLONE_STATS_LOG_LEVEL": "NOTICE",
        }
        if self.scheme == "gs":
            variables["RCLONE_CONFIG_CLOUD_BUCKET_POLICY_ONLY"] = "true"
        elif own_identity:
            variables["RCLONE_CONFIG_CLOUD_PROVIDER"] = "AWS"
        return variables

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


_PREAMBLE = r"""
set -u
cd $workspace || exit 1
state=$state
say() { echo "dag: $$*"; }
fail() {
  say "$$*" >&2
  [ ! -w /dev/termination-log ] || echo "$$*" >/dev/termination-log
  exit 1
}
# What is there of $arch in the bucket; 3 says that there is nothing yet.
list() {
  rclone lsf --files-only "$$@" store:$arch >$$state/listed
  case $$? in 0) ;; 3) : >$$state/listed ;; *) return 1 ;; esac
}
mkdir -p $$state packages/$arch || exit 1
"""

_FETCH = r"""
printf '%s\n' "$$@" >$$state/wanted
list || fail "cannot list $bucket"
awk 'NR == FNR { wanted[$$0]; next } $$0 in wanted' $$state/wanted $$state/listed >$$state/found
count=$$(wc -l <$$state/found)
say "$$count of $$# packages are in $bucket/packages/$arch"
[ "$$count" -eq 0 ] || rclone copy --files-from-raw $$state/found store:$arch packages/$arch ||
  fail "cannot fetch from $bucket"
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a container that transfers finds the workspace, and the build script's own directory."""

    workspace: str
    state: str


def fetch_script(places: Places, bucket: Bucket, arch: Arch) -> str:
    """Write the script that brings the files named by its parameters, as far as the bucket has them."""
    return _fill(_PREAMBLE + _FETCH, places, bucket, arch)


_UPLOAD = r"""
# Whoever ends the pod ends the build, and that is what ends this, unless it has not begun.
leaving=
trap 'leaving=yes' TERM
mkdir -p $$state/index
# However this ends, nobody waits for it.
beat=
trap ': >$$state/index/done; [ -z "$$beat" ] || kill "$$beat"' EXIT
mkfifo -m 666 $$state/ended 2>/dev/null
exec 8<>$$state/ended
waited=0
until [ -e $$state/started ]; do
  waited=$$((waited + 1))
  [ -z "$$leaving" ] || fail 'the pod was ended before the build started'
  [ $$waited -lt 3600 ] || fail 'the build did not start within an hour'
  sleep 1
done
exec 7<$$state/ended 8>&-
{ cat <&7 >/dev/null; : >$$state/gone; } &
exec 7<&-
while :; do : >$$state/uploading; sleep 5; done >/dev/null 2>&1 &
beat=$$!
until [ -e $$state/made ] || [ -e $$state/gone ]; do sleep 1; done

# A package is whole when melange has put it into its index. The main one of a build goes last: where
# it is, its subpackages are.
place=packages/$arch
: >$$state/subpackages
: >$$state/mains
if [ -e $$place/APKINDEX.tar.gz ]; then
  tar -xzOf $$place/APKINDEX.tar.gz APKINDEX 2>/dev/null >$$state/index/own || : >$$state/index/own
  awk -v state=$$state -v place=$$place '
    /^[PVo]:/ { field[substr($$0, 1, 1)] = substr($$0, 3) }
    function show(  file) {
      if (!("P" in field)) return
      file = field["P"] "-" field["V"] ".apk"
      if ((getline line <(place "/" file)) >= 0)
        print file >(state (field["o"] == field["P"] ? "/mains" : "/subpackages"))
      close(place "/" file)
      split("", field)
    }
    /^$$/ { show() }
    END { show() }
  ' $$state/index/own
else
  for apk in $$place/*.apk; do
    [ ! -e "$$apk" ] || ! gzip -t "$$apk" 2>/dev/null || echo "$${apk##*/}" >>$$state/mains
  done
fi
cat $$state/subpackages $$state/mains >$$state/finished
count=$$(wc -l <$$state/finished)
if [ "$$count" -eq 0 ]; then
  say 'there are no finished packages to upload'
  exit 0
fi
for part in subpackages mains; do
  [ ! -s $$state/$$part ] ||
    rclone copy --checksum --files-from-raw $$state/$$part $$place store:$arch ||
    fail "cannot upload to $bucket"
done
say "$$count packages are in $bucket/packages/$arch"

# One writer of the index at a time: each lays a claim and looks for others. Of two who see each
# other both take theirs back; who sees nobody was first, because listings of buckets are consistent.
# A claim of a pod that died counts no longer after 15 minutes.
claim=
release() { [ -z "$$claim" ] || rclone deletefile "store:.lock/$arch/$$claim" || :; claim=; }
acquire() {
  tries=0
  while [ $$tries -lt 200 ]; do
    tries=$$((tries + 1))
    since=$$(date +%s)
    claim=$$since-$run
    echo "$run" | rclone rcat "store:.lock/$arch/$$claim" || fail "cannot write to $bucket"
    rclone lsf --files-only store:.lock/$arch >$$state/claims || { release; fail "cannot list $bucket"; }
    others=$$(awk -F- -v own="$$claim" -v oldest=$$((since - 900)) \
      '$$0 != own && $$1 > oldest' $$state/claims)
    [ -n "$$others" ] || return 0
    release
    sleep $$(awk -v seed="$$(date +%s)$$$$$$tries" 'BEGIN { srand(seed); print 1 + int(rand() * 8) }')
  done
  fail "others hold the index of $bucket: $$others"
}
acquire
list --include /APKINDEX.tar.gz || { release; fail "cannot list $bucket"; }
if [ -s $$state/listed ]; then
  rclone copyto store:$arch/APKINDEX.tar.gz $$state/index/current.tar.gz ||
    { release; fail "cannot read the index of $bucket"; }
fi
# The build's container has the key: it merges and signs.
: >$$state/index/asked
until [ -e $$state/index/merged.tar.gz ] || [ -e $$state/index/failed ] || [ -e $$state/gone ]; do
  sleep 1
done
lost='the packages are uploaded, but the index of the bucket is as it was'
[ -e $$state/index/merged.tar.gz ] || {
  release
  [ -e $$state/index/failed ] || fail "$$lost: the container with the key was killed before it could sign"
  fail "$$lost: melange could not merge it, see the end of the build's log"
}
[ $$(($$(date +%s) - since)) -lt 600 ] || { release; fail "$$lost: it took longer than a claim holds"; }
rclone copyto $$state/index/merged.tar.gz store:$arch/APKINDEX.tar.gz || { release; fail "$$lost"; }
release
say "the index of $bucket/packages/$arch has them"
"""


def upload_script(places: Places, bucket: Bucket, arch: Arch, run: str) -> str:
    """Write the script of the container that uploads when the build has ended, however it ended.

    Packages go first, then their entries are merged into the bucket's own index: the build script
    does that, because the key is mounted in its container alone. It ends with 1 when
    something of this failed, and says so in its termination message.
    """
    return _fill(_PREAMBLE + _UPLOAD, places, bucket, arch, run)


def _fill(text: str, places: Places, bucket: Bucket, arch: Arch, run: str = "") -> str:
    values: Mapping[str, str] = {
        "workspace": shlex.quote(places.workspace),
        "state": shlex.quote(places.state),
        "bucket": str(bucket),
        "arch": arch.apk,
        "run": run,
    }
    return Template(text).substitute(values).lstrip()

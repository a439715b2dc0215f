"""Buckets: their names, what rclone is told about them, and the scripts that move packages.

rclone gets everything through its environment, so no key is ever in a manifest: the pod has an
identity of the cloud's own, or the variables come from a Secret of the namespace.
Sources: https://rclone.org/docs/#environment-variables, https://rclone.org/googlecloudstorage/,
https://rclone.org/s3/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dag.core.arch import Arch
from dag.core.shell import ShellScript, script_text
from dag.errors import UsageError

DEFAULT_IMAGE = (
    "docker.io/rclone/rclone:1.75.1"
    "@sha256:45401ad7410db1d67ffdb58e19059ad20b0d8e0285a60e38bbec55cc1019c7a5"
)
"""The official image of rclone 1.75.1 for every platform; it has a shell, tar and awk beside it."""

_PACKAGE = "dag.core.store"
_TYPES = {"gs": "google cloud storage", "s3": "s3"}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_FOLDER = re.compile(r"[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, or a folder in one. Packages are below `packages/ARCH` in it."""

    scheme: str
    path: str
    """The bucket's name and, behind slashes, a folder."""

    @classmethod
    def parse(cls, text: str) -> Bucket:
        """Read `gs://NAME[/FOLDER…]` or `s3://…`; without a scheme it is a bucket of Google Cloud.

        Raises:
            UsageError: this names no bucket.

        """
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "gs", text
        if scheme not in _TYPES:
            raise UsageError(
                f"{text}: dag cannot reach buckets by {scheme}://", hint="use gs:// or s3://"
            )
        name, *folders = rest.rstrip("/").split("/")
        if not _NAME.fullmatch(name) or not all(map(_FOLDER.fullmatch, folders)):
            raise UsageError(
                f"{text!r} does not name a bucket", hint="write it like gs://name/folder"
            )
        return cls(scheme, "/".join((name, *folders)))

    def environment(self, *, own_identity: bool) -> dict[str, str]:
        """Return the variables that tell rclone that `store:` is the place of the packages.

        With `own_identity` the pod's identity is all that there is; otherwise a Secret adds
        variables, by the names of rclone (`RCLONE_S3_ENDPOINT`) or of the cloud (`AWS_ACCESS_KEY_ID`).
        """
        variables = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_STORE_TYPE": "alias",
            "RCLONE_CONFIG_STORE_REMOTE": f"cloud:{self.path}/packages",
            "RCLONE_CONFIG_CLOUD_TYPE": _TYPES[self.scheme],
            "RCLONE_CONFIG_CLOUD_ENV_AUTH": "true",
            # Somebody who may write objects need not have the right to look at buckets.
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


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of the workspace and of the build script's own directory in another container."""

    workspace: str
    state: str


def fetch_script(places: Places, bucket: Bucket, arch: Arch) -> ShellScript:
    """Return the script that fetches the files that its further arguments name.

    Files that the bucket does not have are left out.
    """
    return _transfer_script("fetch", places, bucket, arch, run="")


def upload_script(places: Places, bucket: Bucket, arch: Arch, run: str) -> ShellScript:
    """Return the script of the container that uploads when the build has ended, however it ended.

    Packages go first, then their entries are merged into the bucket's own index: the build script
    does that, because the key is mounted in its container alone. If a part of this fails, the
    script ends with 1 and gives the reason in its termination message.
    """
    return _transfer_script("upload", places, bucket, arch, run)


def _transfer_script(
    name: str, places: Places, bucket: Bucket, arch: Arch, run: str
) -> ShellScript:
    text = f"{script_text(_PACKAGE, 'transfer')}\n{script_text(_PACKAGE, name)}"
    return ShellScript(text, (places.workspace, places.state, str(bucket), arch.apk, run))

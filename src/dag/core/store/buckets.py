"""Buckets: how they are named, and what their settings in the environment are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dag.errors import UsageError

_SCHEMES = ("gs", "s3", "az")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_FOLDER = re.compile(r"[A-Za-z0-9_=+@-][A-Za-z0-9._=+@-]*")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, or a folder in one."""

    scheme: str
    path: str
    """The bucket's name and, behind slashes, a folder."""

    @classmethod
    def parse(cls, text: str) -> Bucket:
        """Read `gs://NAME[/FOLDER…]`, `s3://…` or `az://…`; without a scheme it is Google Cloud's.

        Raises:
            UsageError: this names no bucket.

        """
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "gs", text
        if scheme not in _SCHEMES:
            raise UsageError(
                f"{text}: dag cannot reach buckets by {scheme}://",
                hint="use gs://, s3:// or az://",
            )
        name, *folders = rest.rstrip("/").split("/")
        if not _NAME.fullmatch(name) or not all(map(_FOLDER.fullmatch, folders)):
            raise UsageError(
                f"{text!r} does not name a bucket",
                hint=f"write it like {scheme}://name/folder; a name has three or more of a-z, 0-9, ., _ and -, "
                "a folder letters, digits and ._=+@-",
            )
        return cls(scheme, "/".join((name, *folders)))

    @property
    def name(self) -> str:
        """The bucket's name; Azure calls it a container."""
        return self.path.partition("/")[0]

    @property
    def folder(self) -> str:
        """The folder in it; empty if it is the whole bucket."""
        return self.path.partition("/")[2]

    def below(self, name: str) -> Bucket:
        """Return a folder in it."""
        return Bucket(self.scheme, f"{self.path}/{name}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


EMPTY = 4
"""The exit code of an agent that tried a bucket and found no packages in it."""

_RENAMED = {
    # https://rclone.org/s3/, https://rclone.org/googlecloudstorage/, https://rclone.org/azureblob/
    "RCLONE_S3_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID",
    "RCLONE_S3_ENDPOINT": "AWS_ENDPOINT_URL",
    "RCLONE_S3_REGION": "AWS_REGION",
    "RCLONE_S3_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
    "RCLONE_S3_SESSION_TOKEN": "AWS_SESSION_TOKEN",
    "RCLONE_GCS_SERVICE_ACCOUNT_CREDENTIALS": "GOOGLE_CREDENTIALS",
    "RCLONE_GCS_SERVICE_ACCOUNT_FILE": "GOOGLE_APPLICATION_CREDENTIALS",
    "RCLONE_AZUREBLOB_ACCOUNT": "AZURE_STORAGE_ACCOUNT_NAME",
    "RCLONE_AZUREBLOB_ENDPOINT": "AZURE_STORAGE_ENDPOINT",
    "RCLONE_AZUREBLOB_KEY": "AZURE_STORAGE_ACCOUNT_KEY",
}
_MEANINGLESS = frozenset({"RCLONE_S3_PROVIDER", "RCLONE_GCS_ANONYMOUS", "RCLONE_S3_ENV_AUTH"})
_GCS_ENDPOINT = "RCLONE_GCS_ENDPOINT"
_PREFIX = "RCLONE_"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the clouds in an environment, by their own names, and what is to be said."""

    variables: Mapping[str, str]
    notes: tuple[str, ...]


def translate_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings with rclone's names, which Secrets of earlier versions have, replaced.

    A name of the cloud's own goes before one of rclone's.
    """
    variables = {name: value for name, value in environment.items() if not name.startswith(_PREFIX)}
    notes = []
    for name, value in sorted(environment.items()):
        new = _RENAMED.get(name, "")
        if name == _GCS_ENDPOINT:
            new, value = "STORAGE_EMULATOR_HOST", re.sub(r"/storage/v1/?$", "", value)  # noqa: PLW2901
        if new:
            variables.setdefault(new, value)
            notes.append(f"${name} is taken for ${new}: please rename it in the Secret")
        elif name.startswith(_PREFIX) and name not in _MEANINGLESS:
            notes.append(f"${name} has no meaning any more, because dag does without rclone")
    if variables.get("AWS_ENDPOINT_URL"):
        # Servers other than Amazon's need a name of a region, and do not care which.
        variables.setdefault("AWS_REGION", "us-east-1")
    return Settings(variables, tuple(notes))

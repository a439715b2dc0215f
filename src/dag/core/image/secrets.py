"""Tells files that log somebody in: by the names that tools give them, and by what is in them.

The list has what programs themselves write where people work: credentials of clouds, registries,
clusters, version control and package managers, and stores of private keys. Not on it is what only
its owner knows to be secret, such as a password in a script or in a file of a tool that nobody has
heard of: ignore files are for that.
"""

from __future__ import annotations

import json
import re

from dag.core.image.keys import is_key_name, is_private_key

PRIVATE_KEY = "a private key"
CREDENTIALS = "credentials"

_DIRECTORIES = frozenset((".aws", ".azure", ".gnupg", ".kube", ".oci", ".ssh"))
"""Directories of which little is anything else."""
_FILES = frozenset(
    (
        *(".netrc", "_netrc", ".git-credentials", ".dockercfg", ".boto", ".s3cfg", ".pgpass"),
        *(".my.cnf", ".pypirc", ".vault-token", ".terraformrc", "terraform.rc"),
        *(".htpasswd", "rclone.conf", "application_default_credentials.json", ".env", ".envrc"),
    )
)
_KEY_FILES = frozenset(
    ("id_rsa", "id_dsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
)
_PATHS = (
    *(".docker/config.json", "containers/auth.json", "gcloud/credentials.db", "gh/hosts.yml"),
    *("gcloud/access_tokens.db", ".cargo/credentials", ".cargo/credentials.toml"),
    *(".gem/credentials", ".m2/settings.xml", ".terraform.d/credentials.tfrc.json"),
    *(".terraform/terraform.tfstate", "hub/oauth_token"),
)
_KEY_ENDINGS = (".p12", ".pfx", ".jks", ".keystore", ".ppk", ".kdbx", ".bks")
_ENDINGS = (".tfstate", ".tfstate.backup")
_EXAMPLES = (".example", ".sample", ".template", ".dist", ".defaults")
"""How files end that show what a `.env` has; there are others for each stage: `.env.production`."""

_MOST = 1 << 20
"""Bytes; a larger file is told by its name alone, as no tool writes so many credentials."""
_KEY_STARTS = (
    b"\xfe\xed\xfe\xed",  # Java's JKS, then its JCEKS
    b"\xce\xce\xce\xce",
    b"PuTTY-User-Key-File-",
    b"AGE-SECRET-KEY-1",
    b"\x03\xd9\xa2\x9a",  # KeePass
)
_MINISIGN = re.compile(rb"untrusted comment:[^\n]*\n(?:RWRTY0Iy|RWQAAEIy|RWRCS)")
"""A key of minisign, with a password or without, or of signify: https://jedisct1.github.io/minisign/#secret-key-format"""
_PKCS12 = re.compile(
    rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....|\x80)\x02\x01\x03\x30", re.DOTALL
)
"""https://www.rfc-editor.org/rfc/rfc7292#section-4: a sequence, its version 3, another sequence."""
_KUBECONFIG = re.compile(rb"^[\"']?kind[\"']?:[ \t]*[\"']?Config[\"']?[ \t\r]*$", re.MULTILINE)
_KUBE_SECRET = re.compile(
    rb"^[ \t-]*[\"']?(?:client-key-data|token|password|id-token|refresh-token)[\"']?:[ \t]*[^ \t\r\n]",
    re.MULTILINE,
)
_AWS = re.compile(rb"^[ \t]*aws_secret_access_key[ \t]*=[ \t]*[^ \t\r\n]", re.MULTILINE)
_AWS_ANYWHERE = re.compile(
    rb"^[ \t-]*(?:(?:export|set|setenv|ENV)[ \t]+)?[\"']?aws_?secret_?(?:access_?)?key[\"']?(?:[ \t]*[=:][ \t]*|[ \t]+)"
    rb"(?P<quote>[\"']?)[A-Za-z0-9/+]{40}(?P=quote)[ \t\r;,]*$",
    re.MULTILINE | re.IGNORECASE,
)
"""A key as Amazon makes it, in a script, a file of variables or YAML: nobody invents 40 such characters."""
_AWS_TABLE = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:[^\n]*,)?\"?Access key ID\"?,\"?Secret access key\"?", re.IGNORECASE
)
"""The first line of the file that Amazon's console offers for a new key."""
_TOKEN = re.compile(
    rb"(?<![A-Za-z0-9_-])(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82}|glpat-[A-Za-z0-9_-]{20}"
    rb"|npm_[A-Za-z0-9]{36}|pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50}|dckr_pat_[A-Za-z0-9_-]{27})"
)
"""Tokens of GitHub, GitLab, npm, PyPI and Docker, which are made so that they are found."""
_TOKEN_WORDS = (
    *(b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-"),
    *(b"npm_", b"pypi-AgE", b"dckr_pat_"),
)
_AWS_WORDS = (
    *(
        b"ecret_access_key",
        b"ECRET_ACCESS_KEY",
        b"ecret access key",
        b"ecretKey",
        b"ecretAccessKey",
    ),
    *(b"ecret_key", b"ECRET_KEY"),
)
_GIT_WORDS = (b"xtraheader", b"xtraHeader", b'[url "')
_NETRC = re.compile(
    rb"\s*(?:#[^\n]*\n\s*)*(?:machine\s+\S+|default)\s+(?:(?:login|account)\s+\S+\s+)*password\s+[^\s$]"
)
"""https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html"""
_GIT = re.compile(
    rb"^[ \t]*extraheader[ \t]*=[ \t]*[\"']?(?:(?:proxy-)?authorization|private-token|cookie):"
    rb"|^[ \t]*\[url[ \t]+\"https?://[^\s\"/@:]*:[^\s\"/@]+@",
    re.MULTILINE | re.IGNORECASE,
)
"""https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpextraHeader"""
_NPM = re.compile(rb"^//[^\s=]+:_(?:authToken|auth|password)[ \t]*=[ \t]*[^\s$]", re.MULTILINE)
_SECTION = re.compile(rb"\s*(?:[#;][^\n]*\n\s*)*\[[^\n\]]+\]")


def secret_name(path: str) -> str | None:
    """Return what a file or a directory of this name is that must not get out, or None."""
    name = path.rpartition("/")[2]
    lower = name.lower()
    if is_key_name(path) or name in _KEY_FILES or lower.endswith(_KEY_ENDINGS):
        return PRIVATE_KEY
    if name in _FILES or lower.endswith(_ENDINGS) or f"/{path}".endswith(_PATH_ENDS):
        return CREDENTIALS
    if name.startswith(".env.") and not lower.endswith(_EXAMPLES):
        return CREDENTIALS
    return None


_PATH_ENDS = tuple(f"/{path}" for path in _PATHS)


def secret_directory(name: str) -> str | None:
    """Return what a directory of this name has that must not get out, or None."""
    return CREDENTIALS if name in _DIRECTORIES else None


def secret_content(data: bytes) -> str | None:
    """Return what a file with this content is that must not get out, or None."""
    if is_private_key(data) or data.startswith(_KEY_STARTS) or _PKCS12.match(data):
        return PRIVATE_KEY
    if data.startswith(b"untrusted comment:") and _MINISIGN.match(data):
        return PRIVATE_KEY
    if len(data) > _MOST:
        return None
    if _has(data, _TOKEN_WORDS) and _TOKEN.search(data):
        return CREDENTIALS
    if data.lstrip()[:1] == b"{":
        return CREDENTIALS if _is_secret_json(data) else None
    # The words first: there are thousands of files, and an expression takes longer than all else.
    if b"Config" in data and _KUBECONFIG.search(data) and _KUBE_SECRET.search(data):
        return CREDENTIALS
    if b":_auth" in data or b":_password" in data:
        return CREDENTIALS if _NPM.search(data) else None
    return CREDENTIALS if _is_secret_text(data) else None


def _is_secret_text(data: bytes) -> bool:
    """Return whether this is a login of git or of servers, or a key of AWS."""
    if b"password" in data and _NETRC.match(data):
        return True
    if _has(data, _GIT_WORDS) and _GIT.search(data):
        return True
    if _has(data, _AWS_WORDS) and (_AWS_TABLE.match(data) or _AWS_ANYWHERE.search(data)):
        return True
    # A script or a page may speak of the variable; the file of the tool begins with a section.
    is_told = b"aws_secret_access_key" in data
    return bool(is_told and _SECTION.match(data) and _AWS.search(data))


def _has(data: bytes, words: tuple[bytes, ...]) -> bool:
    return any(map(data.__contains__, words))


def _is_secret_json(data: bytes) -> bool:
    """Return whether this is a service account's key, a login of a registry, or a kubeconfig."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    secrets = ("private_key", "refresh_token", "client_secret", "privateKey", "secretAccessKey")
    if any(isinstance(found.get(name), str) and found[name] for name in secrets):
        return True
    auths = found.get("auths")
    if isinstance(auths, dict) and any(isinstance(one, dict) and one for one in auths.values()):
        return True
    if found.get("kind") == "Config" and isinstance(found.get("users"), list):
        users = [one.get("user") for one in found["users"] if isinstance(one, dict)]
        kept = ("client-key-data", "token", "password")
        return any(isinstance(user, dict) and any(map(user.get, kept)) for user in users)
    installed = found.get("installed") or found.get("web")  # an OAuth client of Google
    return isinstance(installed, dict) and bool(installed.get("client_secret"))

"""Files that log somebody in, and files that are only about that."""

from __future__ import annotations

import json

import pytest

from dag.core.image.secrets import (
    CREDENTIALS,
    PRIVATE_KEY,
    secret_content,
    secret_directory,
    secret_name,
)
from tests.core.image.test_keys import certificate, key, openssl

KUBECONFIG = """\
apiVersion: v1
kind: Config
users:
- name: me
  user:
    {secret}
"""
AWS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfi" + "CYEXAMPLEKEY"
ACCOUNT = {"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nMII"}


@pytest.mark.parametrize(
    "path",
    [
        *("id_rsa", "sub/id_ed25519", "melange.rsa", "key.p12", "A/Store.JKS", "x.pfx", "k.ppk"),
    ],
)
def test_private_keys_have_these_names(path: str) -> None:
    assert secret_name(path) == PRIVATE_KEY


@pytest.mark.parametrize(
    "path",
    [
        *(".netrc", ".git-credentials", ".env", "sub/.env.production", ".pypirc", ".dockercfg"),
        *(".docker/config.json", ".config/containers/auth.json", "terraform.tfstate", ".boto"),
        *(".cargo/credentials.toml", ".config/gh/hosts.yml", "x.tfstate.backup", ".pgpass"),
        *(".envrc", "sub/.envrc"),
    ],
)
def test_credentials_have_these_names(path: str) -> None:
    assert secret_name(path) == CREDENTIALS


def test_directories_of_credentials_have_these_names() -> None:
    found = [secret_directory(name) for name in (".aws", ".ssh", ".kube", ".azure", ".gnupg")]
    assert found == [CREDENTIALS] * 5
    assert secret_directory("aws") is None


@pytest.mark.parametrize(
    "path",
    [
        *("brotli.yaml", "melange.rsa.pub", "id_rsa.pub", ".env.example", "env", "config.json"),
        *("docker/config.json", ".github/workflows/a.yml", ".npmrc", "tfstate.yaml", "rsa.yaml"),
    ],
)
def test_other_names_say_nothing(path: str) -> None:
    assert secret_name(path) is None


CONTENTS = {
    "a key": (key(), PRIVATE_KEY),
    "PKCS #12": (
        openssl("pkcs12", "-export", "-passout", "pass:x", given=key() + certificate()),
        PRIVATE_KEY,
    ),
    "JKS": (b"\xfe\xed\xfe\xed\0\0\0\2", PRIVATE_KEY),
    "PuTTY": (b"PuTTY-User-Key-File-3: ssh-ed25519\n", PRIVATE_KEY),
    "age": (b"AGE-SECRET-KEY-1QQ", PRIVATE_KEY),
    "a service account": (json.dumps(ACCOUNT).encode(), CREDENTIALS),
    "a user": (b'{"type": "authorized_user", "refresh_token": "x"}', CREDENTIALS),
    "an OAuth client": (b' {"installed": {"client_secret": "x"}}', CREDENTIALS),
    "a login of a registry": (b'{"auths": {"ghcr.io": {"auth": "eDp5"}}}', CREDENTIALS),
    "a kubeconfig": (KUBECONFIG.format(secret="token: abc").encode(), CREDENTIALS),
    "its key": (KUBECONFIG.format(secret="client-key-data: LS0t").encode(), CREDENTIALS),
    "a kubeconfig in JSON": (
        b'{"kind": "Config", "users": [{"name": "a", "user": {"password": "x"}}]}',
        CREDENTIALS,
    ),
    "AWS": (b"[default]\naws_access_key_id = A\naws_secret_access_key = B\n", CREDENTIALS),
    "AWS without a section": (f"aws_secret_access_key={AWS_KEY}\n".encode(), CREDENTIALS),
    "AWS in a script": (
        f"#!/bin/sh\nexport AWS_REGION=x\n  export AWS_SECRET_ACCESS_KEY='{AWS_KEY}'\r\n".encode(),
        CREDENTIALS,
    ),
    "AWS in YAML": (f"env:\n  - AWS_SECRET_ACCESS_KEY: {AWS_KEY}\n".encode(), CREDENTIALS),
    "AWS in a shell of another kind": (
        f"setenv AWS_SECRET_ACCESS_KEY {AWS_KEY}\n".encode(),
        CREDENTIALS,
    ),
    "AWS from the console": (
        f"Access key ID,Secret access key\r\nAKIA,{AWS_KEY}".encode(),
        CREDENTIALS,
    ),
    "AWS of root": (f"AWSAccessKeyId=AKIA\nAWSSecretKey={AWS_KEY}\n".encode(), CREDENTIALS),
    "minisign": (
        b"untrusted comment: minisign encrypted secret key\nRWRTY0IyJ8nJ\n",
        PRIVATE_KEY,
    ),
    "minisign without a password": (b"untrusted comment: x\nRWQAAEIyAAAA\n", PRIVATE_KEY),
    "signify": (b"untrusted comment: signify secret key\nRWRCSwAAAABx\n", PRIVATE_KEY),
    "git with a header": (
        b'[http "https://github.com/"]\n\textraheader = AUTHORIZATION: basic eDp5\n',
        CREDENTIALS,
    ),
    "git with a password": (
        b'[user]\nname = x\n[url "https://me:secret@example.com/"]\n insteadOf = x\n',
        CREDENTIALS,
    ),
    "netrc": (b"# mine\nmachine example.com\n\tlogin me\n\tpassword secret\n", CREDENTIALS),
    "netrc for all": (b"default login me password secret\n", CREDENTIALS),
    "a token of GitHub": (f"token={'ghp_'}{'aB3' * 12}\n".encode(), CREDENTIALS),
    "a token in JSON": (f'{{"token": "{"ghs_"}{"aB3" * 12}"}}'.encode(), CREDENTIALS),
    "another token of GitHub": (f"{'github_pat_'}{'a1' * 41}".encode(), CREDENTIALS),
    "a token of GitLab": (f"#!/bin/sh\nX='{'glpat-'}{'a1' * 10}'\n".encode(), CREDENTIALS),
    "a token of PyPI": (f"{'pypi-AgEIcHlwaS5vcmc'}{'a1' * 30}".encode(), CREDENTIALS),
    "npm": (b"//registry.npmjs.org/:_authToken=npm_x\n", CREDENTIALS),
}


@pytest.mark.parametrize(("data", "kind"), CONTENTS.values(), ids=CONTENTS)
def test_what_is_in_a_file_tells_what_it_is(data: bytes, kind: str) -> None:
    assert secret_content(data) == kind


OTHERS = {
    "a kubeconfig without secrets": KUBECONFIG.format(secret="exec: {command: x}").encode(),
    "a definition that writes one": b"pipeline:\n  - runs: |\n      kind: Config\n      token: x\n",
    "a script that speaks of AWS": b"#!/bin/sh\naws_secret_access_key=$1\n",
    "a script that makes a key": f"#!/bin/sh\naws_secret_access_key=$({'x' * 40})\n".encode(),
    "a definition with a short one": b"      secret_access_key: 'fake_secret_key'\n",
    "a hash": f"expected-sha1: {'0' * 40}\nAWS_SECRET_ACCESS_KEY: ${{KEY}}\n".encode(),
    "a public key of minisign": b"untrusted comment: minisign public key 7E\nRWQf6LRCGA9i5\n",
    "a signature of minisign": b"untrusted comment: signature\nRUQf6LRCGA9i559r3g7V1qNyJDApGip8\n",
    "git without a login": b'[url "https://github.com/"]\n\tinsteadOf = git@github.com:\n',
    "a definition that writes a netrc": b"runs: |\n  machine x login y password z\n",
    "a netrc with a variable": b"machine x login y password $PASSWORD\n",
    "gitleaks' own test": f"  - runs: |\n      echo {'ghp_'}{'wWPw5k4a' * 4}\n".encode(),
    "npm without a token": b"registry=https://registry.npmjs.org/\n",
    "npm with a variable": b"//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n",
    "JSON": b'{"name": "x", "private_key": ""}',
    "half of JSON": b'{"private_key": "x"',
    "deep JSON": b"{" * 100 + b'"a":' * 100_000,
    "nested JSON": b'{"a":' * 100_000,
    "a registry without a login": b'{"auths": {}}',
    "a certificate": certificate(),
    "nothing": b"",
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS)
def test_what_only_speaks_of_secrets_is_none(data: bytes) -> None:
    assert secret_content(data) is None

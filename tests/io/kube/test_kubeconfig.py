"""Kubeconfigs with mistakes: one line that says where, and what would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dag.errors import DagError
from dag.io.kube.kubeconfig import connect
from tests.support.kubeconfigs import kubeconfig

SERVER = "https://127.0.0.1:1"


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        ({"proxy-url": "nonsense"}, "the `proxy-url` of its cluster is no URL"),
        ({"proxy-url": "http://h:secret"}, "the `proxy-url` of its cluster is no URL"),
        ({"proxy-url": "socks5://h:1"}, "the `proxy-url` of its cluster names a SOCKS proxy"),
        ({"proxy-url": "ftp://h:1"}, "the `proxy-url` of its cluster names a proxy of the kind"),
        ({"proxy-url": 3}, "the `proxy-url` of its cluster is no URL"),
        ({"server": "https://h:notaport"}, "the `server` of its cluster is no URL"),
        ({"server": "https://h:99999"}, "the `server` of its cluster has a port that cannot be"),
        ({"server": "h:6443"}, "the `server` of its cluster is no URL: h:6443"),
        ({"server": "https://me:secret@h:port"}, "the `server` of its cluster is no URL: h:port"),
        ("there", "'there' of clusters is no mapping"),
    ],
)
def test_a_cluster_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: object, words: str
) -> None:
    monkeypatch.setattr("dag.io.web.find_spec", lambda _: None)
    config = kubeconfig(tmp_path / "config", SERVER, cluster=cluster)
    with pytest.raises(DagError, match=words) as caught:
        connect(config)
    assert caught.value.message.startswith(f"{config}: context 'here'")
    assert "secret" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"token": 12345}, "context 'here' has mistakes: Expected `str"),
        ({"exec": {"command": "x"}}, "context 'here' has mistakes: .*apiVersion"),
        ({"exec": {"command": "x", "apiVersion": "v7"}}, "its credential plugin speaks v7"),
        ({"client-certificate": "x"}, "a client-certificate, but no client-key"),
    ],
)
def test_a_user_that_cannot_be(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    config = kubeconfig(tmp_path / "config", SERVER, user)
    with pytest.raises(DagError, match=words) as caught:
        connect(config)
    assert caught.value.message.startswith(f"{config}: context 'here'")


def test_a_password_of_a_server_is_not_shown(tmp_path: Path) -> None:
    config = kubeconfig(tmp_path / "config", "https://me:secret@127.0.0.1:1")
    assert connect(config).server == SERVER


def test_mistakes_in_other_contexts_do_not_matter(tmp_path: Path) -> None:
    config = Path(kubeconfig(tmp_path / "config", SERVER))
    config.write_text(config.read_text().replace("clusters:\n", "clusters:\n- {name: 7}\n"))
    assert connect(str(config)).server == SERVER


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clusters: 7", "clusters is no list"),
        ("clusters: there", "clusters is no list"),
        ("clusters: [7]", "an entry of clusters has no name"),
        ("[]", "no current-context"),
        ("7", "this is no kubeconfig"),
    ],
)
def test_what_is_no_kubeconfig(tmp_path: Path, text: str, words: str) -> None:
    config = tmp_path / "config"
    config.write_text(text)
    with pytest.raises(DagError, match=words) as caught:
        connect(str(config))
    assert caught.value.message.startswith(f"{config}: ")

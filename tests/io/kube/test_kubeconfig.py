"""A mistake in a kubeconfig leads to one line that names its place and the remedy."""

from __future__ import annotations

import re
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import yaml

from dag.errors import DagError, UsageError
from dag.io.kube import contexts
from dag.io.kube.api import Kube
from dag.io.kube.contexts import FoundNamespace, choose_context, find_namespace
from dag.io.kube.kubeconfig import connect
from tests.support.faults import Origin
from tests.support.faults.certificates import make_certificate
from tests.support.forwarding import Forwarder
from tests.support.kubeconfigs import VERSION, ask, kubeconfig

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
        ({"certificate-authority-data": "bm9uZQ=="}, "the certificates cannot be used: "),
        ({"certificate-authority-data": "%"}, "the certificates cannot be used: "),
        ({"certificate-authority-data": " "}, "the certificates cannot be used: "),
        ({"certificate-authority": "none.crt"}, "the certificates cannot be used: .*No such file"),
        ({"server": "h:6443"}, "the `server` of its cluster is no URL: h:6443"),
        ({"server": "https://me:secret@h:port"}, "the `server` of its cluster is no URL: h:port"),
        ("there", "'there' of clusters is no mapping"),
    ],
)
def test_a_cluster_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: object, words: str
) -> None:
    monkeypatch.setattr("dag.io.proxies.find_spec", lambda _: None)
    config = kubeconfig(tmp_path / "config", SERVER, cluster=cluster)
    with pytest.raises(DagError, match=words) as caught:
        connect(config)
    assert caught.value.message.startswith(f"{config}: context 'here'")
    assert "secret" not in caught.value.message
    assert caught.value.hint or "certificates" in words


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


def test_a_setting_that_is_not_followed_is_told_with_another_way(tmp_path: Path) -> None:
    user = {"auth-provider": {"name": "gcp"}}
    with pytest.raises(DagError, match="which dag does not follow") as caught:
        connect(kubeconfig(tmp_path / "config", SERVER, user))
    assert "use a credential plugin" in (caught.value.hint or "")


@pytest.mark.parametrize("name", [None, "localhost", "other.example"])
@pytest.mark.parametrize("proxied", [False, True])
async def test_a_server_proves_to_have_the_name_that_the_kubeconfig_says(
    tmp_path: Path, name: str | None, *, proxied: bool
) -> None:
    with Origin(tls=True) as api, Forwarder() as proxy:  # its certificate has address and localhost
        api.put("/version", VERSION)
        cluster: dict[str, Any] = {"certificate-authority": str(api.ca_file)}
        cluster |= {"tls-server-name": name} if name else {}
        cluster |= {"proxy-url": f"http://{proxy.place}"} if proxied else {}
        config = kubeconfig(tmp_path / "config", api.url, cluster=cluster)
        if name == "other.example":
            with pytest.raises(DagError, match="CERTIFICATE_VERIFY_FAILED"):
                await connect_and_ask(config)
        else:
            await connect_and_ask(config)
        assert bool(proxy.lines) is proxied


@pytest.mark.parametrize("name", [".", ".example", "a\0b", "a" * 300, "\ud800"])
def test_a_name_by_which_no_server_can_be_asked(tmp_path: Path, name: str) -> None:
    config = kubeconfig(tmp_path / "config", SERVER, cluster={"tls-server-name": name})
    with pytest.raises(UsageError, match="is no name of a server: ") as caught:
        connect(config)
    assert repr(name[:80]) in caught.value.message


async def test_who_acts_for_somebody_says_so_with_each_request(tmp_path: Path) -> None:
    with Origin() as api:
        api.put("/version", VERSION)
        user = {
            "token": "t",
            "as": "Zoë",
            "as-groups": ["builders", "system:authenticated"],
            "as-uid": "7",
            "as-user-extra": {"Example.com/Why Not": ["a", "b"]},
        }
        await connect_and_ask(kubeconfig(tmp_path / "config", api.url, user))
        (seen,) = api.exchanges
        headers = [(name.lower(), value) for name, value in seen.request.headers]
    assert [one for one in headers if one[0].startswith("impersonate-")] == [
        ("impersonate-user", "Zoë".encode().decode("latin-1")),
        ("impersonate-group", "builders"),
        ("impersonate-group", "system:authenticated"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-example.com%2fwhy%20not", "a"),
        ("impersonate-extra-example.com%2fwhy%20not", "b"),
    ]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"as-groups": ["a"]}, "its user has as-groups, as-uid or as-user-extra, but no `as`"),
        *(
            (
                {"as": value},
                f"the user's Impersonate-User has a character that no header can have there: {value!r}",
            )
            for value in ("a\nb", " a", "a ", "\ud800")
        ),
        (
            {"as": "a", "as-user-extra": {"\ud800": ["b", " c"]}},
            "the user's Impersonate-Extra-%ED%A0%80 has a character that no header can have there",
        ),
        ({"as": 7}, "context 'here' has mistakes: Expected `str"),
    ],
)
def test_for_whom_nobody_can_act(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    config = kubeconfig(tmp_path / "config", SERVER, user)
    with pytest.raises(UsageError, match=re.escape(words)):
        connect(config)


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


def test_in_a_pod_its_own_service_account_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "_SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    with pytest.raises(DagError, match="no cluster is configured"):
        connect()
    (tmp_path / "token").write_text("secret\n")
    with pytest.raises(DagError, match=r"the pod's service account cannot be used: .*PORT"):
        connect()
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(DagError, match="the certificates cannot be used"):
        connect()
    certificate, _ = make_certificate(tmp_path, "127.0.0.1")
    certificate.rename(tmp_path / "ca.crt")
    assert connect().server == "https://[fd00::1]:443"


@pytest.mark.parametrize("known", ["file", "data", "nothing", "insecure"])
async def test_a_cluster_proves_itself_by_a_certificate_that_is_known(
    tmp_path: Path, known: str
) -> None:
    with Origin(tls=True) as api:
        assert api.ca_file is not None
        api.put("/version", VERSION)
        clusters: dict[str, dict[str, Any]] = {
            "file": {"certificate-authority": str(api.ca_file)},
            "data": {"certificate-authority-data": b64encode(api.ca_file.read_bytes()).decode()},
            "nothing": {},
            "insecure": {"insecure-skip-tls-verify": True},
        }
        config = kubeconfig(tmp_path / "config", api.url, cluster=clusters[known])
        if known == "nothing":
            with pytest.raises(DagError, match="CERTIFICATE_VERIFY_FAILED"):
                await connect_and_ask(config)
        else:
            await connect_and_ask(config)


async def connect_and_ask(config: str) -> None:
    kube = Kube(connect(config), lambda _: None)
    try:
        await kube.get("/version", patience=0)
    finally:
        await kube.close()


def test_who_is_trusted_is_read_for_https_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    connect(kubeconfig(tmp_path / "plain", "HTTP://h:1"))
    with pytest.raises(DagError, match=r"the certificates cannot be used: .*No such file"):
        connect(kubeconfig(tmp_path / "secure", "https://h:1"))


@pytest.mark.parametrize("as_data", [False, True])
def test_a_user_proves_itself_by_a_certificate(tmp_path: Path, *, as_data: bool) -> None:
    certificate, key = make_certificate(tmp_path, "127.0.0.1")
    names = {"client-certificate": certificate, "client-key": key}
    user: dict[str, Any] = {name: path.name for name, path in names.items()}
    if as_data:
        user = {
            f"{name}-data": b64encode(path.read_bytes()).decode() for name, path in names.items()
        }
    assert connect(kubeconfig(tmp_path / "config", SERVER, user)).server == SERVER
    user |= {"client-key-data": b64encode(b"none").decode()}
    with pytest.raises(DagError, match="the certificates cannot be used"):
        connect(kubeconfig(tmp_path / "config", SERVER, user))


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a kubeconfig, outside of any pod."""
    monkeypatch.setattr(contexts, "_SERVICE_ACCOUNT", tmp_path / "account")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "POD_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def with_namespaces(path: Path, **namespaces: object) -> Path:
    """Write a kubeconfig of contexts without a cluster; the first one is current."""
    entries = [
        {"name": name, "context": {} if value is None else {"namespace": value}}
        for name, value in namespaces.items()
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        yaml.safe_dump({"current-context": next(iter(namespaces)), "contexts": entries})
    )
    return path


def test_the_namespace_is_that_of_the_context(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = with_namespaces(nowhere / ".kube" / "config", one="builds", two="other", three=None)
    assert find_namespace(None, None).name == "builds"
    assert find_namespace(None, "two").name == "other"
    assert find_namespace(str(home), "three") == FoundNamespace(
        "default", f"because {home}: context 'three' names none"
    )
    with pytest.raises(UsageError, match="there is no context 'four'"):
        find_namespace(None, "four")
    first = with_namespaces(nowhere / "first", two="first")
    monkeypatch.setenv("KUBECONFIG", f"/nope:{first}:{home}")
    assert find_namespace(None, None).name == "first"
    assert find_namespace(None, "one").name == "builds"
    first.write_text("current-context: ''\n")
    monkeypatch.setenv("KUBECONFIG", str(first))
    assert find_namespace(None, None).name == "default"


def test_without_a_kubeconfig_the_namespace_is_a_default(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = "because there is no ~/.kube/config, and $KUBECONFIG is not set"
    assert find_namespace(None, None) == FoundNamespace("default", nothing)
    assert find_namespace(None, "one") == FoundNamespace("default", nothing, is_guess=True)
    assert find_namespace("/nope", None) == FoundNamespace(
        "default", "because /nope does not exist", is_guess=True
    )
    monkeypatch.setenv("KUBECONFIG", "/nope")
    assert find_namespace(None, None) == FoundNamespace(
        "default", "because /nope, which $KUBECONFIG names, does not exist", is_guess=True
    )


def test_in_a_pod_the_namespace_is_that_of_its_account(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    account = nowhere / "account"
    account.mkdir()
    (account / "token").write_text("secret")
    assert find_namespace(None, None).name == "default"
    (account / "namespace").write_text("ci\n")
    assert find_namespace(None, None).name == "ci"
    monkeypatch.setenv("POD_NAMESPACE", "downward")
    assert find_namespace(None, None).name == "downward"
    with_namespaces(nowhere / ".kube" / "config", one="builds")
    assert find_namespace(None, None).name == "builds"


@pytest.mark.parametrize("name", ["../secrets", "Builds", 7.5, ["a"]])
def test_a_namespace_that_cannot_be_is_refused(nowhere: Path, name: object) -> None:
    config = with_namespaces(nowhere / "config", one=name)
    with pytest.raises(UsageError, match=r"config: context 'one'.* namespace .* no ") as caught:
        find_namespace(str(config), None)
    assert caught.value.hint == "--namespace names another one"


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("/nope", "/nope, which $KUBECONFIG names, does not exist"),
        ("/nope:/neither", "none of the files that $KUBECONFIG names exists: /nope, /neither"),
    ],
)
def test_a_variable_that_names_no_kubeconfig_is_said(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, listed: str, words: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", listed)
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        connect()
    assert caught.value.hint == "name another one with --kubeconfig or $KUBECONFIG"


def test_a_kubeconfig_may_come_through_a_pipe(tmp_path: Path) -> None:
    written = Path(kubeconfig(tmp_path / "config", "https://127.0.0.1:1"))
    with subprocess.Popen(["cat", str(written)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        place = f"/dev/fd/{process.stdout.fileno()}"
        assert find_namespace(place, None).name == "default"
        assert choose_context(place, None).name == "here"


@pytest.mark.parametrize("field", ["certificate-authority", "client-certificate", "tokenFile"])
async def test_no_file_that_a_kubeconfig_names_is_read_without_end(
    tmp_path: Path, field: str
) -> None:
    zeros = "/dev/zero"
    cluster = {"certificate-authority": zeros} if field == "certificate-authority" else {}
    user = {
        "client-certificate": {"client-certificate": zeros, "client-key": zeros},
        "tokenFile": {"tokenFile": zeros},
    }.get(field)
    config = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", user, cluster)
    with pytest.raises(DagError, match="/dev/zero has more than"):
        await ask(config)


def test_a_kubeconfig_is_not_read_without_end() -> None:
    with pytest.raises(DagError, match="/dev/zero has more than 16 MiB"):
        choose_context("/dev/zero", None)

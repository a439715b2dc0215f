"""Credentials: Docker's file, its helpers, Podman's files, and what is said when there are none."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from dag.errors import InfrastructureError
from dag.io.image.registry.credentials import Credentials, look_up


@pytest.fixture
def config(no_credentials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = no_credentials.parent
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return no_credentials


def elsewhere(config: Path) -> str:
    """Give what is said of Podman's files, which do not exist."""
    root = config.parents[1]
    places = (root / "run" / "containers", root / "config" / "containers")
    return "; ".join(f"{place / 'auth.json'} does not exist" for place in places)


def write(config: Path, **content: Any) -> None:
    config.write_text(json.dumps(content))


def auth(user: str, secret: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}


def helper(config: Path, name: str, script: str) -> None:
    path = config.parent / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_no_file_means_anonymous(config: Path) -> None:
    found = look_up("ghcr.io")
    assert found.credentials is None
    assert (
        found.describe()
        == f"no credentials: {config} (from $DOCKER_CONFIG) does not exist; {elsewhere(config)}"
    )


def test_home_is_asked_without_docker_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    write(tmp_path / ".docker" / "config.json", auths={"ghcr.io": auth("me", "pw")})
    assert look_up("ghcr.io").credentials is not None


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v1/", "ghcr.io"),
        ("ghcr.io/v2/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_auths_are_found_under_every_spelling(config: Path, key: str, host: str) -> None:
    write(config, auths={key: auth("me", "a:b"), "other.io": auth("no", "no")})
    assert look_up(host).credentials == Credentials(str(config), "me", "a:b")


def test_the_exact_host_wins_over_an_old_spelling(config: Path) -> None:
    write(config, auths={"https://a.io/v1/": auth("old", "x"), "a.io": auth("new", "x")})
    found = look_up("a.io").credentials
    assert found is not None
    assert found.username == "new"


def test_another_port_is_another_host(config: Path) -> None:
    write(config, auths={"localhost:5000": auth("me", "pw")})
    found = look_up("localhost:5001")
    assert found.credentials is None
    assert found.describe() == (
        f"no credentials: {config} has none for localhost:5001; {elsewhere(config)}"
    )


def test_an_identity_token_is_known(config: Path) -> None:
    write(config, auths={"a.io": {**auth("me", ""), "identitytoken": "refresh"}})
    found = look_up("a.io").credentials
    assert found is not None
    assert found.identity_token == "refresh"


def test_a_helper_for_the_host_is_asked_before_the_store(config: Path) -> None:
    helper(config, "one", 'read h; echo "{\\"Username\\":\\"u-$h\\",\\"Secret\\":\\"s\\"}"')
    helper(config, "two", "exit 1")
    write(config, credHelpers={"a.io": "one"}, credsStore="two", auths={"a.io": auth("x", "y")})
    assert look_up("a.io").credentials == Credentials("docker-credential-one", "u-a.io", "s")


def test_the_store_is_asked_for_docker_hub_by_its_old_name(config: Path) -> None:
    helper(config, "store", 'read h; echo "{\\"Username\\":\\"$h\\",\\"Secret\\":\\"s\\"}"')
    write(config, credsStore="store")
    found = look_up("docker.io").credentials
    assert found is not None
    assert found.username == "https://index.docker.io/v1/"


def test_a_helper_may_give_an_identity_token(config: Path) -> None:
    helper(config, "one", 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"refresh\\"}"')
    write(config, credHelpers={"a.io": "one"})
    found = look_up("a.io").credentials
    assert found is not None
    assert (found.username, found.identity_token) == ("", "refresh")


def test_a_helper_that_has_nothing_leaves_the_file(config: Path) -> None:
    helper(config, "one", "echo credentials not found in native keychain; exit 1")
    write(config, credsStore="one", auths={"a.io": auth("me", "pw")})
    assert look_up("a.io").credentials == Credentials(str(config), "me", "pw")
    assert look_up("b.io").describe() == (
        "no credentials: docker-credential-one has none for b.io:"
        f" credentials not found in native keychain; {elsewhere(config)}"
    )


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "docker-credential-one is not on the PATH"),
        ("echo nonsense", "docker-credential-one gave an answer that is no credential"),
        ("echo '[]'", "docker-credential-one gave an answer that is no credential"),
        ("echo boom >&2; exit 3", "docker-credential-one has none for a.io: boom"),
    ],
)
def test_a_helper_that_fails_is_said_and_no_error(
    config: Path, script: str | None, said: str
) -> None:
    if script is not None:
        helper(config, "one", script)
    write(config, credHelpers={"a.io": "one"})
    assert look_up("a.io").describe() == f"no credentials: {said}; {elsewhere(config)}"


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"a.io": {"auth": "!"}}}'])
def test_a_broken_file_is_named_and_not_shown(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(InfrastructureError) as caught:
        look_up("a.io")
    assert str(config) in caught.value.message


@pytest.mark.parametrize("content", [{"auths": None}, {"auths": {"a.io": None}}, {"auths": []}])
def test_an_empty_entry_means_anonymous(config: Path, content: dict[str, Any]) -> None:
    write(config, **content)
    assert look_up("a.io").credentials is None


def test_a_secret_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(Credentials("file", "me", "hunter2", "hunter2"))


@pytest.mark.parametrize(
    "entry",
    [
        {"auth": "\u00e9\u00e9"},
        {"username": "\ud800", "password": "x"},
        {"username": "me", "password": "\ud800"},
        {"identitytoken": "\ud800"},
    ],
)
def test_an_entry_that_no_header_can_have_is_named(config: Path, entry: dict[str, str]) -> None:
    write(config, auths={"ghcr.io": entry})
    with pytest.raises(InfrastructureError, match=r"the entry for ghcr.io cannot be decoded"):
        look_up("ghcr.io")


def test_a_configuration_without_a_bottom_cannot_be_read(config: Path) -> None:
    config.write_text("[" * 200_000)
    with pytest.raises(InfrastructureError, match="it is no JSON object"):
        look_up("ghcr.io")


@pytest.mark.parametrize("name", ["x\0y", "a/b"])
def test_a_helpers_name_that_is_none_is_said(config: Path, name: str) -> None:
    write(config, credsStore=name)
    assert "is no name of a credential helper" in look_up("ghcr.io").searched


def test_a_helper_whose_answer_no_header_can_have_is_said(config: Path) -> None:
    helper(config, "odd", """cat > /dev/null; echo '{"Username":"me","Secret":"\\ud800"}'""")
    write(config, credsStore="odd")
    assert "gave an answer that is no credential" in look_up("ghcr.io").searched


ORGANIZATIONS = {"r.io/org": auth("org", "o"), "r.io/org/a/deep": auth("deep", "d")}
HOST_TOO = {"r.io": auth("host", "h"), **ORGANIZATIONS}


@pytest.mark.parametrize(
    ("auths", "repository", "user"),
    [
        (HOST_TOO, "org/a/deep", "deep"),
        (HOST_TOO, "org/a/deep/er", "deep"),
        (HOST_TOO, "org/a/other", "org"),
        (HOST_TOO, "org/a/deeper", "org"),
        (HOST_TOO, "organization/a", "host"),
        (HOST_TOO, "", "host"),
        (ORGANIZATIONS, "organization/a", None),
        (ORGANIZATIONS, "", None),
        ({"r.io/a/": auth("me", "x")}, "a/b", "me"),
        ({"r.io/a": {}, "r.io": auth("host", "h")}, "a/b", "host"),
        # An old spelling of the host has a path that is none.
        ({"https://r.io/v1/": auth("old", "x"), **ORGANIZATIONS}, "b", "old"),
        ({"https://r.io/org": auth("old", "x")}, "b", "old"),
        ({"r.io/v2": auth("v2", "x"), "r.io": auth("host", "h")}, "v2/b", "v2"),
    ],
)
def test_the_longest_path_that_fits_counts(
    config: Path, auths: dict[str, Any], repository: str, user: str | None
) -> None:
    for order in (list(auths), list(reversed(auths))):
        write(config, auths={key: auths[key] for key in order})
        found = look_up("r.io", repository)
        assert (found.credentials and found.credentials.username) == user


def test_a_path_that_fits_no_other_repository_is_said_with_the_repository(config: Path) -> None:
    write(config, auths=ORGANIZATIONS)
    assert f"{config} has none for r.io/other/a;" in look_up("r.io", "other/a").describe()


def test_paths_of_docker_hub_are_known_by_both_names_of_it(config: Path) -> None:
    write(config, auths={"docker.io": auth("host", "h"), "index.docker.io/me": auth("me", "x")})
    for repository, user in (("me/image", "me"), ("library/busybox", "host")):
        found = look_up("docker.io", repository).credentials
        assert found is not None
        assert found.username == user


def test_a_helper_for_the_host_is_for_all_its_paths(config: Path) -> None:
    helper(config, "one", 'read h; echo "{\\"Username\\":\\"u-$h\\",\\"Secret\\":\\"s\\"}"')
    write(config, credHelpers={"r.io": "one"}, auths=HOST_TOO)
    assert look_up("r.io", "org/a").credentials == Credentials(
        "docker-credential-one", "u-r.io", "s"
    )


def test_the_store_of_all_hosts_is_not_asked_for_a_path_that_has_an_entry(config: Path) -> None:
    helper(config, "store", 'read h; echo "{\\"Username\\":\\"u-$h\\",\\"Secret\\":\\"s\\"}"')
    write(config, credsStore="store", auths=HOST_TOO)
    for repository, user in (("org/a", "org"), ("b", "u-r.io")):
        found = look_up("r.io", repository).credentials
        assert found is not None
        assert found.username == user


def test_a_helper_for_docker_hub_goes_by_its_old_name_too(config: Path) -> None:
    helper(config, "one", 'read h; echo "{\\"Username\\":\\"me\\",\\"Secret\\":\\"s\\"}"')
    write(config, credHelpers={"https://index.docker.io/v1/": "one"})
    assert look_up("docker.io", "library/busybox").credentials is not None


def test_files_of_podman_are_read_after_those_of_docker(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(named))
    files = [
        tmp_path / "config" / "containers" / "auth.json",
        tmp_path / "run" / "containers" / "auth.json",
        named,
        config,
    ]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, auths={"a.io/org": auth(f"user-{number}", "x")})
        assert look_up("a.io", "org/image").credentials == Credentials(
            str(file), f"user-{number}", "x"
        )
    assert look_up("a.io", "other").describe() == "no credentials: " + "; ".join(
        f"{file} has none for a.io/other" for file in reversed(files)
    )


def test_a_file_that_a_variable_names_and_that_is_not_there_is_said(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/nope")
    assert "/nope (from $REGISTRY_AUTH_FILE) does not exist" in look_up("a.io").describe()


def test_without_their_directories_files_of_podman_are_where_it_puts_them(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    file = tmp_path / "home" / ".config" / "containers" / "auth.json"
    file.parent.mkdir(parents=True)
    write(file, auths={"a.io": auth("me", "x")})
    found = look_up("a.io")
    assert found.credentials == Credentials(str(file), "me", "x")
    assert f"/run/containers/{os.getuid()}/auth.json does not exist" in found.searched


def test_a_broken_file_of_podman_is_named_with_its_variable(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "named.json"
    broken.write_text("{")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(broken))
    with pytest.raises(InfrastructureError, match=r"named\.json cannot be read") as caught:
        look_up("a.io")
    assert "$REGISTRY_AUTH_FILE" in str(caught.value.hint)
    write(config, auths={"a.io": auth("me", "x")})
    assert look_up("a.io").credentials is not None


def test_the_case_of_two_robots_of_one_host(config: Path) -> None:
    host = "127.0.0.1:5999"
    write(
        config,
        auths={f"{host}/org-{one}": auth(f"robot-{one}", one * 3) for one in ("a", "b")},
    )
    for repository, user in (("org-a/dag", "robot-a"), ("org-b/dag", "robot-b")):
        found = look_up(host, repository).credentials
        assert found is not None
        assert found.username == user
    assert look_up(host, "org-c/dag").credentials is None


def test_the_file_of_dockers_first_years_comes_last(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    old = tmp_path / ".dockercfg"
    write(old, **{"https://ghcr.io/v1/": auth("old", "pw"), "quay.io": auth("only", "pw")})
    write(config, auths={"ghcr.io": auth("new", "pw")})
    found = [look_up(host).credentials for host in ("ghcr.io", "quay.io", "other.io")]
    assert [one.username if one else None for one in found] == ["new", "only", None]
    assert f"{old} has none for other.io" in look_up("other.io").describe()

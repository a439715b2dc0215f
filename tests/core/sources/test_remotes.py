"""URIs of repositories: what git is asked for, and where that lies in the cache."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dag.core.sources.remotes import Remote, locate, submodule_uri
from dag.errors import UsageError


@pytest.mark.parametrize(
    ("uri", "path", "base", "protocol"),
    [
        ("https://h/a/b", "h/a/b", "https://h/a/b", "https"),
        ("https://H:8/a/b.git/", "h:8/a/b", "https://H:8/a/b.git/", "https"),
        ("git://git.example/pub/x.git", "git.example/pub/x", "git://git.example/pub/x.git", "git"),
        ("ssh://me@h:22/~me/x", "h:22/~me/x", "ssh://me@h:22/~me/x", "ssh"),
        ("git@h:a/b.git", "h/a/b", "git@h:a/b.git", "ssh"),
        ("git@h:/srv/b", "h/srv/b", "git@h:/srv/b", "ssh"),
        ("h:b", "h/b", "h:b", "ssh"),
        ("https://h//a/b", "h/a/b", "https://h//a/b", "https"),
        ("https://h/a//b.git//", "h/a/b", "https://h/a//b.git//", "https"),
        ("git@h:a//b", "h/a/b", "git@h:a//b", "ssh"),
    ],
)
def test_each_way_to_write_a_uri_has_its_place(
    uri: str, path: str, base: str, protocol: str
) -> None:
    assert locate(uri) == Remote(path, base, protocol)


@pytest.mark.parametrize(
    "uri",
    [
        "ssh://me:s3cret@h/x",
        "ssh://-oProxyCommand=x/y",
        "ssh://-x@h/y",
        "-x@h:y",
        "me:s3cret@h:y",
        "git@h:-x",
        "git@h:../x",
        "git@h:",
        "https://h//",
        "https://h/a/.git",
        "git@h:x y",
        "git@[::1]:x",
        "git://me@h/x",
        "git+ssh://h/x",
        "file:///srv/x",
        "/srv/x",
        "../x",
        "ext::sh -c true",
        "fd::7",
        "git::h:x",
        "https://${{vars.host}}/x",
    ],
)
def test_other_uris_are_refused_without_a_word_of_a_password(uri: str) -> None:
    with pytest.raises(UsageError) as caught:
        locate(uri)
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("uri", ["https://[::1]/a/b", "ssh://git@[fe80::1]:22/a", "git://[::1]/a"])
def test_a_literal_address_of_ipv6_is_told_to_be_none_for_the_cache(uri: str) -> None:
    with pytest.raises(
        UsageError, match=r"cannot be part of a path in the cache: the server needs"
    ):
        locate(uri)


# Close to what URIs look like, so that many of them are taken.
_TEXT = st.text("abzAZ09./:@-_~+%?#[]\\ \n\0é*$'\"=;", max_size=30)
_URIS = st.one_of(
    _TEXT, st.builds("{}{}".format, st.sampled_from(["git://", "ssh://", "a@"]), _TEXT)
)


@given(_URIS)
@example("git@h:x")
def test_whatever_is_taken_is_safe_as_a_path_a_word_and_a_line_of_configuration(uri: str) -> None:
    try:
        remote = locate(uri)
    except UsageError:
        return
    host, *components = remote.path.split("/")
    assert re.fullmatch(r"[a-z0-9.-]+(:\d+)?", host)
    assert components
    for component in components:
        assert re.fullmatch(r"[A-Za-z0-9_~+@][A-Za-z0-9_~+@.-]*", component)
        assert not component.endswith(".git")
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9/:@._~+-]*", remote.base)
    again = locate(remote.base)
    assert (again.path, again.base, again.protocol) == (remote.path, remote.base, remote.protocol)


@pytest.mark.parametrize(
    ("parent", "uri", "found"),
    [
        ("https://h/a/b", "../c", "https://h/a/c"),
        ("https://h/a/b.git/", "./c/", "https://h/a/b.git/c"),
        ("https://h/a/b", "https://other/x", "https://other/x"),
        ("git@h:a/b", "../c", "git@h:a/c"),
        ("git@h:b", "../c", "git@h:c"),
        ("ssh://git@h/a/b", "../../c", "ssh://git@h/c"),
    ],
)
def test_a_submodule_is_beside_its_parent_as_git_sees_it(parent: str, uri: str, found: str) -> None:
    assert submodule_uri(parent, uri) == found


def test_a_uri_without_a_scheme_is_told_how_one_begins() -> None:
    with pytest.raises(
        UsageError, match="the uri does not begin with https://, http://, git:// or"
    ):
        locate("repository")

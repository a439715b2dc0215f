"""The walk through a directory: what goes into a bundle, what is left out, and what is refused."""

from __future__ import annotations

import inspect
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dag.core.image.archive import Directory, File, Symlink
from dag.core.image.layers import split_layers
from dag.errors import UsageError
from dag.io.image.tree import OUT_MARK, DirectoryTree, definitions_tree

KEY = "-----BEGIN {kind}PRIVATE KEY-----\nMIIEvg\n-----END {kind}PRIVATE KEY-----\n"


def paths(tree: DirectoryTree) -> list[str]:
    return [entry.path for entry in tree.entries]


def test_everything_is_an_entry_of_its_kind(repo: Path) -> None:
    by_path = {entry.path: entry for entry in definitions_tree(repo).entries}
    assert list(by_path) == [
        "brotli.yaml",
        "empty",
        "link.yaml",
        "pipelines/go/build.yaml",
        "run.sh",
    ]
    assert by_path["link.yaml"] == Symlink("link.yaml", "brotli.yaml")
    assert by_path["empty"] == Directory("empty")
    script, definition = by_path["run.sh"], by_path["brotli.yaml"]
    assert isinstance(script, File)
    assert isinstance(definition, File)
    assert script.executable
    assert not definition.executable
    assert b"".join(definition.read()) == b"package:\n  name: brotli\n"
    assert b"".join(definition.read()) == b"package:\n  name: brotli\n"


def test_copies_with_other_times_modes_and_order_are_the_same(repo: Path, tmp_path: Path) -> None:
    for number in range(50):
        (repo / f"{number}.yaml").write_text(f"package: {{name: n{number}}}\n")
    copy = tmp_path / "copy"
    copy.mkdir()
    names = sorted(path.relative_to(repo) for path in repo.rglob("*"))
    directories = [name for name in names if (repo / name).is_dir()]
    files = [name for name in names if name not in directories]
    random.Random(3).shuffle(files)
    for name in directories:
        (copy / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in files:
        shutil.copyfile(repo / name, copy / name, follow_symlinks=False)
        if not (copy / name).is_symlink():
            (copy / name).chmod(0o700 if name == Path("run.sh") else 0o600)
            os.utime(copy / name, (1, 1))
    one, two = definitions_tree(repo), definitions_tree(copy)
    assert [layer.digest() for layer in split_layers(one.entries)] == [
        layer.digest() for layer in split_layers(two.entries)
    ]


def test_history_packages_and_cache_stay_out(repo: Path) -> None:
    for name in (".git/config", "packages/x86_64/a.apk", "cache/sha256:00", "pipelines/.git"):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text("x")
    (repo / "pipelines" / "cache").mkdir()
    (repo / "pipelines" / "cache" / "stays.yaml").write_text("")
    tree = definitions_tree(repo)
    assert [path for path in paths(tree) if "cache" in path] == ["pipelines/cache/stays.yaml"]
    assert not [path for path in paths(tree) if ".git" in path or "packages" in path]
    assert tree.notes() == [
        "left out .git/ and 1 more: the repository's history",
        "left out cache/: fetched sources",
        "left out packages/: built packages",
    ]


def test_include_brings_packages_in(repo: Path) -> None:
    for name in ("x86_64/boot-1-r0.apk", "x86_64/other-1-r0.apk", "aarch64/boot-1-r0.apk"):
        (repo / "packages" / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / "packages" / name).write_text(name)
    tree = definitions_tree(repo, include=["packages/*/boot-*.apk"])
    assert [path for path in paths(tree) if path.startswith("packages")] == [
        "packages/aarch64/boot-1-r0.apk",
        "packages/x86_64/boot-1-r0.apk",
    ]
    assert tree.notes() == ["left out packages/x86_64/other-1-r0.apk: built packages"]
    assert "packages/x86_64/other-1-r0.apk" in paths(
        definitions_tree(repo, include=["packages/x86_64/"])
    )


def test_include_that_matches_nothing_is_an_error(repo: Path) -> None:
    with pytest.raises(UsageError, match="--include packages/none"):
        definitions_tree(repo, include=["packages/none"])


def test_include_never_brings_a_key_in(repo: Path) -> None:
    (repo / "packages").mkdir()
    (repo / "packages" / "melange.rsa").write_text(KEY.format(kind=""))
    tree = definitions_tree(repo, include=["packages/"])
    assert tree.notes() == ["left out packages/melange.rsa: a private key"]


def test_ignore_files_are_honoured_both_and_the_later_decides(repo: Path) -> None:
    for name in ("a.log", "b.log", "docs/x.md", "docs/y.md", "keep.tmp"):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text("x")
    (repo / ".dockerignore").write_text("*.log\ndocs\n*.tmp\n")
    (repo / ".dagignore").write_text("!docs/y.md\n!keep.tmp\n")
    tree = definitions_tree(repo)
    stay = {"docs/y.md", "keep.tmp", ".dockerignore", ".dagignore"}
    assert stay <= set(paths(tree))
    assert not {"a.log", "b.log", "docs/x.md"} & set(paths(tree))
    assert tree.notes() == [
        "left out a.log and 1 more: *.log (.dockerignore:1)",
        "left out docs/x.md: docs (.dockerignore:2)",
    ]


def test_what_is_ignored_is_not_even_looked_at(repo: Path) -> None:
    os.mkfifo(repo / "pipe")
    (repo / "out").symlink_to("/etc")
    (repo / ".dagignore").write_text("pipe\nout\n")
    assert "pipe" not in paths(definitions_tree(repo))


@pytest.mark.parametrize(
    "text",
    [
        KEY.format(kind=""),
        KEY.format(kind="RSA "),
        KEY.format(kind="EC "),
        KEY.format(kind="ENCRYPTED "),
        KEY.format(kind="OPENSSH "),
        "\n\n" + KEY.format(kind=""),
        "\ufeff" + KEY.format(kind=""),
        KEY.format(kind="").replace("\n", "\r\n"),
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n" + KEY.format(kind=""),
        "Bag Attributes\n    friendlyName: x\n" + KEY.format(kind=""),
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ\n-----END PGP PRIVATE KEY BLOCK-----\n",
    ],
)
def test_a_private_key_is_left_out_whatever_its_name(repo: Path, text: str) -> None:
    (repo / "secret.txt").write_bytes(text.encode())
    tree = definitions_tree(repo)
    assert "secret.txt" not in paths(tree)
    assert tree.notes() == ["left out secret.txt: a private key"]


def test_keys_that_openssl_makes_are_left_out(repo: Path) -> None:
    for name, kind in (("one", ["-algorithm", "RSA"]), ("two", ["-algorithm", "ED25519"])):
        subprocess.run(
            ["openssl", "genpkey", *kind, "-out", repo / name], check=True, capture_output=True
        )
    assert not {"one", "two"} & set(paths(definitions_tree(repo)))


def test_a_key_at_the_end_of_a_large_file_is_left_out(repo: Path) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
    (repo / "large.pem").write_text(certificate * 40_000 + KEY.format(kind=""))
    assert "large.pem" not in paths(definitions_tree(repo))


def test_rsa_is_left_out_by_name_and_pub_stays(repo: Path) -> None:
    (repo / "melange.rsa").write_bytes(b"\x30\x82 not PEM")
    (repo / "link.rsa").symlink_to("brotli.yaml")
    (repo / "melange.rsa.pub").write_text(KEY.format(kind="").replace("PRIVATE", "PUBLIC"))
    tree = definitions_tree(repo)
    assert "melange.rsa.pub" in paths(tree)
    assert tree.notes() == [
        "left out link.rsa: a private key",
        "left out melange.rsa: a private key",
    ]


def test_a_definition_that_shows_a_key_stays(repo: Path) -> None:
    (repo / "ca.yaml").write_text(
        "package:\n  name: ca\npipeline:\n  - runs: |\n      cat > k <<E\n"
        + KEY.format(kind="")
        + "      E\n"
    )
    tree = definitions_tree(repo)
    assert "ca.yaml" in paths(tree)
    assert tree.left_out == ()


def test_links_inside_stay_also_when_they_dangle(repo: Path) -> None:
    (repo / "gone.yaml").symlink_to("pipelines/nothing/../../brotli.yaml")
    (repo / "pipelines" / "up.yaml").symlink_to("../brotli.yaml")
    (repo / "dir").symlink_to("pipelines")
    (repo / "loop").symlink_to("loop")
    entries = definitions_tree(repo).entries
    assert Symlink("gone.yaml", "pipelines/nothing/../../brotli.yaml") in entries
    assert Symlink("pipelines/up.yaml", "../brotli.yaml") in entries
    assert Symlink("dir", "pipelines") in entries
    assert Symlink("loop", "loop") in entries


@pytest.mark.parametrize(
    "target", ["/etc/hostname", "../outside", "../repo/brotli.yaml", "pipelines/../../x", "out/x"]
)
def test_a_link_that_leaves_the_directory_is_an_error(repo: Path, target: str) -> None:
    (repo / ".dagignore").write_text("out\n")
    (repo / "out").symlink_to("..")
    (repo / "bad.yaml").symlink_to(target)
    with pytest.raises(UsageError, match=r"bad\.yaml is a link that leaves") as caught:
        definitions_tree(repo)
    assert target in caught.value.message


def test_the_directory_itself_may_be_a_link(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(repo)
    assert paths(definitions_tree(tmp_path / "alias")) == paths(definitions_tree(repo))


def test_a_pipe_for_the_patterns_is_not_waited_for(repo: Path) -> None:
    os.mkfifo(repo / ".dagignore")
    with pytest.raises(UsageError, match=r"\.dagignore cannot be read: it is a named pipe"):
        definitions_tree(repo)


def test_a_directory_may_be_deeper_than_the_stack(repo: Path) -> None:
    # The depth stays below Python's limit, which also holds for whatever removes this later.
    deep = "/".join(["d"] * 400)
    (repo / deep).mkdir(parents=True)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        tree = definitions_tree(repo)
    finally:
        sys.setrecursionlimit(limit)
    assert deep in paths(tree)


def test_a_pipe_is_refused_by_name(repo: Path) -> None:
    os.mkfifo(repo / "pipe")
    with pytest.raises(UsageError, match="pipe is a named pipe"):
        definitions_tree(repo)


def test_a_socket_is_refused_by_name(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)  # the path of a socket may have 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        with pytest.raises(UsageError, match="sock is a socket"):
            definitions_tree(repo)


def test_a_name_that_is_not_utf8_is_refused(repo: Path) -> None:
    with open(os.fsencode(repo) + b"/caf\xe9.yaml", "wb"):  # noqa: PTH123
        pass
    with pytest.raises(UsageError, match=r"caf\\xe9\.yaml' is no UTF-8"):
        definitions_tree(repo)


def test_a_target_that_is_not_utf8_is_refused(repo: Path) -> None:
    (repo / "l").symlink_to(os.fsdecode(b"caf\xe9"))
    with pytest.raises(UsageError, match="the target of l"):
        definitions_tree(repo)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root's right to read everything")
@pytest.mark.parametrize("kind", ["file", "directory", ".dagignore"])
def test_what_cannot_be_read_is_named(repo: Path, kind: str) -> None:
    # pytest keeps others out of its directories, and each run of it closes them anew.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        _check_unreadable(shutil.copytree(repo, place / "repo", symlinks=True), kind)


def _check_unreadable(repo: Path, kind: str) -> None:
    path = {"file": repo / "brotli.yaml", "directory": repo / "pipelines"}.get(
        kind, repo / ".dagignore"
    )
    path.touch()
    path.chmod(0)
    # It runs in a process of its own, because an identity is given up for good.
    code = (
        "import os, sys\n"
        "from dag.errors import UsageError\n"
        "from dag.io.image.tree import definitions_tree\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: definitions_tree(sys.argv[1])\n"
        "except UsageError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, repo], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"{path} cannot be read: Permission denied\n"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none cannot be read: No such file"):
        definitions_tree(tmp_path / "none")


# Small files are kept when they are found; these are read again.
LARGE = b"x" * (2 << 20)


@pytest.mark.parametrize("change", ["longer", "shorter", "other", "replaced", "link", "removed"])
def test_a_file_that_changes_is_noticed_when_it_is_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "source.tar"
    path.write_bytes(LARGE)
    (entry,) = definitions_tree(tmp_path).entries
    assert isinstance(entry, File)
    match change:
        case "longer":
            path.write_bytes(LARGE + b"r")
        case "shorter":
            path.write_bytes(b"")
        case "other":
            path.write_bytes(bytes(len(LARGE)))
            os.utime(path, ns=(0, 5))
        case "replaced":
            (tmp_path / "new").write_bytes(LARGE)
            (tmp_path / "new").rename(path)
        case "link":
            path.unlink()
            path.symlink_to("/etc/hostname")
        case _:
            path.unlink()
    with pytest.raises(UsageError, match=r"source\.tar (changed while|cannot be read)"):
        list(entry.read())


def test_a_file_that_changes_between_two_pieces_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "source.tar"
    path.write_bytes(bytes(3 << 20))
    (entry,) = definitions_tree(tmp_path).entries
    assert isinstance(entry, File)
    pieces = iter(entry.read())
    next(pieces)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(UsageError, match="changed while it was read"):
        list(pieces)


def test_what_an_earlier_pod_brought_back_is_left_out_unless_it_is_asked_for(repo: Path) -> None:
    (repo / "built/x86_64").mkdir(parents=True)
    (repo / "built/x86_64/a.apk").write_text("a")
    (repo / "built" / OUT_MARK).touch()
    (repo / OUT_MARK).touch()  # the directory of --out
    tree = definitions_tree(repo)
    assert ("built/", "what dag pod --out brought back") in [
        (one.path, one.reason) for one in tree.left_out
    ]
    assert not [entry for entry in tree.entries if entry.path.startswith("built")]
    tree = definitions_tree(repo, include=["built/**"])
    assert "built/x86_64/a.apk" in [entry.path for entry in tree.entries]

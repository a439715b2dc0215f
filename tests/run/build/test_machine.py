"""A package is the same whatever the machine has beside what goes into it."""

from __future__ import annotations

import shutil
from pathlib import Path

from dag.io.removal import remove
from dag.io.sources.cache import Cache
from dag.io.sources.git.stored import write_config
from tests.support.apks import file_in, read
from tests.support.builds import Make, definition, new_key, run
from tests.support.users import bring, build_as, give_to_nobody

SHOWS = 'echo "config: $GIT_CONFIG_SYSTEM"; cat "$GIT_CONFIG_SYSTEM" || true'


def built(place: Path, *words: str) -> tuple[str, str, str]:
    """Build `app` again; return the digest of its package, what that tells of its build, and the log."""
    code, _, said = run(place, "--rebuild", "app", *words)
    assert code == 0, said
    (package,) = (place / "packages/x86_64").glob("app-*.apk")
    log = (place / "packages/logs/x86_64/app.log").read_text()
    return read(package).sha256, file_in(package, ".melange.yaml").decode(), log


def add_cache(place: Path) -> None:
    """Make a cache beside the definitions that leads git to what it has."""
    (place / "cache").mkdir()
    write_config(Cache(place / "cache"))


def test_a_package_does_not_tell_whether_there_was_a_cache(make: Make) -> None:
    place = make(app=definition("app", runs=SHOWS))
    digest, told, log = built(place)
    assert "config: /" not in log
    add_cache(place)
    with_cache, told_with_cache, log = built(place)
    assert "config: /var/cache/melange/gitconfig" in log
    assert "[includeIf" in log or "[safe]" in log
    assert told_with_cache == told
    assert with_cache == digest


def test_with_trusted_steps_git_finds_the_cache_all_the_same(make: Make) -> None:
    place = make(app=definition("app", runs=SHOWS))
    add_cache(place)
    _, told, log = built(place, "--trust-steps")
    assert "config: /var/cache/melange/gitconfig" in log
    assert "GIT_CONFIG_SYSTEM" in told


def test_a_definition_that_has_its_own_settings_for_git_keeps_them(make: Make) -> None:
    text = definition("app", runs=SHOWS).replace(
        "pipeline:\n", "  environment: {GIT_CONFIG_SYSTEM: /etc/passwd}\npipeline:\n"
    )
    place = make(app=text)
    add_cache(place)
    assert "config: /etc/passwd" in built(place)[2]


def test_a_package_does_not_tell_where_the_keys_are(make: Make, tmp_path: Path) -> None:
    place = make(app=definition("app"))
    (tmp_path / "mine").mkdir()
    new_key(tmp_path / "mine")
    shutil.copytree(tmp_path / "mine", tmp_path / "another's/keys")
    keyring = Path((place / "dag.toml").read_text().split('"')[3])
    shutil.copy(keyring, tmp_path / "another's/keys")
    digest, told, _ = built(place, "--signing-key", str(tmp_path / "mine/my.rsa"))
    assert "my.rsa.pub" in told
    assert str(tmp_path) not in told
    assert str(keyring.parent) not in told
    settings = (place / "dag.toml").read_text()
    moved = settings.replace(str(keyring), str(tmp_path / "another's/keys" / keyring.name))
    (place / "dag.toml").write_text(moved)
    again, told_again, _ = built(place, "--signing-key", str(tmp_path / "another's/keys/my.rsa"))
    assert told_again == told
    assert again == digest


def test_a_package_does_not_tell_which_user_built_it(make: Make, base: Path) -> None:
    place, home = bring(make(app=definition("app")), base), base / "home"
    home.mkdir()
    digests = []
    for as_nobody in (False, True):
        store = base / f"store-{as_nobody}"
        store.mkdir()
        if as_nobody:
            give_to_nobody(base)
        code, said = build_as(place, home, "--store", str(store), as_nobody=as_nobody)
        assert code == 0, said
        digests.append(read(store / "x86_64/app-1-r0.apk").sha256)
        remove(store)
    assert digests[0] == digests[1]

"""What melange finds when it builds a package is installed with that."""

from __future__ import annotations

import pytest

from dag.core.package.apk import Apk
from dag.core.store.records import Built
from dag.core.store.shelf import Shelf, lacking_names, packages_to_install


def apk(
    name: str, *depends: str, provides: str = "", priority: int = 0, version: str = "1-r0"
) -> Built:
    return Built(
        apk=Apk(
            name=name,
            version=version,
            arch="x86_64",
            origin=name,
            depends=depends,
            provides=tuple(provides.split()),
            installed_size=1,
            data_hash="00" * 32,
            sha256="00" * 32,
            size=1,
            stanza=f"P:{name}\nk:{priority}\nV:{version}",
        )
    )


def nobody(text: str) -> None:
    """Return the definition that gives a need: there is none."""


def shelf(*built: Built) -> Shelf:
    made = Shelf()
    made.add(built)
    return made


def install(made: Shelf, *names: str, **more: tuple[str, ...]) -> list[str]:
    return sorted(packages_to_install(names, made, nobody, **more))


def test_what_turned_out_to_be_needed_comes_with_its_own_needs() -> None:
    made = shelf(
        apk("scripts", "cmd:zfoo", "so:libc.so.6"),
        apk("ztool", "so:libz.so.1>=1", provides="cmd:zfoo=1-r0"),
        apk("zlib", provides="so:libz.so.1=1.2 pc:zlib=1.2"),
        apk("other", provides="cmd:other=1"),
    )
    assert install(made, "scripts") == ["scripts", "zlib", "ztool"]
    assert install(made, "scripts", available=("cmd:zfoo",)) == ["scripts"]
    assert install(made, "scripts", without=("ztool",)) == ["scripts"]
    found = packages_to_install(["scripts"], made, nobody)
    assert lacking_names(found, made, nobody, ()) == {"so:libc.so.6": "scripts"}
    assert lacking_names(found, made, nobody, ("so:libc.so.6",)) == {}


def test_of_several_it_is_the_one_that_is_there_or_that_apko_takes() -> None:
    makers = (
        apk("a", provides="cmd:x=1-r0"),
        apk("b", provides="cmd:x=2-r0"),
        apk("c", provides="cmd:x=2-r0", priority=5),
        apk("d", provides="cmd:x=2-r0", priority=5, version="2-r0"),
        apk("e", provides="cmd:x=2-r0", priority=5, version="2-r0"),
    )
    user = apk("user", "cmd:x")
    assert install(shelf(user, *makers), "user") == ["d", "user"]
    assert install(shelf(user, *makers[:3]), "user") == ["c", "user"]
    assert install(shelf(user, *makers[:2]), "user") == ["b", "user"]
    assert install(shelf(user, *makers), "user", "a") == ["a", "user"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("so:x=1.1-r0", "so:x=1.01-r0"),  # they are equal, so the name decides
        ("so:x=1.2-r0", "so:x=3"),  # a library without a release is less than any with one
        ("so:x", "so:x=3"),  # one without a version is equal to all
        ("so:x=0-r0", "so:x=latest"),
    ],
)
def test_versions_of_a_name_are_compared_as_apko_does(one: str, other: str) -> None:
    made = shelf(apk("a", provides=one), apk("b", provides=other), apk("user", "so:x"))
    assert install(made, "user") == ["a", "user"]


def test_a_package_that_is_built_anew_gives_what_it_gives_now() -> None:
    made = shelf(apk("ztool", provides="cmd:zfoo=1-r0"), apk("user", "cmd:zfoo"))
    made.add([apk("ztool", provides="cmd:zbar=2-r0")])
    assert (made.has("cmd:zfoo"), made.has("cmd:zbar"), made.has("ztool")) == (False, True, True)
    assert install(made, "user") == ["user"]

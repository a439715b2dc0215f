"""Makefiles of both kinds, which their rules tell apart."""

import pytest

from dag.core.arch import Arch
from dag.core.package.makefile import APK_TEMPLATE, NAME_TEMPLATE, KeyMaker, Makefile, read_makefile
from dag.core.package.model import Package
from dag.errors import UsageError

OF_2023 = """
ARCH := $(shell uname -m)
KEY ?= local-melange.rsa
all: ${KEY} .build-packages
${KEY}:
\t${MELANGE} keygen ${KEY}
define build-package
packages/$(1): packages/$(ARCH)/$(1)-$(2).apk
packages/$(ARCH)/$(1)-$(2).apk: ${KEY}
\tmkdir -p ./$(1)/
endef
$(eval $(call build-package,zlib,1.2.13-r1))
"""
OF_TODAY = """
KEY ?= local-melange.rsa
$(KEY):
\t$(MELANGE) keygen $(KEY)
package/%: $(KEY)
\t$(MELANGE) build $*.yaml
test/%:
\tall: is not a rule here
packages/$(ARCH)/%.apk: $(KEY)
"""


def signing(flags: str, more: str = "", prerequisite: str = "$(KEY)") -> Makefile:
    return read_makefile(
        f"{more}package/%: {prerequisite}\n\tmelange build $*.yaml {flags} --source-dir ./$*/\n"
    )


@pytest.mark.parametrize(
    ("flags", "more", "key", "has_key"),
    [
        ("--signing-key $(KEY)", "", "melange.rsa", False),
        ("--signing-key=${KEY}", "${KEY}: ; x\n", "melange.rsa", True),
        ("--signing-key melange.rsa", "", "melange.rsa", False),
        ("--signing-key local.rsa", "", "local.rsa", False),
        ("--signing-key ./local.rsa", "", "local.rsa", False),
        ("--signing-key='local.rsa'", "local.rsa: ; x\n", "local.rsa", True),
        ("--signing-key local.rsa", "melange.rsa: ; x\n", "local.rsa", False),
        ("--signing-key local.rsa", "%.rsa: ; x\n", "local.rsa", True),
        ("--signing-key $(SIGN)", "SIGN = $(NAME).rsa\nNAME := own\n", "own.rsa", False),
        ("--signing-key $(SIGN)", "SIGN ?= $(KEY)\n", "melange.rsa", False),
        ("--signing-key $(SIGN)", "SIGN = $(shell cat name)\n", "melange.rsa", False),
        ("--signing-key local.rsa", "# --signing-key other.rsa\n", "local.rsa", False),
        (
            "--signing-key local.rsa",
            "x: ; melange sign --signing-key o.rsa\n",
            "melange.rsa",
            False,
        ),
        ("--signing-key ../local.rsa", "", "melange.rsa", False),
        ("--signing-key", "", "melange.rsa", False),
        ("", "", "melange.rsa", False),
    ],
)
def test_the_key_is_where_melange_is_told_to_find_it(
    flags: str, more: str, key: str, *, has_key: bool
) -> None:
    makefile = signing(flags, more)
    assert (makefile.key, makefile.has_key) == (key, has_key)
    assert not [note for note in makefile.notes("KEY") if "$(KEY)" in note] or "../" in flags


def test_a_key_that_nobody_makes_is_said() -> None:
    for place in ("/etc/keys/own.rsa", "keys/own.rsa", "../own.rsa"):
        (note,) = signing(f"--signing-key {place}").notes()
        assert note.startswith(f"the Makefile signs with {place} and has no rule that makes it")
    assert signing("--signing-key keys/own.rsa", "keys/own.rsa: ; x\n").notes() == []


def test_a_key_of_the_users_that_does_not_reach_melange_is_said() -> None:
    note = signing("--signing-key melange.rsa").foreign_key_note("--secret-key")
    assert note is not None
    assert note.startswith(
        "the Makefile signs with melange.rsa, whatever $(KEY) is, so --secret-key does not reach"
    )
    assert signing("--signing-key $(KEY)").foreign_key_note("--secret-key") is None


def test_the_makefile_of_2023_has_all_and_a_file_a_package() -> None:
    makefile = read_makefile(OF_2023)
    assert makefile.has_all
    assert makefile.has_key
    assert makefile.template == APK_TEMPLATE


def test_the_makefile_of_today_has_a_name_a_package_and_no_all() -> None:
    makefile = read_makefile(OF_TODAY)
    assert not makefile.has_all
    assert makefile.has_key
    assert makefile.template == NAME_TEMPLATE


@pytest.mark.parametrize(
    "line", ["all := yes", "all ::= yes", "# all: no", "\tall: no", "small: x"]
)
def test_what_only_looks_like_a_rule_is_none(line: str) -> None:
    assert not read_makefile(line + "\n").has_all


@pytest.mark.parametrize(
    "rule", ["$(PKGS:%=package/%): package/%: $(KEY)", "$(ALL): package/% : x", "package/a: y"]
)
def test_a_package_by_its_name_has_rules_of_several_forms(rule: str) -> None:
    assert read_makefile(f"{rule}\n\techo $*\n").template == NAME_TEMPLATE


def test_all_counts_among_several_targets_of_a_rule() -> None:
    assert read_makefile("build all: x\n").has_all
    assert read_makefile("all:: x\n").has_all


def test_the_flag_wins_over_the_rules() -> None:
    assert read_makefile(OF_TODAY, "{name}.apk").template == "{name}.apk"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("package/{nome}", "unknown field"),
        ("package/", "the same target"),
        ("package/{name", "expected"),
        ("package/{name!r}", "plainly"),
        ("{name.__class__}", "unknown field"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read_makefile("", template)


PLAIN = "all: a.apk\n%.apk: %.yaml key.rsa\n\tmelange build $< --signing-key key.rsa\n"


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        (PLAIN, {"KEY", "MELANGE_EXTRA_OPTS"}),
        (PLAIN.replace("key.rsa", "${KEY}"), {"MELANGE_EXTRA_OPTS"}),
        (PLAIN.replace("key.rsa", "$(KEY) $(MELANGE_EXTRA_OPTS)"), set()),
        (PLAIN.replace("key.rsa", "$$KEY $${MELANGE_EXTRA_OPTS}"), set()),
        (f"KEY = key.rsa\n{PLAIN}", {"KEY", "MELANGE_EXTRA_OPTS"}),
        (PLAIN.replace("--signing-key key.rsa", ""), {"KEY", "MELANGE_EXTRA_OPTS"}),
        (f"include common.mk\n{PLAIN}", set()),
        (PLAIN.replace("melange build", "${MELANGE} build"), {"KEY", "MELANGE_EXTRA_OPTS"}),
        ("all: ; @echo nothing of melange\n", set()),
    ],
)
def test_what_a_makefile_calls_melange_without_is_told(text: str, unread: set[str]) -> None:
    makefile = read_makefile(text)
    assert makefile.unread == unread
    notes = makefile.notes("KEY", "MELANGE_EXTRA_OPTS")
    # A key is made under the name that the Makefile has for it.
    told = unread - {"KEY"} if makefile.other_key else unread
    assert [note.partition("$(")[2].partition(")")[0] for note in notes] == sorted(told)


X86 = Arch.parse("x86_64")
APKS = "packages/x86_64/{}-1.0-r0.apk"
FINDS = "package/%: ${KEY}\n\t${MELANGE} build $(shell find . -maxdepth 2 -name '$*.yaml')\n"


@pytest.mark.parametrize(
    ("text", "template", "expected", "is_told"),
    [
        (OF_TODAY, None, "package/melange", False),
        (FINDS, None, "package/melange", False),
        ("package/%: %.yaml\n\tmelange build $<\n", None, "package/melange", False),
        ("package/%:\n\tmelange build $$(./yaml-of $*)\n", None, "package/myapp", True),
        (f"package/myapp:\n\tmelange build melange.yaml\n{FINDS}", None, "package/myapp", False),
        (OF_2023, None, APKS.format("myapp"), True),
        (f"{OF_2023}$(eval $(call build-package,melange,1.0-r0))\n", None, APKS.format("melange"), False),
        (f"{OF_2023}$(eval $(call build-package,myapp,1.0-r0))\n", None, APKS.format("myapp"), True),
        (OF_TODAY, "make-{name}", "make-myapp", False),
    ],
)  # fmt: skip
def test_a_file_of_another_name_has_a_target_that_works_or_a_word(
    text: str, template: str | None, expected: str, is_told: bool
) -> None:
    odd = Package(name="myapp", version="1.0", epoch=0, file="melange.yaml", line=2)
    even = Package(name="lib", version="1.0", epoch=0, file="lib.yaml", line=2)
    makefile = read_makefile(text, template)
    assert makefile.targets([odd], X86) == [expected]
    assert makefile.targets([even], X86) == [
        expected.replace("melange", "lib").replace("myapp", "lib")
    ]
    notes = makefile.file_notes([odd, even])
    assert [note.partition(",")[0] for note in notes] == (
        ["melange.yaml:2: this is myapp"] if is_told else []
    )


@pytest.mark.parametrize(
    "stem", ["a;touch b", "$(touch b)", "a`touch b`", "a b", "a|b", "a'b", "é"]
)
def test_a_name_of_a_file_that_a_shell_would_run_is_no_target(stem: str) -> None:
    package = Package(name="myapp", version="1.0", epoch=0, file=f"{stem}.yaml", line=2)
    makefile = read_makefile(FINDS)
    if stem == "é":
        assert makefile.targets([package], X86) == ["package/é"]
        assert makefile.file_notes([package]) == []
    else:
        assert makefile.targets([package], X86) == ["package/myapp"]
        (note,) = makefile.file_notes([package])
        assert note.startswith(f"{stem}.yaml:2: this is myapp, for which the Makefile's rules")


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ("${KEY}:\n\tmelange keygen ${KEY}\nall: ${KEY}\n", KeyMaker.RULE),
        ("package/%: $(KEY)\n\tmelange build $*.yaml\n", KeyMaker.MELANGE),
        ("all:\n\tmelange build a.yaml --signing-key my.rsa\n", KeyMaker.MELANGE),
        ("all:\n\tsh job.sh\n", KeyMaker.NOBODY),
    ],
)
def test_a_key_is_made_for_a_makefile_that_speaks_of_one(text: str, maker: KeyMaker) -> None:
    assert read_makefile(text).key_maker is maker


def test_a_definition_in_a_definition_is_read() -> None:
    text = """
define outer
define inner
packages/$(ARCH)/$(1)-$(2).apk: $(KEY)
\tmelange build $(1).yaml
endef
endef
"""
    assert read_makefile(text).template == APK_TEMPLATE

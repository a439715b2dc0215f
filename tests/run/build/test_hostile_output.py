"""What a step writes is shown, and neither a terminal nor dag does what it says."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.builds import Make, definition, run

TALKS = r"""printf '\033]52;c;ZXZpbA==\007\033[2J\r[build] dag: done, everything is there\n'
printf '\302\2332J \342\200\256cod.exe\n::error::x\n##vso[task.complete]\n<script>\n'
printf 'nul \000 bell \007 back \b red \033[31mred\033[0m\n'
echo 'no space left on device'
exit 1"""


def test_a_line_of_a_log_is_visible_everywhere_and_decides_nothing(
    make: Make, tmp_path: Path
) -> None:
    place = make(talks=definition("talks", runs=TALKS))
    page = tmp_path / "page.md"
    words = ("--json", "--junit", "junit.xml", "--markdown", str(page))
    code, out, said = run(place, *words)
    assert code == 1, said
    # The disk has room, whatever the log says: it is tried once.
    assert "tried again" not in said
    assert "FAILED talks 1-r0: exit status 1 in a step" in said
    for text in (out, said, page.read_text(), (place / "junit.xml").read_text()):
        assert text.replace("\n", "").replace("\t", "").isprintable()
        assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
        assert "##vso[" not in text
    assert r"\x1b]52;c;ZXZpbA==\x07\x1b[2J\r[build] dag: done, everything is there" in said
    assert r"\x9b2J \u202ecod.exe" in said
    assert "red red" in said
    unit = json.loads(out)["units"][0]
    assert unit["attempts"] == 1

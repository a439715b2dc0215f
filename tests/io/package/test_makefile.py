"""The Makefile beside the definitions is found as make would find it."""

from pathlib import Path

from dag.core.package.makefile import NAME_TEMPLATE
from dag.io.package.makefile import find_makefile


def test_what_it_includes_counts(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "Makefile").write_text("-include none.mk $(MORE)\ninclude rules/*.mk # all\n")
    (tmp_path / "rules" / "a.mk").write_text("all: x\ninclude rules/b.inc Makefile\n")
    (tmp_path / "rules" / "b.inc").write_text("package/%:\n\ttrue\n")
    makefile = find_makefile(tmp_path, None)
    assert makefile is not None
    assert makefile.has_all
    assert makefile.template == NAME_TEMPLATE

"""Steps read no environment but their own: the build's own has logins, of proxies and of repositories."""

from __future__ import annotations

import pytest

from tests.support.builds import Make, definition, run

READS = "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | sort -u"


@pytest.mark.parametrize("flags", [(), ("--hermetic",)])
def test_a_step_reads_no_variable_of_the_build_also_of_the_processes_beside_it(
    make: Make, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    monkeypatch.setenv("HTTP_AUTH", "basic:a.example:me:secret")
    monkeypatch.setenv("https_proxy", "http://me:secret@a.example:1")
    place = make(reading=definition("reading", runs=READS))
    code, _, said = run(place, *flags)
    assert code == 0, said
    log = (place / "packages/logs/x86_64/reading.log").read_text()
    assert "HOME=" in log
    assert "secret" not in log

"""A step may leave what nobody can read to its end: its package is broken soon, and nothing waits."""

from __future__ import annotations

from tests.support.builds import Make, apks, definition, run

OUT = "${{targets.destdir}}"


def test_a_pipe_in_a_package_ends_the_step_and_one_beside_it_is_nobody_s_business(
    make: Make,
) -> None:
    # melange opens each of these to look for what a package needs and gives.
    program = f'mkdir -p "{OUT}/usr/bin"\nmkfifo -m 755 "{OUT}/usr/bin/pipe"'
    config = f'mkdir -p "{OUT}/usr/lib/pkgconfig"\nmkfifo "{OUT}/usr/lib/pkgconfig/a.pc"'
    place = make(
        program=definition("program", runs=program),
        config=definition("config", runs=config),
        beside=definition("beside", runs="mkfifo /home/build/pipe"),
        daemon=definition("daemon", runs="(setsid busybox sleep 1000 >/dev/null 2>&1 &)"),
    )
    code, _, said = run(place)
    assert code == 1, said
    words = "the step has left a pipe in the package, {}, which melange would read for ever"
    assert words.format("program/usr/bin/pipe") in said
    assert words.format("config/usr/lib/pkgconfig/a.pc") in said
    assert apks(place) == ["beside-1-r0.apk", "daemon-1-r0.apk"]

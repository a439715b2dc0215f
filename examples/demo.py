"""The demonstration `make demo`, which builds the example distribution on this machine.

Everything is in one directory, by default `out/demo`, which is emptied first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cluster import parts
from cluster.system import explained, say
from examples.layout import lay_out
from examples.sources import SourceServer


def demo(directory: Path) -> None:
    """Write the distribution, build it, list the packages, and exit with the exit code of dag."""
    shutil.rmtree(directory, ignore_errors=True)
    with SourceServer() as server:
        lay_out(directory, source_url=server.url)
        say(f"the example distribution is in {directory}, its upstream projects at {server.url}")
        command = ["build", "--dir", str(directory)]
        say(f"$ dag {' '.join(command)}")
        path = f"{parts.build('melange')}{os.pathsep}{os.environ['PATH']}"
        code = _run([sys.executable, "-m", "dag", *command], {**os.environ, "PATH": path})
    for package in sorted(directory.glob("packages/*/*.apk")):
        say(f"{package.stat().st_size:>8,} bytes  {package}")
    sys.exit(code)


def _run(command: list[str], environment: dict[str, str]) -> int:
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                pass  # dag has received the Ctrl-C, too, and will end soon


if __name__ == "__main__":
    sys.exit(explained(lambda: demo(Path(*sys.argv[1:2] or ["out/demo"]))))

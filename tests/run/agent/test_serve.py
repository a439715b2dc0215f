"""The client of `--out` gets copies of what a build left, and the pod ends when it has them."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from pathlib import Path

import httpx2

from tests.run.agent.conftest import Pod
from tests.support.waiting import eventually

RUN = "0123456789"


def serve(pod: Pod, hold: float = 60) -> tuple[subprocess.Popen[str], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [f"--run={RUN}", f"--log-directory={pod.directory}", "--public-key=os.rsa.pub"]
    process = pod.agent("serve", *words, f"--port={port}", f"--hold={hold}")
    return process, f"http://127.0.0.1:{port}"


def answers(url: str) -> bool:
    try:
        httpx2.get(url)
    except httpx2.TransportError:
        return False
    return True


def test_what_a_build_left_is_served_as_it_was_when_it_ended(pod: Pod) -> None:
    (pod.packages / "a-1-r0.apk").write_bytes(b"a package")
    (pod.packages / "APKINDEX.tar.gz").write_bytes(b"an index")
    (pod.packages / "notes.txt").write_bytes(b"nobody asked")
    (pod.workspace / "os.rsa.pub").write_bytes(b"a key")
    (pod.directory / "log").write_bytes(b"what make said\n")
    (pod.packages / "b-1-r0.apk").symlink_to("/etc/passwd")
    process, url = serve(pod)
    pod.build()
    eventually(lambda: answers(url), "the agent serves")
    (pod.packages / "a-1-r0.apk").write_bytes(b"changed later")
    lines = httpx2.get(f"{url}/list-{RUN}").text.splitlines()
    assert lines == [
        f"{hashlib.sha256(content).hexdigest()}  {name}"
        for name, content in (
            ("packages/x86_64/a-1-r0.apk", b"a package"),
            ("packages/x86_64/APKINDEX.tar.gz", b"an index"),
            ("os.rsa.pub", b"a key"),
        )
    ]
    assert httpx2.get(f"{url}/{RUN}/packages/x86_64/a-1-r0.apk").content == b"a package"
    assert httpx2.get(f"{url}/{RUN}/log").content == b"what make said\n"
    for path in ("list-other", "other/log", f"{RUN}/packages/x86_64/b-1-r0.apk", f"{RUN}/../log"):
        assert httpx2.get(f"{url}/{path}").status_code == 404
    assert httpx2.get(f"{url}/alive-{RUN}").status_code == 200
    assert httpx2.get(f"{url}/end-{RUN}").status_code == 200
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_nobody_is_waited_for_without_end(pod: Pod, tmp_path: Path) -> None:
    process, _ = serve(pod, hold=0.5)
    pod.build()
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (
        3,
        "dag: nobody came for the packages within 0.5 seconds\n",
    )


def test_who_does_not_know_the_run_keeps_nothing_alive(pod: Pod) -> None:
    process, url = serve(pod, hold=2)
    pod.build()
    while answers(f"{url}/alive-other"):
        pass
    assert process.wait(timeout=30) == 3


def test_a_pod_that_ends_ends_it(pod: Pod) -> None:
    process, url = serve(pod)
    pod.build()
    eventually(lambda: answers(url), "the agent serves")
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 130

"""The questions to a registry before a push: may we push, and is the image for our platform?"""

from __future__ import annotations

from pathlib import Path

import pytest

from dag.core.image.references import parse_reference
from dag.io.image.platforms import read_platforms
from dag.io.image.registry.refusals import RegistryError
from dag.io.image.registry.repository import ImageRepository
from dag.io.image.registry.requests import RegistryTransport
from tests.support.registries import Server, base_image, skopeo

pytestmark = pytest.mark.usefixtures("no_credentials")


def test_an_upload_is_opened_and_given_up(running: Server) -> None:
    with RegistryTransport(running.host) as transport:
        ImageRepository(transport, "t/push", writes=True).check_push()
    seen = [(method, status) for method, path, status in running.requests() if "t/push" in path]
    assert seen == [("POST", 202), ("DELETE", 204)]
    assert [path for path in running.storage.rglob("*") if path.name == "startedat"] == []


def test_the_platforms_of_an_index_and_of_a_single_image(running: Server, tmp_path: Path) -> None:
    base_image(tmp_path / "index", ("amd64", "riscv64"))
    index, single = f"{running.host}/t/index:1", f"{running.host}/t/single:1"
    options = ("copy", "--dest-tls-verify=false", f"oci:{tmp_path / 'index'}")
    skopeo(*options, "--all", f"docker://{index}")
    skopeo(*options, "--override-arch=riscv64", f"docker://{single}")
    with RegistryTransport(running.host) as transport:

        def of(reference: str) -> dict[str, str]:
            image = parse_reference(reference)
            return read_platforms(ImageRepository(transport, image.repository), image)

        found = of(index)
        assert list(found) == ["linux/amd64", "linux/riscv64", "windows/amd64"]
        assert of(single) == {"linux/riscv64": found["linux/riscv64"]}
        with pytest.raises(RegistryError, match="there is no image"):
            of(f"{running.host}/t/single:2")

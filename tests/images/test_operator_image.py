"""The operator's image as it is packed here is the one that images/Containerfile says."""

import re
import tomllib
from email.parser import HeaderParser
from pathlib import Path

import pytest

from testbed import images
from testbed.images import bases, chroot, recipes, wheels
from tests.images.conftest import Unpacked

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("images"),
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("can_make_images"),
]
TEXT = recipes.CONTAINERFILE.read_text().replace("\\\n", " ")
PROJECT = tomllib.loads((recipes.ROOT / "pyproject.toml").read_text())["project"]
SITE = "opt/sovereign/lib/python3.13/site-packages"
PYTHON = "/opt/sovereign/bin/python"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_configuration_is_what_the_containerfile_says() -> None:
    config = images.build("operator").config["config"]
    # Read by other means than by those that made it.
    last = TEXT[TEXT.rindex("\nFROM ") :]
    assert f'ENTRYPOINT ["{config["Entrypoint"][0]}"]' in last
    assert f'CMD ["{config["Cmd"][0]}"]' in last
    assert f"USER {config['User']}\n" in last
    (ports,) = re.findall(r"EXPOSE (.*)", last)
    assert ports.split() == [port.removesuffix("/tcp") for port in config["ExposedPorts"]]
    (variables,) = re.findall(r"ENV (.*)", last)
    assert config["Env"] == variables.replace("$PATH", chroot.PATH).split()
    labels = dict(re.findall(r'(org\.[\w.]+)="([^"]*)"', last))
    labels |= {"org.opencontainers.image.version": PROJECT["version"], "org.opencontainers.image.revision": "unknown"}
    assert config["Labels"] == labels


def test_base_has_the_python_that_the_containerfile_names() -> None:
    assert f"\nARG BASE={recipes.STANDS_FOR}\n" in TEXT
    assert f"python:{'.'.join(bases.python_version().split('.')[:2])}-slim" == recipes.STANDS_FOR


def test_installed_is_what_is_locked_and_no_pip(unpacked: Unpacked) -> None:
    installed = {}
    for metadata in (unpacked("operator") / SITE).glob("*.dist-info/METADATA"):
        fields = HeaderParser().parsestr(metadata.read_text())
        installed[canonical(fields["Name"])] = fields["Version"]
    pinned = wheels.pins(recipes.LOCKS[0], bases.python_version())
    wanted = {canonical(name): version for name, version in pinned.items()}
    assert len(wanted) > 30
    assert installed == wanted | {PROJECT["name"]: PROJECT["version"]}
    assert not list(unpacked("operator").glob("opt/sovereign/bin/pip*"))
    assert not list(unpacked("operator").glob("usr/share/python-wheels/*"))


def test_sources_are_the_ones_of_the_tree(unpacked: Unpacked) -> None:
    there, here = unpacked("operator") / SITE / "sovereign", recipes.ROOT / "operator/sovereign"
    files = {path.relative_to(here) for path in here.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.relative_to(there) for path in there.rglob("*") if path.is_file() and path.suffix != ".pyc"} == files
    assert all((there / file).read_bytes() == (here / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    "argv",
    [
        ["sovereign-operator", "--help"],
        ["kubectl-sovereign", "--help"],
        ["python", "-m", "sovereign.importer", "--help"],
        [
            "python",
            "-c",
            "import sovereign.handlers, ssl; assert ssl.create_default_context().cert_store_stats()['x509_ca']",
        ],
    ],
    ids=lambda argv: " ".join(argv[:3]),
)
def test_programs_run_as_the_images_user_on_a_read_only_root(unpacked: Unpacked, argv: list[str]) -> None:
    config = images.build("operator").config["config"]
    environment = dict(each.split("=", 1) for each in config["Env"])
    user = int(config["User"].split(":")[0])
    chroot.run(unpacked("operator"), argv, environment=environment, user=user, read_only=True)


def test_bytecode_fits_its_source(unpacked: Unpacked) -> None:
    # Else every start of a pod would compile everything anew, on a root where nothing can be kept.
    code = "import sys, sovereign.main as m; from importlib.util import cache_from_source as c; print(c(m.__file__))"
    script = f"{code}\nimport marshal, pathlib\nassert int.from_bytes(pathlib.Path(c(m.__file__)).read_bytes()[8:12], 'little')"
    script += " == int(pathlib.Path(m.__file__).stat().st_mtime)"
    chroot.run(unpacked("operator"), [PYTHON, "-c", script], environment={}, read_only=True)


def test_another_version_is_another_image_of_the_same_layers() -> None:
    image, other = images.build("operator"), images.build("operator", version="9.9.9", revision="abc")
    assert other.digest != image.digest
    assert other.manifest["layers"] == image.manifest["layers"]
    assert other.config["config"]["Labels"]["org.opencontainers.image.version"] == "9.9.9"


def test_lower_layers_are_shared_with_the_client() -> None:
    layers = [images.build(name).manifest["layers"][0] for name in ("operator", "client")]
    assert layers[0] == layers[1]


def test_run_sees_no_network_and_nothing_of_the_machine(
    unpacked: Unpacked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    script = "test -z \"$SECRET_OF_THE_HOST\" && test \"$(ls /proc/sys/net/ipv4/conf | sort | tr '\\n' ' ')\" = 'all default lo '"
    chroot.run(unpacked("client"), ["sh", "-ec", script], environment={"A": "1"})

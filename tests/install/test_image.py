"""The image's recipe and its lock files, as far as they can be checked without building it."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from charts import sync

PROJECT = tomllib.loads((sync.ROOT / "pyproject.toml").read_text())
RECIPE = (sync.ROOT / "images" / "Containerfile").read_text()


def locked(name: str) -> dict[str, str]:
    """Version of every package in a lock file; each must have a hash."""
    text = (sync.ROOT / "requirements" / name).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    for entry in entries:
        assert "--hash=sha256:" in entry, entry
    pins = (re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", entry) for entry in entries)
    return {re.sub(r"[-_.]+", "-", pin[1]).lower(): pin[2] for pin in pins if pin}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [("run.lock", PROJECT["project"]["dependencies"]), ("build.lock", PROJECT["build-system"]["requires"])],
)
def test_lock_files_hold_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    pins = locked(lock)
    for requirement in map(Requirement, wanted):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert requirement.specifier.contains(pins[name], prereleases=True), requirement


def test_everything_is_installed_by_hash_and_as_wheels() -> None:
    for line in re.findall(r"pip install (.*)", RECIPE):
        assert "--require-hashes --only-binary=:all:" in line or "--no-deps --no-index" in line, line


def test_image_runs_as_the_user_of_the_chart() -> None:
    user = yaml.safe_load((sync.CHART / "values.yaml").read_text())["runAsUser"]
    assert f"\nUSER {user}:{user}\n" in RECIPE
    assert 'ENTRYPOINT ["sovereign-operator"]' in RECIPE


def test_image_and_chart_have_the_version_of_the_project() -> None:
    chart = yaml.safe_load((sync.CHART / "Chart.yaml").read_text())
    version = PROJECT["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert f"ARG VERSION={version}\n" in RECIPE

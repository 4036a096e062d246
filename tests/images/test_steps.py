"""Carrying out a Containerfile of every kind of step, over a base of busybox, in a cache of its own."""

import os
import time
from pathlib import Path

import pytest

from testbed import cache, paths
from testbed.errors import TestbedError
from testbed.images import bases, containerfile, context, layers, packages, rootfs, steps
from testbed.images.layers import Tree
from testbed.images.stages import Base, Planner

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("images"), pytest.mark.usefixtures("can_make_images")]

TEXT = """\
FROM base AS first
RUN mkdir /made && echo "$HOME" > /made/home && ln -s home /made/link && ln /made/home /made/twin && chmod 750 /made/home
WORKDIR /work/here
COPY one two ./
COPY folder copied
COPY one /work/renamed
RUN rm two && echo changed >> one && test -e /run/wheelhouse/a.whl && ! touch /run/wheelhouse/b.whl

FROM base
COPY --from=first /made /out
COPY --from=first /work/renamed /work/here/one /files/
RUN rm /etc/nsswitch.conf && rm -r /usr/lib
"""


def made(folder: Path) -> Path:
    """The root file system of the image of `TEXT`."""
    files = {
        "Containerfile": TEXT,
        "ignore": "",
        "one": "1\n",
        "two": "2\n",
        "folder/deep/three": "3\n",
        "wheels/a.whl": "",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)

    def finish(root: Path) -> None:
        rootfs.busybox(root)
        rootfs.finish(root)

    lowest = layers.layer(bases.tree("lowest", packages.fetch(bases.BUSYBOX), finish))
    source = containerfile.read(folder / "Containerfile", {})
    base = {"base": Base((lowest,), (lowest,), {})}
    wheels = folder / "wheels"
    plans = Planner(source, context.read(folder, folder / "ignore"), base, {}, lambda: wheels).plans()
    root = folder / "root"
    root.mkdir()
    for layer in steps.carry_out(plans):
        layers.unpack(layer, root)
    return root


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which there is nothing but busybox."""
    kept = packages.fetch(bases.BUSYBOX)[0].path.parent.parent
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths.cache().mkdir(parents=True)
    (paths.cache() / "packages").symlink_to(kept)
    return paths.cache()


def test_each_kind_of_step_does_what_builders_do(own_cache: Path, tmp_path: Path) -> None:
    root = made(tmp_path)
    assert (root / "out/home").read_text() == "/root\n"
    assert (root / "out/home").stat().st_mode & 0o777 == 0o750
    assert (root / "out/link").readlink() == Path("home")
    assert (root / "files/renamed").read_text() == "1\n"
    assert (root / "files/one").read_text() == "1\nchanged\n"
    assert not (root / "work").exists()
    assert not (root / "etc/nsswitch.conf").exists()
    assert not (root / "usr/lib").exists()
    assert {path.stat().st_mtime for path in root.rglob("*") if path.is_file()} == {float(layers.EPOCH)}


def test_steps_go_on_from_where_the_cache_ends(own_cache: Path, tmp_path: Path) -> None:
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
    first = _digests(made(tmp_path / "first"))
    # Only the last steps are left to do, over what is unpacked of those before.
    newest = sorted(own_cache.glob("layers/operator-*"), key=lambda path: (path / "layer.json").stat().st_mtime)[-2:]
    for folder in newest:
        folder.rename(tmp_path / folder.name)
    assert _digests(made(tmp_path / "again")) == first
    assert all(
        (folder / "layer.json").read_bytes() == (tmp_path / folder.name / "layer.json").read_bytes()
        for folder in newest
    )


def test_a_command_that_fails_is_shown_with_its_words(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.images.test_steps.TEXT", "FROM base\nRUN echo what is wrong >&2; exit 3\n")
    with pytest.raises(TestbedError, match=r"(?s)ended with 3:\nwhat is wrong"):
        made(tmp_path)
    assert not list(own_cache.glob("layers/.partial-*"))


def test_what_nobody_asked_for_in_a_long_time_is_removed_when_another_is_made(own_cache: Path) -> None:
    def ask(name: str) -> Path:
        tree = Tree("kind", (name,), lambda root: (root / "file").write_text(name) and None)
        return layers.layer(tree).blob.parent

    old, used = ask("old"), ask("used")
    long_ago = time.time() - (layers.DAYS + 1) * 24 * 3600
    for folder in (old, used):
        os.utime(folder, (long_ago, long_ago))
    ask("used")
    ask("new")
    assert not old.exists()
    assert used.exists()
    assert cache.folder("layers", "kind", "x").parent == own_cache / "layers"


def _digests(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }

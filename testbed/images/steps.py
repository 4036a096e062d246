"""Carrying out the steps of a plan that are not in the cache.

Each instruction that changes files is a step, and each step a layer, found again by a key over everything it depends
on: the step before it, its text, variables, the files that it copies. So a changed label costs nothing, and changed
sources leave the installed packages as they are.
"""

import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from testbed import cache
from testbed.errors import TestbedError
from testbed.images import layers
from testbed.images.context import Context
from testbed.images.layers import Layer

_KIND = "operator"


@dataclass(frozen=True)
class Step:
    """A change of files; `apply` carries it out in a root file system."""

    key: str
    text: str
    apply: Callable[[Path], None]

    def folder(self) -> Path:
        """Where its layer is, or will be."""
        return cache.folder("layers", _KIND, self.key)


@dataclass
class Plan:
    """A stage's steps and configuration."""

    name: str
    base: tuple[Layer, ...]
    environment: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)  # of ARG
    steps: list[Step] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    root: Path | None = None  # while it is being carried out: where its file system is, or will be
    done: int = 0  # steps whose layers are there

    @property
    def workdir(self) -> str:
        return str(self.settings.get("WorkingDir", "/"))

    @property
    def key(self) -> str:
        return self.steps[-1].key if self.steps else cache.key([each.diff_id for each in self.base])

    def packed(self, steps: int) -> list[Layer]:
        """The layers of the first so many steps."""
        return [layers.load(step.folder()) for step in self.steps[:steps]]

    def tree(self) -> Path:
        """The file system as the steps so far have left it."""
        assert self.root is not None
        if not self.root.is_dir():
            self.root.mkdir()
            for each in [*self.base, *self.packed(self.done)]:
                layers.unpack(each, self.root)
        return self.root

    def add(self, text: str, inputs: Any, apply: Callable[[Path], None]) -> None:
        """Add a step."""
        self.steps.append(Step(cache.key(self.key, text, inputs, layers.code()), text, apply))


def carry_out(plans: Sequence[Plan]) -> list[Layer]:
    """The layers of the last plan, its base included; made where they are not in the cache."""
    image = plans[-1]
    if not all(step.folder().is_dir() for step in image.steps):
        with cache.workspace("layers", "stages") as work:
            for number, plan in enumerate(plans):
                plan.root = work / str(number)
                _carry_out(plan)
    return [*image.base, *image.packed(len(image.steps))]


def inside(root: Path, path: str) -> Path:
    """The place of an absolute path of the image; a link on the way must not lead out of `root`."""
    place = root / path.strip("/")
    if not place.resolve().is_relative_to(root.resolve()):
        raise TestbedError(f"{path} leads out of the image by a link")
    return place


def copy_context(
    context: Context, copied: Sequence[tuple[str, list[str]]], root: Path, place: str, folder: bool
) -> None:
    """COPY of files from the build context."""
    for source, files in copied:
        single = files == [source]
        for file in files:
            # A folder's content goes into the target; a file goes into it where it is a folder, else becomes it.
            name = Path(file).name if single else str(Path(file).relative_to(source))
            target = inside(root, place) / name if folder or not single else inside(root, place)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(context.folder / file, target)
            target.chmod(context.mode(file))


def copy_stage(other: Plan, sources: Sequence[str], root: Path, place: str, folder: bool) -> None:
    """COPY --from of an earlier stage."""
    for source in sources:
        found, target = inside(other.tree(), source), inside(root, place)
        if found.is_dir():
            shutil.copytree(found, target, symlinks=True, dirs_exist_ok=True)
        else:
            target = target / found.name if folder or target.is_dir() else target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, target, follow_symlinks=False)


def _carry_out(plan: Plan) -> None:
    for step in plan.steps:
        cache.once("layers", _KIND, step.key, partial(_layer, plan, step), days=layers.DAYS)
        plan.done += 1


def _layer(plan: Plan, step: Step, folder: Path) -> None:
    cache.LOG.info("%s: %s", _KIND, " ".join(step.text.split())[:100])
    root = plan.tree()
    before = _snapshot(root)
    step.apply(root)
    after = _snapshot(root)
    changed = {path for path in after if before.get(path) != after[path]}
    # Of what is gone, only the topmost: what was below it went with it.
    gone = {
        path for path in before.keys() - after.keys() if path.rpartition("/")[0] not in before.keys() - after.keys()
    }
    layers.write(root, folder, changed | gone)


def _snapshot(root: Path) -> dict[str, tuple[Any, ...]]:
    """What tells that a path has changed: of a folder its mode, of all else the time of its last change."""
    found = {}
    for path in layers.walk(root):
        facts = (root / path).lstat()
        found[path] = (
            (facts.st_mode,) if stat.S_ISDIR(facts.st_mode) else (facts.st_mode, facts.st_ino, facts.st_ctime_ns)
        )
    return found

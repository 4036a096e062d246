"""The weights of the story: put where the source has them, and looked for on the volume that they are imported to."""

import json
import re
import shutil
from pathlib import Path

from testbed import models
from testbed.nodes.fleet import Fleet


def fill(fleet: Fleet, name: str) -> Path:
    """Put SmolLM2 into the bucket of the outside world's S3 server, as its operator would; the file."""
    path = models.smollm2()
    target = fleet.outside.bucket / name / path.name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return target


def folder(cluster: Path, volume: str) -> Path:
    """The folder on this machine that a PersistentVolume of the real nodes is, of the cluster in the folder ``cluster``."""
    return cluster / "volumes" / volume.partition("-shared-")[0] / volume


def arrived(volume: Path) -> int:
    """Bytes on the disk, whatever their files are called: files are laid out in full before they are filled."""
    return sum(path.stat().st_blocks * 512 for path in volume.rglob("*") if path.is_file())


def resumable(volume: Path) -> int:
    """Bytes of the parts that the importer has written down as whole: an attempt after a kill does not fetch them again."""
    return sum(_recorded(path.read_text()) for path in volume.glob(".import-*/parts/*.parts"))


def _recorded(journal: str) -> int:
    """What a journal of `sovereign.importer.journal` vouches for; a line that is being written does not count."""
    whole = [json.loads(line) for line in journal.splitlines(keepends=True) if line.endswith("\n")]
    if not whole:
        return 0
    header, *records = whole
    size, length = header["size"], header["partSize"]
    return sum(min(length, size - part * length) for part in {part for part, _ in records})


def published(volume: Path) -> list[Path]:
    """The folders with complete models, which is all that an engine ever mounts."""
    return [path for path in volume.glob("sha256-*") if path.is_dir()]


def access_log(fleet: Fleet) -> Path:
    """Where the S3 server writes down who asked for what."""
    return fleet.outside.home / "s3-access.log"


def who_asked(fleet: Fleet, name: str, since: int) -> set[str]:
    """Addresses that asked the S3 server for what lies under `name`, after the byte `since` of its log."""
    log = access_log(fleet).read_bytes()[since:].decode()
    return set(re.findall(rf"\] (\S+) .*s3_\w+ {re.escape(name)}/", log))

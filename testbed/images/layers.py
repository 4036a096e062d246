"""Layers: folders packed so that the same content always gives the same digest.

Sorted, all owned by root, one time stamp for every file, no time in the compression. (Another zlib compresses to other
bytes, so its version is part of a layer's name in the cache.)
"""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final

from testbed import cache

MEDIA_TYPE: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
EPOCH: Final = 946684800  # 2000-01-01: before 1980 there are tools (zip) that refuse
_NOT_INPUT: Final = ("cli.py", "registry.py")  # modules that have no part in what an image holds
DAYS: Final = 14
"""How long layers and images are kept that nobody asks for. Packages, wheels and models stay: they cannot be made again."""
_BLOB: Final = "layer.tar.gz"
_FACTS: Final = "layer.json"
_LEVEL: Final = 5


@dataclass(frozen=True)
class Tree:
    """What a layer is made of: a folder that `make` fills, and all that its content depends on."""

    name: str
    inputs: tuple[Any, ...]
    make: Callable[[Path], None]


@dataclass(frozen=True)
class Layer:
    """A packed layer in the cache."""

    digest: str
    diff_id: str
    size: int
    blob: Path


class _Hashing(io.RawIOBase):
    """A file that is written to and hashed on the way."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: Any) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


@lru_cache
def code() -> str:
    """Digest of the modules that make images: with other code, nothing that was made is taken to be the same."""
    sources = sorted(path for path in Path(__file__).parent.glob("*.py") if path.name not in _NOT_INPUT)
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def layer(tree: Tree) -> Layer:
    """The layer of `tree`, from the cache when it is there."""
    name = cache.key(tree.inputs, code(), zlib.ZLIB_RUNTIME_VERSION)
    return load(cache.once("layers", tree.name, name, lambda folder: _build(tree, folder), days=DAYS))


def load(folder: Path) -> Layer:
    """The layer in a folder that `write` has filled."""
    return Layer(**json.loads((folder / _FACTS).read_text()), blob=folder / _BLOB)


def write(root: Path, folder: Path, only: Collection[str] | None = None) -> None:
    """Pack `root`, or only these paths in it, into `folder`; a path that is not there is marked as deleted."""
    with (folder / _BLOB).open("wb") as file:
        packed = _Hashing(file)
        with gzip.GzipFile("", "wb", _LEVEL, packed, mtime=0) as compressed:
            plain = _Hashing(compressed)
            with tarfile.TarFile(mode="w", fileobj=plain, format=tarfile.PAX_FORMAT) as archive:
                for path in sorted(walk(root)) if only is None else sorted(only):
                    _add(archive, root, path)
    facts = {"digest": packed.digest, "diff_id": plain.digest, "size": packed.size}
    (folder / _FACTS).write_text(json.dumps(facts))


def unpack(found: Layer, root: Path) -> None:
    """Unpack a layer over what is in `root`."""
    with tarfile.open(found.blob) as archive:
        for member in archive:
            path = Path(member.name)
            if path.name.startswith(".wh."):
                _remove(root / path.with_name(path.name.removeprefix(".wh.")))
            else:
                if not member.isdir():
                    _remove(root / path)  # else a link that was there before would be followed
                archive.extract(member, root, filter="fully_trusted")


def walk(root: Path) -> Iterator[str]:
    """Every path below `root`, relative to it; links are not followed."""
    for path in root.iterdir():
        yield path.name
        if path.is_dir() and not path.is_symlink():
            yield from (f"{path.name}/{below}" for below in walk(path))


def _build(tree: Tree, folder: Path) -> None:
    cache.LOG.info("packing layer %s", tree.name)
    root = folder / "root"
    root.mkdir()
    tree.make(root)
    write(root, folder)
    shutil.rmtree(root)


def _add(archive: tarfile.TarFile, root: Path, path: str) -> None:
    source = root / path
    if not source.exists() and not source.is_symlink():
        parent, _, name = path.rpartition("/")
        path, source = f"{parent}/.wh.{name}".lstrip("/"), Path("/dev/null")
        entry = tarfile.TarInfo(path)
    else:
        entry = archive.gettarinfo(source, path)
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    if not (entry.isreg() and entry.size):
        archive.addfile(entry)
    elif path.endswith(".pyc"):
        archive.addfile(entry, io.BytesIO(_bytecode(source.read_bytes())))
    else:
        with source.open("rb") as file:
            archive.addfile(entry, file)


def _bytecode(data: bytes) -> bytes:
    """Python compares the time stamp in here with that of the source, which is `EPOCH` too (PEP 552)."""
    by_time = data[4:8] == bytes(4)
    return data[:8] + EPOCH.to_bytes(4, "little") + data[12:] if by_time else data


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

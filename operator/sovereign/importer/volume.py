"""The volume that weights are published on.

Layout under its root::

    .sovereign.lock                    held (flock) by the importer that writes
    .import-<16 hex>/files/...         weights of one source on their way in
    .import-<16 hex>/parts/*.parts     journals of what has arrived
    sha256-<64 hex>.manifest.json      canonical manifest of a published model (0444)
    sha256-<64 hex>/...                the published model (files 0444, directories 0555)

A published directory appears in one rename, after everything in it was checked and synced, and after its
manifest.
"""

import asyncio
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from sovereign.importer import manifest as manifests
from sovereign.importer.failure import ImportFailure, Reason
from sovereign.importer.manifest import Manifest

LOG = logging.getLogger(__name__)

_STAGING_PREFIX = ".import-"
_LOCK_NAME = ".sovereign.lock"
_LOCK_POLL_SECONDS = 0.1
# Journals, directories and the manifest need a little room besides the weights.
_SPARE_BYTES = 1 << 20


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn an error of the file system into InsufficientStorage or StorageFailed."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise ImportFailure(
                Reason.INSUFFICIENT_STORAGE, f"the volume is full ({what}): make the claim larger"
            ) from error
        raise ImportFailure(Reason.STORAGE_FAILED, f"{what}: {error.strerror or error}") from error


class Staging:
    """The directory in which one source's weights gather until they are whole."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = root / "files"
        self._parts = root / "parts"

    def open(self, wanted: Iterable[str]) -> None:
        """Make the directory, and remove from it what the import does not want: strays, links, devices."""
        for directory in (self.root, self.files, self._parts):
            if directory.is_symlink():
                directory.unlink()
            directory.mkdir(parents=True, exist_ok=True)
        names = frozenset(wanted)
        folders = {parent.as_posix() for name in names for parent in Path(name).parents}
        for path, mode in sorted(_entries(self.files), reverse=True):
            name = path.relative_to(self.files).as_posix()
            if stat.S_ISDIR(mode) and name not in folders:
                _remove_tree(path)
            elif not stat.S_ISDIR(mode) and not (name in names and _is_plain(path)):
                path.unlink()
        for name in names:
            (self.files / name).parent.mkdir(parents=True, exist_ok=True)

    def file(self, name: str) -> Path:
        """Where a file of the model is written."""
        return self.files / name

    def journal(self, name: str) -> Path:
        """Where the journal of a file is."""
        return self._parts / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.parts"

    def allocated(self) -> int:
        """Bytes on disk already (the files are sparse until they are whole)."""
        return sum(path.lstat().st_blocks * 512 for path, mode in _entries(self.files) if stat.S_ISREG(mode))

    def remove(self) -> None:
        """Remove everything."""
        _remove_tree(self.root)


class Volume:
    """A volume with published models and, at most, one writer."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the volume's lock; waits while another importer holds it.

        Raises:
            ImportFailure: StorageFailed when the volume cannot be written.
        """
        with storage_errors(f"the volume at {self.root} cannot be written"):
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)
        try:
            await _lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def staging(self, identity: str) -> Staging:
        """The staging directory of a source, by the source's identity."""
        return Staging(self.root / (_STAGING_PREFIX + hashlib.sha256(identity.encode()).hexdigest()[:16]))

    def clean(self, keep: Staging) -> None:
        """Remove what other imports left behind."""
        for path in self.root.glob(_STAGING_PREFIX + "*"):
            if path != keep.root:
                LOG.info("removing the remains of another import: %s", path.name)
                _remove_tree(path)

    def check_space(self, needed: int, staging: Staging) -> None:
        """Raise InsufficientStorage when `needed` bytes do not fit, those already staged set off."""
        state = os.statvfs(self.root)
        available = state.f_bavail * state.f_frsize
        missing = max(0, needed - staging.allocated()) + _SPARE_BYTES
        if missing > available:
            raise ImportFailure(
                Reason.INSUFFICIENT_STORAGE,
                f"the model needs {missing} more bytes on the volume, {available} are available: make the claim larger",
            )

    def directory(self, digest: str) -> Path:
        """Where a model is published."""
        return self.root / digest.replace(":", "-")

    def manifest_path(self, digest: str) -> Path:
        """Where its manifest is."""
        return self.root / f"{digest.replace(':', '-')}.manifest.json"

    def published(self, digest: str, *, rehash: bool) -> Manifest | None:
        """The manifest of a published model whose files are all there, None when it has to be imported
        (again).

        Args:
            digest: of the model.
            rehash: also compare each file's digest.
        """
        directory = self.directory(digest)
        try:
            found = manifests.parse(self.manifest_path(digest).read_bytes())
            found.check(digest)
            check_layout(directory, found)
            if rehash:
                _check_hashes(directory, found)
        except FileNotFoundError:
            return None
        except (ImportFailure, OSError) as problem:
            LOG.warning("the published copy of %s is damaged and is imported again: %s", digest, problem)
            return None
        directory.chmod(0o555)
        return found

    def publish(self, staging: Staging, manifest: Manifest) -> Path:
        """Make a staged model visible, in one rename, for good.

        Raises:
            ImportFailure: UnsafeFile or SizeMismatch when the directory is not exactly what the manifest
                says.
        """
        check_layout(staging.files, manifest)
        _seal(staging.files)
        self._write_manifest(manifest)
        target = self.directory(manifest.digest)
        if target.exists():
            target.chmod(0o755)
            target.rename(staging.root / "replaced")
        staging.files.rename(target)
        target.chmod(0o555)
        _sync(self.root)
        staging.remove()
        return target

    def _write_manifest(self, manifest: Manifest) -> None:
        final = self.manifest_path(manifest.digest)
        draft = final.with_name(f"{_STAGING_PREFIX}manifest.tmp")
        with draft.open("wb") as file:
            file.write(manifest.encode())
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o444)
        draft.replace(final)
        _sync(self.root)


def check_layout(root: Path, manifest: Manifest) -> None:
    """Check that a directory holds a manifest's files, of the right sizes, and nothing else.

    Raises:
        ImportFailure: UnsafeFile for anything more than regular files, SizeMismatch for a missing or wrong
            one.
        FileNotFoundError: the directory does not exist.
    """
    sizes = {entry.path: entry.size for entry in manifest.files}
    if not stat.S_ISDIR(root.lstat().st_mode):
        raise ImportFailure(Reason.UNSAFE_FILE, f"{root.name} is not a directory")
    for path, mode in _entries(root):
        name = path.relative_to(root).as_posix()
        if stat.S_ISDIR(mode):
            continue
        if name not in sizes or not stat.S_ISREG(mode):
            raise ImportFailure(Reason.UNSAFE_FILE, f"{name} does not belong to the model")
        if path.lstat().st_size != sizes.pop(name):
            raise ImportFailure(Reason.SIZE_MISMATCH, f"{name} does not have the size that the manifest states")
    if sizes:
        raise ImportFailure(Reason.SIZE_MISMATCH, f"{min(sizes)} is missing")


def _check_hashes(root: Path, manifest: Manifest) -> None:
    for entry in manifest.files:
        if manifests.hash_file(root / entry.path) != entry.sha256:
            raise ImportFailure(Reason.DIGEST_MISMATCH, f"{entry.path} is not what the manifest states")


async def _lock(descriptor: int) -> None:
    """Take the lock, waiting for it so that the wait can be cancelled (a blocking flock in a thread cannot)."""
    waiting = False
    while True:
        with storage_errors("the volume cannot be locked"):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waiting:
                    LOG.info("waiting for another importer on the same volume")
                waiting = True
            else:
                return
        await asyncio.sleep(_LOCK_POLL_SECONDS)


def _entries(root: Path) -> Iterator[tuple[Path, int]]:
    """Everything below a directory, with its mode; symbolic links are not followed."""
    for folder, subfolders, names in os.walk(root):
        for name in (*subfolders, *names):
            path = Path(folder, name)
            yield path, path.lstat().st_mode


def _is_plain(path: Path) -> bool:
    """A regular file with no other name."""
    state = path.lstat()
    return stat.S_ISREG(state.st_mode) and state.st_nlink == 1


def _seal(root: Path) -> None:
    """Make a tree read-only and sync its directories (the files were synced when they became whole)."""
    for path, mode in sorted(_entries(root), reverse=True):
        path.chmod(0o555 if stat.S_ISDIR(mode) else 0o444)
        if stat.S_ISDIR(mode):
            _sync(path)
    _sync(root)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_tree(root: Path) -> None:
    if root.is_symlink() or not root.is_dir():
        root.unlink(missing_ok=True)
        return
    # A sealed tree has to be made writable again before its entries can be removed.
    for path, mode in list(_entries(root)):
        if stat.S_ISDIR(mode):
            path.chmod(0o755)
    shutil.rmtree(root)

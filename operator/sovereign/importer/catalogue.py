"""Which files belong to a model, which are left out, and which are refused.

Every file of a listing falls into one class, by its name alone:

- *weights* of the model's format, and *side files* (configuration, tokenizer, chat templates, licences):
  taken;
- *harmless* files that no engine reads (`.gitattributes`, images, the weights of the other safe format): left
  out;
- anything else, first of all code and pickles: refused, until the user excludes it in so many words.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from sovereign.importer import paths
from sovereign.importer.failure import ImportFailure, Reason

MANIFEST_NAME = "sovereign.manifest.json"


class Format(StrEnum):
    """The formats of weights that are imported: both are data, neither can run code when loaded."""

    SAFETENSORS = "safetensors"
    GGUF = "gguf"

    @property
    def suffix(self) -> str:
        """How the names of such files end."""
        return f".{self.value}"


class Kind(StrEnum):
    """What the name of a file says of it."""

    WEIGHTS = "weights"
    SIDE = "side"
    HARMLESS = "harmless"
    CODE = "code"
    PICKLE = "pickle"
    UNKNOWN = "unknown"


_SIDE_SUFFIXES = (".json", ".tiktoken", ".jinja", ".jinja2", ".txt", ".md")
_SIDE_NAMES = (
    "tokenizer.model",
    "tokenizer.model.*",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.*",
    "license*",
    "notice*",
)
_HARMLESS_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".pdf")
_HARMLESS_NAMES = (".gitattributes", ".gitignore", ".gitkeep", ".ds_store")
_CODE_SUFFIXES = (
    ".py",
    ".pyc",
    ".pyo",
    ".pyd",
    ".so",
    ".dll",
    ".dylib",
    ".sh",
    ".js",
    ".ipynb",
    ".jar",
    ".whl",
    ".exe",
)
_PICKLE_SUFFIXES = (
    *(
        ".bin",
        ".pt",
        ".pth",
        ".pkl",
        ".pickle",
        ".ckpt",
        ".h5",
        ".hdf5",
        ".keras",
        ".msgpack",
        ".npz",
        ".npy",
    ),
    *(".joblib", ".dill", ".pb", ".ot", ".mar", ".nemo"),
)


def kind_of(path: str, weights: Format) -> Kind:
    """Class a file by its name. Refused suffixes win over allowed names: `vocab.py` is code."""
    name = path.rpartition("/")[2].lower()
    if name.endswith(_CODE_SUFFIXES):
        return Kind.CODE
    if name.endswith(_PICKLE_SUFFIXES):
        return Kind.PICKLE
    if name.endswith(tuple(item.suffix for item in Format)):
        return Kind.WEIGHTS if name.endswith(weights.suffix) else Kind.HARMLESS
    if name.endswith(_SIDE_SUFFIXES) or _matches(name, _SIDE_NAMES):
        return Kind.SIDE
    if name.endswith(_HARMLESS_SUFFIXES) or name in _HARMLESS_NAMES:
        return Kind.HARMLESS
    return Kind.UNKNOWN


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


_ADVICE = {
    Kind.CODE: "it is code; models are loaded without any",
    Kind.PICKLE: "pickles and their like run code when loaded; only safetensors and gguf are imported",
    Kind.UNKNOWN: "it is not of a kind that a model needs",
}


def check(path: str, weights: Format, advice: str = "exclude it if the model works without it") -> Kind:
    """Class a file, and raise UnsafeFile when its path or its kind is refused."""
    paths.check(path)
    kind = kind_of(path, weights)
    if kind in _ADVICE:
        raise ImportFailure(Reason.UNSAFE_FILE, f"{path} is refused: {_ADVICE[kind]}; {advice}")
    return kind


def select(
    listing: Iterable[str], weights: Format, *, include: Iterable[str] = (), exclude: Iterable[str] = ()
) -> list[str]:
    """Choose the files of a model out of a listing, sorted.

    Patterns are those of `fnmatch` on the whole path, with case (``*`` also crosses ``/``).

    Raises:
        ImportFailure: UnsafeFile for the first refused file that is neither excluded nor left out by include;
            SourceInvalid when no weights are among the chosen.
    """
    includes, excludes = tuple(include), tuple(exclude)
    chosen = []
    found_weights = False
    for path in sorted(set(listing) - {MANIFEST_NAME}):
        if _matches(path, excludes) or (includes and not _matches(path, includes)):
            continue
        kind = check(path, weights)
        found_weights |= kind is Kind.WEIGHTS
        if kind is not Kind.HARMLESS:
            chosen.append(path)
    if not found_weights:
        raise ImportFailure(
            Reason.SOURCE_INVALID,
            f"the source holds no *{weights.suffix} file: check its path, format and filters",
        )
    paths.check_distinct(chosen)
    return chosen


def check_listed(listed: Sequence[str], weights: Format) -> None:
    """Check the files of a manifest, which no filter can change: all of them must be wanted.

    Raises:
        ImportFailure: UnsafeFile, SourceInvalid as `select`.
    """
    kinds = {check(path, weights, advice="make a new manifest without it") for path in listed}
    if Kind.WEIGHTS not in kinds:
        raise ImportFailure(
            Reason.SOURCE_INVALID, f"the manifest lists no *{weights.suffix} file: check the model's format"
        )


def guess_format(listing: Iterable[str]) -> Format:
    """safetensors when there is any such file, else gguf."""
    has_safetensors = any(path.lower().endswith(Format.SAFETENSORS.suffix) for path in listing)
    return Format.SAFETENSORS if has_safetensors else Format.GGUF


def walk(root: Path, *, exclude: Iterable[str] = ()) -> list[str]:
    """List the regular files under a directory, as relative paths.

    Raises:
        ImportFailure: UnsafeFile for a symbolic link, device, socket or pipe that is not excluded;
            SourceNotFound.
    """
    excludes = tuple(exclude)
    found: list[str] = []

    def unreadable(error: OSError) -> None:
        reason = Reason.ACCESS_DENIED if isinstance(error, PermissionError) else Reason.SOURCE_NOT_FOUND
        raise ImportFailure(reason, f"cannot read {error.filename}: {error.strerror}") from error

    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        for name in (*subfolders, *names):
            full = Path(folder, name)
            path = full.relative_to(root).as_posix()
            mode = full.lstat().st_mode
            if stat.S_ISDIR(mode) or _matches(path, excludes):
                continue
            if not stat.S_ISREG(mode):
                raise ImportFailure(
                    Reason.UNSAFE_FILE,
                    f"{path} is refused: it is not a regular file (symbolic link or device)",
                )
            found.append(path)
    return found

"""Weights import over loopback: the importer's process, against curl of the same bytes with the hash checked.

curl's arm is the fastest of: the hash after the download or on the way, by sha256sum or by OpenSSL, which uses the processor's SHA
instructions where coreutils may not. The importer syncs what it writes, so curl's file is synced too, and the time is that of whole
processes, their start included. The file server's files are in the page cache for both.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.results import Result
from bench.stats import Pair, paired, result
from bench.suite import Work
from sovereign.importer import manifest

MIB: Final = 1 << 20
_TENSORS: Final = 8
_PROBES: Final = 3
_PAUSE: Final = 0.005
CURL: Final = {
    "curl, then sha256sum": 'curl -sf -o "$2" "$1" && sync "$2" && sha256sum "$2"',
    "curl, then openssl": 'curl -sf -o "$2" "$1" && sync "$2" && openssl dgst -sha256 -r "$2"',
    "curl | tee | sha256sum": 'curl -sf "$1" | tee "$2" | sha256sum && sync "$2"',
    "curl | tee | openssl": 'curl -sf "$1" | tee "$2" | openssl dgst -sha256 -r && sync "$2"',
}


def run(work: Work) -> Iterator[Result]:
    """Throughput over curl's, CPU of both, the time of the smallest import, and how peak memory grows with a file four times as large.

    The size is MiB of weights, at least 256 and at most 2048.
    """
    large = min(2048, max(256, work.size)) * MIB
    with TemporaryDirectory(prefix="bench-") as folder:
        source = Path(folder) / "src"
        big, small, tiny = (model(source / name, size) for name, size in sizes(large).items())
        with file_server(source) as url:
            yield from _measured(Race(url, Path(folder) / "volume", big, small, tiny), work)


def sizes(large: int) -> dict[str, int]:
    """Bytes of weights of each model that is made."""
    return {"large": large, "small": large // 4, "tiny": MIB}


def _measured(race: "Race", work: Work) -> Iterator[Result]:
    again = min(_PROBES, work.turns)
    tried = race.choose(again)
    pairs, discarded = paired(race.turn, work.turns, 3 * work.turns, work.tolerance)
    gib = race.large.size / 2**30
    note = f"{gib:g} GiB against {race.rival!r}; least seconds of each: " + ", ".join(
        f"{seconds:.2f} ({name})" for name, seconds in tried.items()
    )
    ratios = [pair.bare / pair.arm for pair in pairs]
    yield result("import.over_curl", ratios, "ratio", work.size, discarded=discarded, note=note)
    yield result("import.rate", [gib * 1024 / pair.arm for pair in pairs], "MiB/s", work.size, discarded=discarded)
    yield result("import.cpu_per_gib", [one / gib for one in race.cpu], "s", work.size)
    yield result("import.curl_cpu_per_gib", [one / gib for one in race.curl_cpu], "s", work.size)
    yield result("import.fixed", [race.ours(race.tiny) for _ in range(again)], "s", work.size)
    peaks = [(race.peak(race.large) / MIB, race.peak(race.small) / MIB) for _ in range(again)]
    yield result("import.memory", [large for large, _ in peaks], "MiB", work.size)
    yield result("import.memory_growth", [large - small for large, small in peaks], "MiB", work.size)


@dataclass(frozen=True)
class Model:
    """A model that the file server has."""

    name: str
    size: int
    """Bytes of its weights."""
    digest: str
    sha256: str
    """Of the file of weights."""


def model(folder: Path, size: int) -> Model:
    """Make a model of one file of weights, a configuration, and a manifest. The bytes do not compress."""
    folder.mkdir(parents=True)
    each = size // _TENSORS
    header = {
        f"model.layers.{number}.weight": {
            "dtype": "BF16",
            "shape": [each // 2048, 1024],
            "data_offsets": [number * each, (number + 1) * each],
        }
        for number in range(_TENSORS)
    }
    encoded = json.dumps(header).encode()
    block = os.urandom(MIB)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for number in range(size // MIB):
            # Turned by another number of bytes each, so that no two stretches of the file are the same.
            file.write(block[number % MIB :] + block[: number % MIB])
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    made = manifest.build(folder)
    (folder / manifest.FILE_NAME).write_bytes(made.encode())
    (sha256,) = [entry.sha256 for entry in made.files if entry.path == "model.safetensors"]
    return Model(folder.name, size, made.digest, sha256)


@contextmanager
def file_server(root: Path) -> Iterator[str]:
    """The URL of a file server that does little but tell the kernel to send."""
    argv = [sys.executable, "-m", "bench.arms.fileserver", str(root)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


@dataclass
class Race:
    """Downloads of one server's models, in turn, onto one volume."""

    url: str
    volume: Path
    large: Model
    small: Model
    tiny: Model
    rival: str = ""
    """The fastest of `CURL` here."""
    cpu: list[float] = field(default_factory=list)
    curl_cpu: list[float] = field(default_factory=list)

    def choose(self, tries: int) -> dict[str, float]:
        """Try each of `CURL` so many times and keep to the fastest; the least seconds of each."""
        seconds = {name: min(self.curl(name) for _ in range(tries)) for name in CURL}
        self.rival = min(seconds, key=lambda name: seconds[name])
        return seconds

    def turn(self) -> Pair:
        """curl, the importer, curl again."""
        return Pair(self._counted(self.curl_cpu), self._counted(self.cpu, ours=True), self._counted(self.curl_cpu))

    def _counted(self, account: list[float], *, ours: bool = False) -> float:
        before = _cpu()
        seconds = self.ours(self.large) if ours else self.curl(self.rival)
        account.append(_cpu() - before)
        return seconds

    def curl(self, name: str) -> float:
        """Seconds of curl and its hash."""
        self._empty()
        url = f"{self.url}/{self.large.name}/model.safetensors"
        argv = ["sh", "-c", CURL[name], "sh", url, str(self.volume / "model.safetensors")]
        started = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - started
        if done.stdout.split()[:1] != [self.large.sha256]:
            raise RuntimeError(f"{name!r} got other bytes: {done.stdout}{done.stderr}")
        return seconds

    def ours(self, wanted: Model) -> float:
        """Seconds of the importer."""
        started = time.perf_counter()
        with self._importer(wanted) as importer:
            output, _ = importer.communicate()
        seconds = time.perf_counter() - started
        self._check(wanted, importer.returncode, output)
        return seconds

    def peak(self, wanted: Model) -> int:
        """Peak resident bytes of the importer."""
        most = 0
        with self._importer(wanted) as importer:
            while importer.poll() is None:
                most = max(most, _high_water(importer.pid))
                time.sleep(_PAUSE)
            output, _ = importer.communicate()
        self._check(wanted, importer.returncode, output)
        return most

    def _importer(self, wanted: Model) -> "subprocess.Popen[str]":
        """Started as the import Job does, except for TLS: curl has none either."""
        self._empty()
        argv = [sys.executable, "-m", "sovereign.importer", f"--source={self.url}/{wanted.name}"]
        argv += ["--format=safetensors", f"--dest={self.volume}", "--log-format=json", f"--digest={wanted.digest}"]
        return subprocess.Popen(
            [*argv, "--allow-insecure"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _check(self, wanted: Model, code: int, output: str) -> None:
        if code or not (self.volume / wanted.digest.replace(":", "-") / "model.safetensors").is_file():
            raise RuntimeError(f"the importer failed ({code}): {output[-2000:]}")

    def _empty(self) -> None:
        if self.volume.is_dir():
            for path in self.volume.iterdir():
                if path.is_dir():
                    path.chmod(0o755)  # published models are sealed
            shutil.rmtree(self.volume)
        self.volume.mkdir()


def _cpu() -> float:
    """Seconds of CPU of all children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _high_water(pid: int) -> int:
    """Peak resident bytes of a running program; 0 before it runs and after it ended. (What `wait4` tells begins with ours, at the fork.)"""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return int(fields.get("VmHWM", "0 kB").split()[0]) * 1024

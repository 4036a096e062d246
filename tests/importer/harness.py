"""The importer as a process, and what must hold after every run of it, however it ended."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sovereign.importer import manifest as manifests

FAST = {
    "SOVEREIGN_IMPORT_RETRY_DELAY": "0.01",
    "SOVEREIGN_IMPORT_MAX_ATTEMPTS": "4",
    "SOVEREIGN_IMPORT_TIMEOUT": "5",
    "SOVEREIGN_IMPORT_PART_SIZE": "64Ki",
    "SOVEREIGN_IMPORT_LOG_FORMAT": "json",
}
_KEPT = ("PATH", "PYTHONPATH", "HOME", "LANG", "COVERAGE_PROCESS_START")


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    code: int
    output: str
    message: dict[str, Any]

    @property
    def reason(self) -> str | None:
        return self.message.get("reason")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]


@dataclass
class Importer:
    """Runs the importer against one volume."""

    root: Path
    authority: Path
    secret: dict[str, str] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)

    @property
    def volume(self) -> Path:
        return self.root / "volume"

    def credentials(self) -> Path:
        """The secret as a kubelet mounts it: the keys are links into a directory of this version."""
        folder = self.root / "secret"
        version = folder / f"..{time.monotonic_ns()}"
        version.mkdir(parents=True)
        for key, value in ({"ca.crt": self.authority.read_text()} | self.secret).items():
            (version / key).write_text(value + "\n")
            (folder / key).unlink(missing_ok=True)
            (folder / key).symlink_to(f"{version.name}/{key}")
        self.private |= {value for key, value in self.secret.items() if key not in {"ca.crt", "username"}}
        return folder

    def start(
        self, *arguments: str, env: Mapping[str, str] | None = None, within: Sequence[str] = ()
    ) -> "subprocess.Popen[str]":
        """Start a run, by way of another program if there is a `within`."""
        self.termination.unlink(missing_ok=True)
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        command = [*within, sys.executable, "-m", "sovereign.importer", *arguments]
        command += ["--dest", str(self.volume), "--credentials", str(self.credentials())]
        command += ["--termination-log", str(self.termination)]
        return subprocess.Popen(
            command, env=kept | FAST | dict(env or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, within: Sequence[str] = ()) -> Outcome:
        return self.finish(self.start(*arguments, env=env, within=within))

    def finish(self, process: "subprocess.Popen[str]") -> Outcome:
        output, _ = process.communicate(timeout=60)
        data = self.termination.read_bytes() if self.termination.exists() else b"{}"
        assert len(data) <= 4096
        outcome = Outcome(process.returncode, output, json.loads(data))
        self.check(outcome)
        return outcome

    def kill(self, process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> Outcome:
        process.send_signal(number)
        return self.finish(process)

    @property
    def termination(self) -> Path:
        return self.root / "termination-log"

    def check(self, outcome: Outcome) -> None:
        """What holds after every run: no secret told, no traceback, nothing half-published, codes as documented."""
        told = outcome.output + json.dumps(outcome.message)
        assert not [secret for secret in self.private if secret in told]
        assert "Traceback" not in told, told
        assert "never retrieved" not in told, told
        assert outcome.reason != "InternalError"
        if outcome.message:
            expected = 0 if outcome.message["result"] == "Imported" else 1 if outcome.message["retryable"] else 3
            assert outcome.code == expected
        self.check_volume()

    def check_volume(self) -> None:
        for directory in self.volume.glob("sha256-*/"):
            manifest = manifests.parse((self.volume / f"{directory.name}.manifest.json").read_bytes())
            assert manifest.digest == directory.name.replace("-", ":")
            found = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}
            assert found == {entry.path for entry in manifest.files}
            for entry in manifest.files:
                assert manifests.hash_file(directory / entry.path) == entry.sha256
            for path in (directory, *directory.rglob("*")):
                assert stat.S_IMODE(path.stat().st_mode) == (0o555 if path.is_dir() else 0o444)

    def published(self) -> dict[str, bytes] | None:
        """The one published model, None when there is none."""
        directories = [path for path in self.volume.glob("sha256-*") if path.is_dir()]
        if not directories:
            return None
        (directory,) = directories
        files = (path for path in directory.rglob("*") if path.is_file())
        return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}

    def leftovers(self) -> list[str]:
        return [path.name for path in self.volume.glob(".import-*")]


def eventually(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.01)  # the pace of the poll, not a wait for luck

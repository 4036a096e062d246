"""A run of the upstream NetworkPolicy suite on a cluster that is made for it, and gone afterwards."""

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed import binaries, cluster, images, paths, process, state
from testbed.cluster import Cluster
from testbed.conformance import report
from testbed.conformance.report import Outcome, Verdict
from testbed.errors import TestbedError

NODES = "fr:2,de:1"
_IMAGE = "agnhost"
# Where the kernel has no SCTP there is nothing to connect with. The tests that only name SCTP in a policy are run.
_SKIP = r"\[Feature:SCTPConnectivity\]"
# What a plugin that enforces nothing is to be seen by; the other tests would wait for nothing as long, each for a minute.
_FOCUS_BRIDGE = "'default-deny-ingress' policy|should support allow-all policy"
_TIMEOUT = "45m"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What came of one plugin."""

    plugin: str
    outcome: Outcome
    verdict: Verdict
    report: Path
    log: Path


def check(plugin: str, focus: str | None, say: Say) -> Result:
    """Run the suite, or what of it matches `focus`, on real nodes with this plugin.

    The report and the log stay in the cache until the next run.

    Raises:
        TestbedError: another such run is under way, the cluster cannot be made, or the suite wrote no report.
    """
    folder = paths.cache() / "conformance"
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / f"{plugin}.json", folder / f"{plugin}.log"
    with _alone(folder), _cluster(f"conformance-{plugin}", plugin, say) as made:
        file.unlink(missing_ok=True)
        say("the NetworkPolicy suite")
        arguments = _arguments(made, focus or (_FOCUS_BRIDGE if plugin == "bridge" else None), file)
        _run([binaries.require("netpol"), *arguments], log, say)
    try:
        outcome = report.read(file)
    except TestbedError as error:
        raise TestbedError(f"{error}; see {log}") from error
    return Result(plugin, outcome, _judge(plugin, outcome, whole=focus is None), file, log)


def _judge(plugin: str, outcome: Outcome, *, whole: bool) -> Verdict:
    if plugin == "bridge":
        return report.enforces_nothing(outcome)
    return report.enforces(outcome, report.MORE_THAN if whole else 0)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One run at a time on a machine: what is left under the clusters' names is then of a run that was killed."""
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TestbedError("another conformance run is under way on this machine; wait for its end") from None
        yield


@contextmanager
def _cluster(name: str, plugin: str, say: Say) -> Iterator[Cluster]:
    binaries.require("netpol")  # before there is a cluster that would wait for it
    images.build(_IMAGE)
    cluster.down(name)
    try:
        yield Cluster.up(name, provider="binaries", fake_nodes=False, nodes=NODES, plugin=plugin, report=say)
    except TestbedError as error:
        raise TestbedError(f"{error}{_keep_logs(name)}") from error
    finally:
        say("taking the cluster down")
        cluster.down(name)


def _keep_logs(name: str) -> str:
    """Put the logs of a cluster that is about to go where the reports are; a sentence that says so."""
    logs, kept = state.folder(name) / "log", paths.cache() / "conformance" / f"{name}-log"
    if not logs.exists():
        return ""
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(logs, kept)
    return f"\nThe cluster is gone; its logs are in {kept}"


def _arguments(made: Cluster, focus: str | None, file: Path) -> Iterator[str]:
    yield f"--kubeconfig={made.kubeconfig}"
    yield f"--agnhost={made.fleet.push(_IMAGE)}"
    yield f"--ginkgo.skip={_SKIP}"
    if focus:
        yield f"--ginkgo.focus={focus}"
    yield f"--ginkgo.timeout={_TIMEOUT}"
    yield f"--ginkgo.json-report={file}"
    yield "--ginkgo.no-color"


def _run(command: Sequence[str | Path], log: Path, say: Say) -> None:
    """Run it to its end, whatever that is: what came of the tests is in its report."""
    with log.open("w") as out:
        program = subprocess.Popen(
            command,
            cwd=log.parent,
            env=process.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert program.stderr is not None
            for line in program.stderr:
                say(line.rstrip())
                out.write(line)
                out.flush()
        finally:
            program.kill()
            program.wait()

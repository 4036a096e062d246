"""The plan of a Containerfile: what its instructions mean, before any of them is carried out. It writes nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from testbed.images import chroot, containerfile, steps
from testbed.images.containerfile import Containerfile, Instruction
from testbed.images.context import Context
from testbed.images.layers import Layer
from testbed.images.steps import Plan


@dataclass(frozen=True)
class Base:
    """What stands for an image that a Containerfile begins with."""

    final: tuple[Layer, ...]
    build: tuple[Layer, ...]  # the same and what only building needs; for stages that the image is not made of
    environment: Mapping[str, str]


class Planner:
    """Makes the plans of a Containerfile's stages."""

    def __init__(
        self,
        source: Containerfile,
        context: Context,
        bases: Mapping[str, Base],
        arguments: Mapping[str, str],
        wheels: Callable[[], Path],
    ) -> None:
        self._source = source
        self._context = context
        self._bases = bases
        self._arguments = arguments
        self._wheels = wheels
        self._plans: dict[str, Plan] = {}

    def plans(self) -> list[Plan]:
        """One for each stage; the last is the image."""
        for stage in self._source.stages:
            plan = self._begin(stage)
            for instruction in stage.instructions:
                _HANDLERS[instruction.keyword](self, plan, instruction)
            plan.settings["Env"] = [f"{name}={value}" for name, value in plan.environment.items()]
            self._plans[stage.name] = plan
        return list(self._plans.values())

    def _begin(self, stage: containerfile.Stage) -> Plan:
        base = self._bases.get(stage.base)
        if base is None:
            known = ", ".join(self._bases)
            raise stage.start.error(
                f"{stage.base}: there is no stand-in for this here, only for {known}; see testbed/images/recipes.py"
            )
        final = stage is self._source.stages[-1]
        return Plan(stage.name, base.final if final else base.build, dict(base.environment))

    def _arg(self, plan: Plan, instruction: Instruction) -> None:
        name, default = containerfile.argument(instruction, self._scope(plan))
        inherited = self._source.arguments.get(name, "") if "=" not in instruction.text else default
        plan.variables[name] = self._arguments.get(name, inherited)

    def _env(self, plan: Plan, instruction: Instruction) -> None:
        before = self._scope(plan)  # all of one ENV see what was before it
        plan.environment |= {name: instruction.substitute(value, before) for name, value in instruction.pairs()}

    def _label(self, plan: Plan, instruction: Instruction) -> None:
        labels = plan.settings.setdefault("Labels", {})
        labels |= {name: instruction.substitute(value, self._scope(plan)) for name, value in instruction.pairs()}

    def _user(self, plan: Plan, instruction: Instruction) -> None:
        plan.settings["User"] = instruction.substitute(instruction.text, self._scope(plan))

    def _expose(self, plan: Plan, instruction: Instruction) -> None:
        ports = plan.settings.setdefault("ExposedPorts", {})
        for word in instruction.words():
            port = instruction.substitute(word, self._scope(plan))
            ports[port if "/" in port else f"{port}/tcp"] = {}

    def _entrypoint(self, plan: Plan, instruction: Instruction) -> None:
        plan.settings["Entrypoint"] = instruction.arguments()
        plan.settings.pop("Cmd", None)

    def _cmd(self, plan: Plan, instruction: Instruction) -> None:
        plan.settings["Cmd"] = instruction.arguments()

    def _workdir(self, plan: Plan, instruction: Instruction) -> None:
        folder = str(PurePosixPath(plan.workdir) / instruction.substitute(instruction.text, self._scope(plan)))
        plan.settings["WorkingDir"] = folder
        plan.add(f"WORKDIR {folder}", None, lambda root: steps.inside(root, folder).mkdir(parents=True, exist_ok=True))

    def _run(self, plan: Plan, instruction: Instruction) -> None:
        if instruction.text.startswith(("--", "[")):
            raise instruction.error("has to be a plain shell command here, without flags and not in the exec form")
        if plan.settings.get("User"):
            raise instruction.error("after USER is not carried out here: build as root in a stage of its own")
        environment = {"HOME": "/root"} | plan.environment | plan.variables
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": chroot.WHEELHOUSE}
        argv = ["/bin/sh", "-c", f'cd "$0" && {instruction.text}', plan.workdir]
        plan.add(
            f"RUN {instruction.text}",
            [environment, plan.workdir],
            lambda root: chroot.run(root, argv, environment=environment | offline, wheels=self._wheels()),
        )

    def _copy(self, plan: Plan, instruction: Instruction) -> None:
        words = [instruction.substitute(word, self._scope(plan)) for word in instruction.words()]
        flags = [word for word in words if word.startswith("--")]
        *sources, target = [word for word in words if not word.startswith("--")]
        if not sources or any(not flag.startswith("--from=") for flag in flags):
            raise instruction.error("has to have the form `COPY [--from=STAGE] SOURCE... TARGET` here")
        folder = len(sources) > 1 or target.endswith("/") or target in (".", "..")
        place = str(PurePosixPath(plan.workdir) / target)
        if not flags:
            copied = [(source, self._context.files(source)) for source in sources]
            inputs: Any = [[source, [self._context.fingerprint(file) for file in files]] for source, files in copied]
            plan.add(
                f"COPY {place} {folder}",
                inputs,
                lambda root: steps.copy_context(self._context, copied, root, place, folder),
            )
            return
        name = flags[-1].removeprefix("--from=")
        if name not in self._plans:
            raise instruction.error(f"is from {name!r}, which is no earlier stage")
        other = self._plans[name]
        plan.add(
            f"COPY {place} {folder}",
            [other.key, sources],
            lambda root: steps.copy_stage(other, sources, root, place, folder),
        )

    def _scope(self, plan: Plan) -> dict[str, str]:
        return plan.variables | plan.environment  # ENV wins over ARG


_HANDLERS: Final[Mapping[str, Callable[[Planner, Plan, Instruction], None]]] = {
    "ARG": Planner._arg,
    "ENV": Planner._env,
    "LABEL": Planner._label,
    "USER": Planner._user,
    "EXPOSE": Planner._expose,
    "ENTRYPOINT": Planner._entrypoint,
    "CMD": Planner._cmd,
    "WORKDIR": Planner._workdir,
    "RUN": Planner._run,
    "COPY": Planner._copy,
}

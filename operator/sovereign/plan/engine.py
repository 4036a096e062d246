"""What an engine is started with: arguments and environment, and what a pool may change of them.

The environment has four layers, the later ones win: places to write (the image does not know the user id), the runtime's own variables,
those of the pool that the runtime lists in ``overrides.env``, and last the switches below, which keep every engine offline and silent.
The switches are advice to the engine; closed egress is what holds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sovereign.api.conditions import Reason
from sovereign.plan import templates
from sovereign.plan.inventory import InferencePool, Runtime, SovereignModel
from sovereign.plan.quantity import whole
from sovereign.plan.sizing import Layout
from sovereign.plan.templates import (
    InvalidTemplateError,
    ModelVariables,
    ParallelismVariables,
    PoolVariables,
    RuntimeVariables,
    Variables,
)
from sovereign.plan.verdict import Verdict

WEIGHTS_ROOT: Final = "/models"
HOME: Final = "/home/sovereign"
API_KEY: Final = "api-key"
"""Key of the Secret that ``network.apiKeySecretRef`` names."""

_CACHE = f"{HOME}/.cache"
_PLACES: Final = {
    "HOME": HOME,
    # torch asks for the user's name, and the image's passwd file has none for this user id.
    "USER": "sovereign",
    "LOGNAME": "sovereign",
    "TMPDIR": "/tmp",  # noqa: S108 - an emptyDir of the pod's own
    "XDG_CACHE_HOME": _CACHE,
    "XDG_CONFIG_HOME": f"{HOME}/.config",
    "HF_HOME": f"{_CACHE}/huggingface",
    "TORCHINDUCTOR_CACHE_DIR": f"{_CACHE}/torchinductor",
    "TRITON_CACHE_DIR": f"{_CACHE}/triton",
    "NUMBA_CACHE_DIR": f"{_CACHE}/numba",
    "OUTLINES_CACHE_DIR": f"{_CACHE}/outlines",
    "FLASHINFER_WORKSPACE_BASE": HOME,
    "VLLM_CACHE_ROOT": f"{_CACHE}/vllm",
    "VLLM_CONFIG_ROOT": f"{HOME}/.config/vllm",
}
SWITCHES: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "LLAMA_ARG_OFFLINE": "1",
    "OLLAMA_NO_CLOUD": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "USAGE_STATS": "off",
    "RAY_USAGE_STATS_ENABLED": "0",
    "LMCACHE_TRACK_USAGE": "false",
}
"""Offline and telemetry switches of every engine; neither pool nor runtime can change them."""
UNSET: Final = frozenset(
    {
        "ALL_PROXY",
        "FTP_PROXY",
        "HF_ENDPOINT",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "LLAMA_ARG_AGENT",
        "LLAMA_ARG_HF_REPO",
        "LLAMA_ARG_MODEL_URL",
        "LLAMA_ARG_RPC",
        "LLAMA_ARG_TOOLS",
        "NGROK",
        "SGLANG_USE_MODELSCOPE",
        "TRUST_REMOTE_CODE",
        "VLLM_ALLOW_INSECURE_SERIALIZATION",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
        "VLLM_SERVER_DEV_MODE",
        "VLLM_USAGE_STATS_SERVER",
        "VLLM_USE_MODELSCOPE",
    }
)
"""Variables that nobody may set, in capitals or not: they open the engine or send it elsewhere."""
REFUSED_FLAGS: Final = frozenset({"--trust-remote-code", "--ngrok"})
"""Flags that nobody may set, whatever a runtime lists."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica of a pool: what is served, by what, on how many GPUs."""

    pool: InferencePool
    model: SovereignModel
    runtime: Runtime
    image: str
    layout: Layout

    @property
    def folder(self) -> str:
        """Where the weights are mounted."""
        return f"{WEIGHTS_ROOT}/{self.model.owner.name}"


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Arguments and environment, as they stand in the container."""

    args: list[str]
    env: list[dict[str, Any]]


# --- what a pool may change -------------------------------------------------------------------------


def override_verdicts(pool: InferencePool, runtime: Runtime) -> Iterator[Verdict]:
    """Whether the pool's own arguments, variables and API key are such as the runtime takes."""
    yield _arguments(pool, runtime)
    yield _variables(pool, runtime)
    yield _api_key(pool, runtime)
    yield _parallelism(pool, runtime)


def _arguments(pool: InferencePool, runtime: Runtime) -> Verdict:
    allowed = runtime.spec.overrides.args
    for argument in pool.spec.runtime.args:
        flag = argument.partition("=")[0]
        if flag not in allowed or refused(flag):
            return _not_allowed("runtime.args", f"argument {flag}", allowed, runtime, flag)
        if not argument.isprintable():
            return Verdict(
                False,
                "runtime.args",
                Reason.INVALID_SPEC,
                f"argument {flag} holds a line break or another control character; remove it",
            )
    return Verdict(True, "runtime.args", Reason.POLICY_ACCEPTED)


def _variables(pool: InferencePool, runtime: Runtime) -> Verdict:
    allowed = runtime.spec.overrides.env
    for variable in pool.spec.runtime.env:
        if variable.name not in allowed or _fixed(variable.name, runtime):
            return _not_allowed("runtime.env", f"variable {variable.name}", allowed, runtime, variable.name)
        if "\x00" in variable.value:
            return Verdict(
                False,
                "runtime.env",
                Reason.INVALID_SPEC,
                f"variable {variable.name} holds a NUL character; remove it",
            )
    for own in runtime.spec.env:
        if own.name.upper() in UNSET:
            message = f"InferenceRuntime {runtime.name} sets {own.name}, which must stay unset; remove it there"
            return Verdict(False, "runtime.env", Reason.OVERRIDE_NOT_ALLOWED, message, own.name)
    return Verdict(True, "runtime.env", Reason.POLICY_ACCEPTED)


def _not_allowed(rule: str, what: str, allowed: Iterable[str], runtime: Runtime, found: str) -> Verdict:
    usable = [name for name in allowed if not refused(name) and not _fixed(name, runtime)]
    choice = f"remove it, or choose among {', '.join(usable)}" if usable else "remove it; there are none"
    message = f"{what} cannot be set for runtime {runtime.name}; {choice} (spec.overrides of the InferenceRuntime)"
    return Verdict(False, rule, Reason.OVERRIDE_NOT_ALLOWED, message, found)


def refused(flag: str) -> bool:
    """Whether nobody may set ``flag``. vLLM takes underscores for dashes."""
    return flag.replace("_", "-") in REFUSED_FLAGS


def _fixed(name: str, runtime: Runtime) -> bool:
    return name in SWITCHES or name.upper() in UNSET or name == runtime.spec.api_key_env


def _api_key(pool: InferencePool, runtime: Runtime) -> Verdict:
    rule = "network.apiKeySecretRef"
    if pool.spec.network.api_key_secret_ref is None or runtime.spec.api_key_env is not None:
        return Verdict(True, rule, Reason.POLICY_ACCEPTED)
    message = (
        f"runtime {runtime.name} takes no API key (it has no spec.apiKeyEnv); remove {rule} or choose another runtime"
    )
    return Verdict(False, rule, Reason.INVALID_SPEC, message, runtime.name)


def _parallelism(pool: InferencePool, runtime: Runtime) -> Verdict:
    parallelism = pool.spec.parallelism
    for field, degree in (("pipeline", parallelism.pipeline), ("data", parallelism.data)):
        variable = f"parallelism.{field}"
        if degree > 1 and not _mentions(runtime, variable):
            message = f"runtime {runtime.name} has no use for {variable}; leave it out, or choose another runtime"
            return Verdict(False, variable, Reason.INVALID_SPEC, message, str(degree))
    return Verdict(True, "parallelism", Reason.POLICY_ACCEPTED)


def _mentions(runtime: Runtime, variable: str) -> bool:
    spec = runtime.spec
    return any(variable in text for text in spec.args) or any(variable in entry.value for entry in spec.env)


def weights_verdict(model: SovereignModel, runtime: Runtime) -> Verdict:
    """Whether the runtime finds what it opens: a folder inside the claim, and with gguf the file in it."""
    artifact, rule = model.artifact, "modelRef.name"
    if artifact is None:
        message = f"SovereignModel {model.owner.name} is not imported yet; the pool starts by itself once it is"
        return Verdict(False, rule, Reason.WAITING_FOR_MODEL, message, model.owner.name)
    for path in (artifact.path, artifact.entrypoint):
        if path and not _inside(path):
            message = f"the weights of SovereignModel {model.owner.name} lie at {path!r}, which is not a plain path inside the claim"
            return Verdict(False, rule, Reason.INVALID_SPEC, message, path)
    if model.spec.format == "gguf" and not artifact.entrypoint and _mentions(runtime, "model.path"):
        message = (
            f"SovereignModel {model.owner.name} has no single .gguf file for runtime {runtime.name} to open; "
            "choose one with spec.source.include"
        )
        return Verdict(False, rule, Reason.INVALID_SPEC, message, model.owner.name)
    return Verdict(True, rule, Reason.READY)


def _inside(path: str) -> bool:
    return path.isprintable() and not any(part in ("", ".", "..") for part in path.split("/"))


# --- what the engine is started with ------------------------------------------------------------------


def command_line(replica: Replica) -> CommandLine:
    """Arguments and environment of the engine.

    Raises:
        InvalidTemplateError: a template of the runtime cannot be rendered, or renders a flag that nobody may set.
    """
    spec, variables = replica.runtime.spec, _template_variables(replica)
    args = list(_arguments_rendered(tuple(spec.args), variables, spec.api_key_env))
    args += map(templates.escape, replica.pool.spec.runtime.args)
    return CommandLine(args, _environment(replica, variables))


def _arguments_rendered(sources: tuple[str, ...], variables: Variables, api_key_env: str | None) -> tuple[str, ...]:
    args = tuple(text for text in templates.render("args", sources, variables, api_key_env) if text)
    for text in args:
        if refused(flag := text.partition("=")[0]):
            raise InvalidTemplateError(f"args hold {flag}, which nobody may set; remove it from the InferenceRuntime")
    return args


def _environment(replica: Replica, variables: Variables) -> list[dict[str, Any]]:
    spec, pool = replica.runtime.spec, replica.pool.spec
    values = dict(_PLACES)
    rendered = templates.render("env", tuple(entry.value for entry in spec.env), variables)
    for entry, value in zip(spec.env, rendered, strict=True):
        if value or not entry.value:
            values[entry.name] = value
    values.update((variable.name, templates.escape(variable.value)) for variable in pool.runtime.env)
    values.update(SWITCHES)
    secret = pool.network.api_key_secret_ref
    entries: list[dict[str, Any]] = []
    if secret is not None and spec.api_key_env is not None:
        values.pop(spec.api_key_env, None)
        source = {"secretKeyRef": {"name": secret.name, "key": API_KEY}}
        entries.append({"name": spec.api_key_env, "valueFrom": source})
    # The API server drops an empty value, so a stated one would look changed for ever.
    entries += [{"name": name, "value": value} if value else {"name": name} for name, value in values.items()]
    return entries


def _template_variables(replica: Replica) -> Variables:
    pool, model, layout = replica.pool, replica.model, replica.layout
    return Variables(
        model=_model_variables(replica.folder, model),
        pool=PoolVariables(
            name=pool.owner.name,
            namespace=pool.owner.namespace,
            maxModelLen=pool.spec.max_model_len,
            maxNumSeqs=pool.spec.max_num_seqs,
            gpuMemoryUtilization=pool.spec.gpu_memory_utilization,
            cpus=whole(pool.spec.resources.cpu),
            apiKey=pool.spec.network.api_key_secret_ref is not None,
        ),
        parallelism=ParallelismVariables(layout.tensor, layout.pipeline, layout.data),
        gpus=layout.gpus,
        port=replica.runtime.spec.port,
        runtime=RuntimeVariables(replica.runtime.name),
    )


def _model_variables(folder: str, model: SovereignModel) -> ModelVariables:
    entrypoint = model.artifact.entrypoint if model.artifact else ""
    path: str | None = folder
    if model.spec.format == "gguf":
        path = f"{folder}/{entrypoint}" if entrypoint else None
    return ModelVariables(
        name=model.owner.name,
        folder=folder,
        path=path,
        format=model.spec.format,
        quantization=(model.parameters.quantization if model.parameters else None) or "",
    )

"""InferenceRuntime: an engine as data."""

from typing import Annotated, Literal

from pydantic import Field

from sovereign.api.policy import Format
from sovereign.api.pool import EnvName
from sovereign.api.schema import ImageReference, Model, rule, text

Template = Annotated[str, Field(max_length=2048)]
HttpPath = Annotated[
    str, text(r"/[A-Za-z0-9/_.-]*", "write a path that begins with '/', for example /health", max_length=128)
]
MountPath = Annotated[
    str,
    text(
        r"/[A-Za-z0-9/_.-]*[A-Za-z0-9_-]",
        "write an absolute path such as /root/.cache, without '..'",
        max_length=256,
    ),
]
Flag = Annotated[
    str,
    text(
        r"--?[A-Za-z][A-Za-z0-9_-]*",
        "write a flag with its dashes and without a value, for example --enable-prefix-caching",
        max_length=128,
    ),
]
MetricName = Annotated[
    str,
    text(
        r"[a-zA-Z_:][a-zA-Z0-9_:]*",
        "write a Prometheus metric's name, for example vllm:num_requests_waiting",
        max_length=128,
    ),
]


class TemplateVar(Model):
    """An environment variable whose value is a template."""

    name: EnvName = Field(description="Name of the variable.")
    value: Template = Field(
        default="",
        description="Jinja2 template of its value; docs/reference/templates.md has the variables. Default: empty.",
    )


class Probe(Model):
    """An HTTP probe."""

    path: HttpPath = Field(default="/health", description="Path that answers 200 when all is well. Default: /health.")
    period_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=10, description="Seconds between probes. Default: 10."
    )
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=5, description="Seconds until a probe counts as failed. Default: 5."
    )
    failure_threshold: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3, description="Failures in a row that count. Default: 3."
    )


class Probes(Model):
    """How the engine is asked whether it is well."""

    startup: Probe = Field(
        default=Probe(),
        description="While weights are loaded; its failureThreshold is planned from the weights' size (10 minutes at least). Default: /health every 10 s.",
    )
    readiness: Probe = Field(
        default=Probe(period_seconds=5),
        description="Whether requests are sent to it. Default: /health every 5 s.",
    )
    liveness: Probe = Field(
        default=Probe(period_seconds=15, failure_threshold=4),
        description="Whether it is restarted. Default: /health every 15 s.",
    )


class Metrics(Model):
    """Where the engine's metrics are, and what they are called."""

    path: HttpPath = Field(default="/metrics", description="Path of the metrics. Default: /metrics.")
    requests_running: MetricName | None = Field(default=None, description="Gauge of running requests. Default: none.")
    requests_waiting: MetricName | None = Field(default=None, description="Gauge of waiting requests. Default: none.")
    cache_usage: MetricName | None = Field(
        default=None, description="Gauge of the KV cache's use, 0 to 1. Default: none."
    )


class Drain(Model):
    """How a replica ends without dropping requests."""

    pre_stop_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        default=5, description="Seconds between leaving the endpoints and SIGTERM. Default: 5."
    )
    grace_period_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="Seconds that running requests have to end, preStop included. Default: 60."
    )


class Overrides(Model):
    """What a pool may add."""

    args: list[Flag] = Field(
        default=[],
        max_length=64,
        description="Flags that a pool may set in runtime.args. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    env: list[EnvName] = Field(
        default=[],
        max_length=64,
        description="Variables that a pool may set in runtime.env. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class RuntimeSpec(Model):
    """An inference engine."""

    image: ImageReference | None = Field(
        default=None, description="Image by digest. Default: none; the pool must then name one."
    )
    formats: list[Format] = Field(
        default=["safetensors"],
        min_length=1,
        max_length=2,
        description="Formats that the engine loads. Default: [safetensors].",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    accelerator: Literal["Required", "Optional"] = Field(
        default="Required", description="Whether the engine needs a GPU. Default: Required."
    )
    command: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(
        default=[],
        max_length=16,
        description="Command, taken literally. Default: the image's entrypoint.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    args: list[Template] = Field(
        default=[],
        max_length=64,
        description="Arguments; each is a Jinja2 template rendered to exactly one argument, and left out when it renders to nothing. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    env: list[TemplateVar] = Field(
        default=[],
        max_length=64,
        description="Environment; values are Jinja2 templates. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    api_key_env: EnvName | None = Field(
        default=None,
        description="Variable in which the engine takes its API key. Default: none; a pool cannot set a key then.",
    )
    port: Annotated[int, Field(ge=1024, le=65535)] = Field(
        default=8000, description="Port of the HTTP API. Default: 8000."
    )
    probes: Probes = Field(
        default=Probes(), description="How the engine is asked whether it is well. Default: /health."
    )
    metrics: Metrics = Field(default=Metrics(), description="Where the engine's metrics are. Default: /metrics.")
    drain: Drain = Field(default=Drain(), description="How a replica ends. Default: 5 s, then 60 s.")
    writable_paths: list[MountPath] = Field(
        default=[],
        max_length=16,
        description="Folders the engine writes to, besides /tmp and its home; each an emptyDir. Default: none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    overrides: Overrides = Field(default=Overrides(), description="What a pool may add. Default: nothing.")


RUNTIME_SPEC_RULES = [
    rule(
        "!has(self.writablePaths) || self.writablePaths.all(p, !p.contains('..') && !p.startsWith('/models'))",
        "writablePaths must not contain '..', nor lie under /models, which holds the weights read-only",
    ),
    rule(
        "!has(self.drain) || self.drain.preStopSeconds < self.drain.gracePeriodSeconds",
        "drain.gracePeriodSeconds includes preStopSeconds, so it must be greater",
    ),
]

"""Engine arguments: Jinja2 in a sandbox, each template to exactly one string.

What a template may hold is an allow-list of its syntax tree: text, the variables below, ``if``, comparisons, arithmetic and a few filters.
There are no calls, loops, assignments or imports, so the cost of a template is bounded by its length, and neither ``().__class__`` nor
any other attribute that is not listed can be written. The sandbox underneath is a second line.

Variables (an unset optional number is none; test it with ``{% if %}``)::

    model.name           name of the SovereignModel
    model.folder         folder of its weights, read-only
    model.path           what an engine opens: the folder, or with gguf the file in it
    model.format         safetensors or gguf
    model.quantization   as config.json says; empty when there is none
    pool.name, pool.namespace
    pool.maxModelLen, pool.maxNumSeqs            optional numbers
    pool.gpuMemoryUtilization                    0.1 to 0.99
    pool.cpus            whole CPU cores of a replica, at least 1
    pool.apiKey          whether callers must send an API key
    parallelism.tensor, parallelism.pipeline, parallelism.data
    gpus                 GPUs of a replica; 0 on CPU
    port                 port of the HTTP API
    runtime.name         name of the InferenceRuntime

Kubernetes expands ``$(NAME)`` in arguments. Here that is so for the runtime's ``apiKeyEnv`` alone, and only where the template itself
says it; every other ``$`` is doubled, which Kubernetes reads as a plain ``$``.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError, TemplateRuntimeError, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_LENGTH: Final = 4096
"""Characters of one rendered argument."""
_EXPANSION = "\x00"
"""Stands for ``$(apiKeyEnv)`` while a template is rendered: neither variables nor templates can hold it, they are printable."""


class InvalidTemplateError(ValueError):
    """A template that cannot be rendered. The text says which, and why."""


class ModelVariables(msgspec.Struct, frozen=True):
    """``model`` in a template."""

    name: str
    folder: str
    path: str | None
    format: str
    quantization: str = ""


class PoolVariables(msgspec.Struct, frozen=True):
    """``pool`` in a template; spelled as in the API."""

    name: str
    namespace: str
    maxModelLen: int | None  # noqa: N815 - the name that templates use
    maxNumSeqs: int | None  # noqa: N815 - the name that templates use
    gpuMemoryUtilization: float  # noqa: N815 - the name that templates use
    cpus: int
    apiKey: bool  # noqa: N815 - the name that templates use


class ParallelismVariables(msgspec.Struct, frozen=True):
    """``parallelism`` in a template."""

    tensor: int
    pipeline: int
    data: int


class RuntimeVariables(msgspec.Struct, frozen=True):
    """``runtime`` in a template."""

    name: str


class Variables(msgspec.Struct, frozen=True):
    """Everything that a template can name."""

    model: ModelVariables
    pool: PoolVariables
    parallelism: ParallelismVariables
    gpus: int
    port: int
    runtime: RuntimeVariables


_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "model": ModelVariables.__struct_fields__,
    "pool": PoolVariables.__struct_fields__,
    "parallelism": ParallelismVariables.__struct_fields__,
    "runtime": RuntimeVariables.__struct_fields__,
    "gpus": (),
    "port": (),
}
_SYNTAX: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.CondExpr,
    nodes.Name,
    nodes.Getattr,
    nodes.Const,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
    nodes.Concat,
    nodes.Filter,
    nodes.Test,
)
_FILTERS: Final = ("default", "lower", "upper", "trim", "int", "string")
_TESTS: Final = ("defined", "none", "eq", "ne", "lt", "le", "gt", "ge")


def _set(value: Any) -> Any:
    if value is None:
        raise TemplateRuntimeError("a variable that it prints is not set; put {% if ... %} around it")
    return value


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox without globals, in which text cannot be multiplied."""

    intercepted_binops = frozenset({"*", "%"})

    def __init__(self) -> None:
        super().__init__(autoescape=False, undefined=StrictUndefined, finalize=_set, keep_trailing_newline=True)
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.tests = {name: self.tests[name] for name in _TESTS}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """``left operator right`` for numbers; for text, ``*`` and ``%`` could make it longer than memory."""
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(f"{operator} is for numbers only")
        return super().call_binop(context, operator, left, right)


_SANDBOX: Final = _Sandbox()
_ERRORS: Final = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    # What Jinja makes of a number that is too large, which it writes into the program as ``inf``.
    NameError,
    # What nesting a template deeply does to Jinja's and Python's parsers.
    RecursionError,
    SyntaxError,
    MemoryError,
)


@lru_cache(maxsize=2048)
def render(what: str, templates: tuple[str, ...], variables: Variables, expanded: str | None = None) -> tuple[str, ...]:
    """The ``templates`` rendered, one string each; empty where a template renders to nothing.

    Args:
        what: what they are, for messages, e.g. ``args``.
        templates: Jinja2 sources.
        variables: what they may name.
        expanded: the environment variable for which ``$(NAME)`` in a template is left to Kubernetes.

    Raises:
        InvalidTemplateError: a template cannot be rendered to one printable argument.
    """
    _check_printable(variables)
    names = _names(variables)
    return tuple(_rendered(f"{what}[{index}]", source, names, expanded) for index, source in enumerate(templates))


def escape(text: str) -> str:
    """``text`` such that Kubernetes expands nothing in it. Source: ``k8s.io/kubernetes/third_party/forked/golang/expansion``."""
    return text.replace("$", "$$")


def check(source: str) -> None:
    """Refuse a template for what it says, whatever the variables are.

    Raises:
        InvalidTemplateError: it is not valid Jinja2, or uses more of it than is allowed here.
    """
    _check_text("the template", source)
    _compiled("the template", source)


def _check_text(label: str, source: str) -> None:
    if not source.isprintable():
        raise InvalidTemplateError(f"{label} holds a line break or another control character")


def _names(variables: Variables) -> dict[str, Any]:
    return {name: getattr(variables, name) for name in _FIELDS}


def _check_printable(variables: Variables) -> None:
    for group in ("model", "pool", "runtime"):
        values = getattr(variables, group)
        for field in _FIELDS[group]:
            value = getattr(values, field)
            if isinstance(value, str) and not value.isprintable():
                raise InvalidTemplateError(f"{group}.{field} holds a control character")


def _rendered(label: str, source: str, names: dict[str, Any], expanded: str | None) -> str:
    _check_text(label, source)
    expansion = f"$({expanded})"
    if expanded:
        source = source.replace(expansion, _EXPANSION)
    if "{" not in source:
        text = source
    else:
        template = _compiled(label, source)
        try:
            text = "".join(template.root_render_func(template.new_context(names)))
        except _ERRORS as error:
            raise InvalidTemplateError(f"{label} {source!r} cannot be rendered: {error}") from None
    if len(text) > MAX_LENGTH:
        raise InvalidTemplateError(f"{label} renders to {len(text)} characters; {MAX_LENGTH} are allowed")
    if not text.replace(_EXPANSION, "").isprintable():
        raise InvalidTemplateError(f"{label} renders to text with a line break or another control character")
    return escape(text).replace(_EXPANSION, expansion)


@lru_cache(maxsize=1024)
def _compiled(label: str, source: str) -> Template:
    try:
        tree = _SANDBOX.parse(source)
        _check_tree(tree)
        return _SANDBOX.from_string(tree)
    except _ERRORS as error:
        raise InvalidTemplateError(f"{label} {source!r} is not a valid template: {error}") from None


def _check_tree(tree: nodes.Template) -> None:
    every = _descendants(tree)
    qualified = {id(node.node) for node in every if isinstance(node, nodes.Getattr)}
    for node in every:
        if not isinstance(node, _SYNTAX):
            raise TemplateError(f"{type(node).__name__.lower()} is not available in arguments")
        if isinstance(node, nodes.Name) and _FIELDS.get(node.name) and id(node) not in qualified:
            raise TemplateError(
                f"{node.name} is no value; name one of its fields, such as {node.name}.{_FIELDS[node.name][0]}"
            )
        problem = _PROBLEMS.get(type(node))
        if problem is not None and (text := problem(node)):
            raise TemplateError(text)


def _descendants(tree: nodes.Node) -> list[nodes.Node]:
    found: list[nodes.Node] = [tree]
    for node in found:
        found.extend(node.iter_child_nodes())
    return found


def _name_problem(node: Any) -> str:
    return "" if node.name in _FIELDS else f"there is no variable {node.name}; there are {', '.join(_FIELDS)}"


def _attribute_problem(node: Any) -> str:
    fields = _FIELDS.get(node.node.name, ()) if isinstance(node.node, nodes.Name) else ()
    return "" if node.attr in fields else f"there is no variable that ends in .{node.attr}"


def _text_problem(node: Any) -> str:
    return "" if not isinstance(node.value, str) or node.value.isprintable() else "its text holds a control character"


def _filter_problem(node: Any) -> str:
    return "" if node.name in _FILTERS else f"there is no filter {node.name}; there are {', '.join(_FILTERS)}"


def _test_problem(node: Any) -> str:
    return "" if node.name in _TESTS else f"there is no test {node.name}; there are {', '.join(_TESTS)}"


_PROBLEMS: Final[dict[type[nodes.Node], Callable[[Any], str]]] = {
    nodes.Name: _name_problem,
    nodes.Getattr: _attribute_problem,
    nodes.Const: _text_problem,
    nodes.Filter: _filter_problem,
    nodes.Test: _test_problem,
}

"""Row 24: templates of an engine's arguments say text and nothing else, and cost no more than their length."""

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.plan import templates
from sovereign.plan.templates import (
    InvalidTemplateError,
    ModelVariables,
    ParallelismVariables,
    PoolVariables,
    RuntimeVariables,
    Variables,
)
from tests.fuzz.totals import costly, tried
from tests.fuzz.values import HOSTILE

_VARIABLES = Variables(
    ModelVariables("mistral", "/models/mistral", "/models/mistral", "safetensors", "fp8"),
    PoolVariables("chat", "team-a", 8192, None, 0.9, 4, apiKey=False),
    ParallelismVariables(2, 1, 1),
    gpus=2,
    port=8000,
    runtime=RuntimeVariables("vllm"),
)

_NAMES = (
    "model",
    "model.name",
    "pool.maxNumSeqs",
    "pool",
    "gpus",
    "port",
    "runtime.name",
    "self",
    "loop",
    "range",
    "cycler",
)
_NUMBERS = ("0", "1", "9" * 300, "1e308", "-1", "0.1", "10**9")
_TEXTS = ("'a'", "''", "'%s'", "'{0.__class__}'", "'a' * 2048", '"\'"')
_OPERATORS = (
    " + ",
    " - ",
    " * ",
    " / ",
    " // ",
    " % ",
    " ~ ",
    " ** ",
    " and ",
    " or ",
    " == ",
    " in ",
    " if gpus else ",
)
_SUFFIXES = ("", "|int", "|string", "|upper", "|default('x')", "|trim", "|attr('__class__')", "|map('x')", ".__class__")
_SUFFIXES_MORE = ("[0]", "['__class__']", "()", ".format(pool)", "|int(0, 36)", " is defined", "|center(10**9)")

_atoms = st.sampled_from([*_NAMES, *_NUMBERS, *_TEXTS])
_expressions = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(_OPERATORS), inner).map("".join),
        st.tuples(inner, st.sampled_from([*_SUFFIXES, *_SUFFIXES_MORE])).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}"),
    ),
    max_leaves=12,
)
_templates = st.one_of(
    _expressions.map(lambda text: f"{{{{ {text} }}}}"),
    st.tuples(_expressions, _expressions).map(lambda pair: f"{{% if {pair[0]} %}}{{{{ {pair[1]} }}}}{{% endif %}}"),
    st.sampled_from(HOSTILE),
    st.text(alphabet="{}%#-|'\"()[].~*+ ax1\\$\n", max_size=40),
)


def _rendered(source: str) -> str | None:
    try:
        (text,) = templates.render("args", (source,), _VARIABLES, "API_KEY")
    except InvalidTemplateError:
        return None
    return text


@costly(100, 8000)
@given(_templates)
def test_a_template_renders_to_one_short_printable_argument_or_is_refused(source: str) -> None:
    """Row 24."""
    text = _rendered(source)
    tried(f"templates: {'rendered' if text is not None else 'refused'}")
    if text is not None:
        assert text.isprintable()
        assert len(text) <= 2 * templates.MAX_LENGTH  # every $ is doubled
        assert "$(" not in text.replace("$$", "").replace("$(API_KEY)", "")
        assert not any(word in text for word in ("__class__'>", "object at 0x", "Variables("))


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * 'a' }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'a'|center(1000000000) }}",
        "{% for x in range(1000000000) %}a{% endfor %}",
        "{% set a = 'a' * 10 %}{{ a }}",
        "{{ (9" + "9" * 600 + " * 9" + "9" * 600 + ") }}",
        "{{ " + " * ".join(["99999999"] * 100) + " }}",
        "{{ " + "(" * 1000 + "1" + ")" * 1000 + " }}",
        "{{ " + "-" * 2000 + "1 }}",
        "{{ " + "not " * 500 + "1 }}",
        "{{ " + " + ".join(["1"] * 500) + " }}",
        "{{ " + " ~ ".join(["model.name"] * 150) + " }}",
        "{% if 1 %}" * 90 + "a" + "{% endif %}" * 90,
        "{{ " + " if 1 else ".join(["1"] * 170) + " }}",
        "{{ 'a'" + "|upper" * 330 + " }}",
        "{{ ('" + "9" * 1900 + "')|int }}",
        "{{ ('" + "z" * 1900 + "')|int(0, 36) }}",
        "{{ 2.0 ** 1024 }}",
        "{{ 1e308 * 10 }}",
        "{{ (1e308 * 10)|int }}",
        "{% if 1e308 + 1e308 %}{{ 0 }}{% endif %}",
        "{{ 1e308 + 1e308 - 1e308 - 1e308 }}",
    ],
)
def test_no_template_costs_more_than_its_length(source: str) -> None:
    """Row 24: neither processor time nor memory, rendered or refused."""
    assert len(source) <= 2048
    tracemalloc.start()
    started = time.process_time()
    try:
        _rendered(source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 5
    assert peak < 64 * 2**20

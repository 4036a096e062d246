"""Engine arguments: what a template can say, and what it cannot."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.plan import templates
from sovereign.plan.builtin import builtin
from sovereign.plan.templates import (
    InvalidTemplateError,
    ModelVariables,
    ParallelismVariables,
    PoolVariables,
    RuntimeVariables,
    Variables,
)

POOL = PoolVariables("chat", "team-a", 8192, None, 0.9, 4, apiKey=False)


def variables(name: str = "mistral", quantization: str = "", path: str | None = "/models/mistral") -> Variables:
    return Variables(
        ModelVariables(name, "/models/mistral", path, "safetensors", quantization),
        POOL,
        ParallelismVariables(2, 1, 1),
        gpus=2,
        port=8000,
        runtime=RuntimeVariables("vllm"),
    )


def render(source: str, values: Variables | None = None, expanded: str | None = None) -> str:
    (text,) = templates.render("args", (source,), values or variables(), expanded)
    return text


def expand(text: str, values: dict[str, str]) -> str:
    """What Kubernetes makes of an argument. Source: k8s.io/kubernetes/third_party/forked/golang/expansion."""
    out, position = "", 0
    while position < len(text):
        if text[position] == "$" and position + 1 < len(text):
            if text[position + 1] == "$":
                out, position = out + "$", position + 2
                continue
            end = text.find(")", position) if text[position + 1] == "(" else -1
            if end > 0:
                name = text[position + 2 : end]
                out, position = out + values.get(name, f"$({name})"), end + 1
                continue
        out, position = out + text[position], position + 1
    return out


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("--port={{ port }}", "--port=8000"),
        ("--tensor={{ parallelism.tensor }}", "--tensor=2"),
        ("--len={{ pool.maxModelLen * (pool.maxNumSeqs or 1) }}", "--len=8192"),
        ("{% if pool.maxNumSeqs %}--seqs={{ pool.maxNumSeqs }}{% endif %}", ""),
        ("{% if gpus > 1 and not pool.apiKey %}many{% else %}one{% endif %}", "many"),
        ("{{ 999 if gpus else 0 }}", "999"),
        ("{{ model.name | upper ~ '-' ~ runtime.name }}", "MISTRAL-vllm"),
        ("{{ pool.gpuMemoryUtilization - 0.4 }}", "0.5"),
        ("{{ 7 % 4 }}", "3"),
        ("{# nothing #}", ""),
        ("plain text", "plain text"),
    ],
)
def test_what_a_template_can_say(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{{ ().__class__ }}", "__class__"),
        ("{{ (1, 2) }}", "tuple is not available"),
        ("{{ [] }}", "list is not available"),
        ("{{ {} }}", "dict is not available"),
        ("{{ ''.__class__.__mro__ }}", "__mro__"),
        ("{{ model.__class__ }}", "__class__"),
        ("{{ model.__struct_fields__ }}", "__struct_fields__"),
        ("{{ model['name'] }}", "getitem is not available"),
        ("{{ model.name.upper() }}", "call is not available"),
        ("{{ range(10) }}", "call is not available"),
        ("{{ cycler }}", "no variable cycler"),
        ("{{ self }}", "no variable self"),
        ("{{ modle.name }}", "no variable that ends in .name"),
        ("{{ model.nmae }}", "no variable that ends in .nmae"),
        ("{% for x in model.name %}{{ x }}{% endfor %}", "for is not available"),
        ("{% set x = 1 %}{{ x }}", "assign is not available"),
        ("{% macro m() %}{% endmacro %}", "macro is not available"),
        ("{% include 'x' %}", "include is not available"),
        ("{% import 'x' as y %}", "import is not available"),
        ("{{ 'a' * 1000000000 }}", "numbers only"),
        ("{{ '%1000000000s' % 1 }}", "numbers only"),
        ("{{ 10 ** 10 ** 10 }}", "pow is not available"),
        ("{{ 'a' | center(1000000000) }}", "no filter"),
        ("{{ 'abc' | random }}", "no filter random"),
        ("{{ model.name is callable }}", "no test callable"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ model.name + 1 }}", "cannot be rendered"),
        ("--seqs={{ pool.maxNumSeqs }}", "not set"),
        ("{{ port", "not a valid template"),
        ("{% if %}", "not a valid template"),
        ("two\nlines", "line break"),
        ("{{ 'two\\nlines' }}", "control character"),
        ("{{ '\\x00' }}", "control character"),
        ("nul \x00", "control character"),
        ("{{ 'x' }}" + "x" * 4096, "4097 characters"),
        ("{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}", "not a valid template"),
    ],
)
def test_what_a_template_cannot_say(source: str, complaint: str) -> None:
    with pytest.raises(InvalidTemplateError) as refusal:
        render(source)
    assert complaint.lower() in str(refusal.value).lower()
    assert "args[0]" in str(refusal.value)


def test_a_variable_cannot_hold_control_characters() -> None:
    with pytest.raises(InvalidTemplateError, match=r"model\.quantization"):
        render("{{ port }}", variables(quantization="\x00"))


def test_an_expansion_is_left_to_kubernetes_for_the_api_key_alone() -> None:
    assert render("--key=$(KEY) $(OTHER)", expanded="KEY") == "--key=$(KEY) $$(OTHER)"
    assert render("--key=$(KEY)") == "--key=$$(KEY)"


@given(st.text(alphabet="$()KEYab{}%'\"\\ ", max_size=40))
def test_nothing_in_a_variable_is_expanded_or_evaluated(text: str) -> None:
    argument = render("--x={{ model.quantization }}=$(KEY)", variables(quantization=text), expanded="KEY")
    assert expand(argument, {"KEY": "secret"}) == f"--x={text}=secret"


@given(st.text(alphabet="$()KEYab ", max_size=40))
def test_escaped_text_survives_kubernetes(text: str) -> None:
    assert expand(templates.escape(text), {"KEY": "secret", "": "empty", "a": "letter"}) == text


WORDS = "{{ }} {% %} {# #} if else endif for in not and or ( ) [ ] . , | ~ * / % ** == model pool name gpus '' 9 0.5 upper __class__ $(KEY)"
FRAGMENTS = st.sampled_from(WORDS.split())


@given(st.lists(FRAGMENTS | st.text(string.printable, max_size=3), max_size=20).map(" ".join))
def test_any_template_renders_to_one_argument_or_is_refused(source: str) -> None:
    try:
        text = render(source, expanded="KEY")
    except InvalidTemplateError:
        return
    assert text.isprintable()
    assert len(text) <= 2 * templates.MAX_LENGTH


@pytest.mark.parametrize("name", builtin())
def test_templates_of_the_built_in_engines_are_valid(name: str) -> None:
    spec = builtin()[name].spec
    for source in [*spec.args, *(variable.value for variable in spec.env)]:
        templates.check(source)

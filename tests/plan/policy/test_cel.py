"""CEL expressions: literals that cannot break out, and operators that keep their operands together."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.plan.cel import (
    Cel,
    all_of,
    any_of,
    choose,
    code,
    integer,
    name,
    quote,
    sentence,
    strings,
    variable,
    with_variables,
)

_LITERAL = re.compile(r"'((?:[^'\\\n\r]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*)'")
_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8}))")

_hostile = st.one_of(
    st.text(),
    st.text(alphabet="'\"\\\n\r\t\0`${}()[]|&u0027x"),
    st.sampled_from(["' || true || '", "\\", "\\'", "'''", "\u2028", "${x}", "\\u0027", "r'", "\U0001d518", "\x7f"]),
)


def _read(literal: str) -> str:
    """The value of a single-quoted literal, by the language definition's rules for the escapes that we write."""
    match = _LITERAL.fullmatch(literal)
    assert match is not None, literal
    return _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), match[1])


@given(_hostile)
def test_a_quoted_text_reads_back_as_itself(text: str) -> None:
    literal = quote(text).text
    assert _read(literal) == text
    assert literal.isascii()
    assert literal.isprintable()
    assert literal.count("'") == 2


@given(st.lists(_hostile, max_size=4))
def test_a_list_has_as_many_literals_as_texts(texts: list[str]) -> None:
    literals = _LITERAL.findall(strings(texts).text)
    assert [_read(f"'{literal}'") for literal in literals] == texts


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        quote("\ud800")


@pytest.mark.parametrize("identifier", ["a b", "", "1a", "a.b", "a')"])
def test_names_are_identifiers(identifier: str) -> None:
    with pytest.raises(ValueError, match="not an identifier"):
        variable(identifier)
    with pytest.raises(ValueError, match="not an identifier"):
        name(identifier)
    with pytest.raises(ValueError, match="not an identifier"):
        code("x").every(identifier, code("y"))


def test_operands_keep_together() -> None:
    either = code("a || b")
    assert (either & code("c")).text == "(a || b) && c"
    assert (~either).text == "!(a || b)"
    assert (~code("a")).text == "!a"
    assert either.equals(code("c ? d : e")).text == "(a || b) == (c ? d : e)"
    assert choose(either, code("x"), choose(code("y"), integer(1), integer(-2))).text == "(a || b) ? x : (y ? 1 : (-2))"
    assert sentence("it is ", choose(code("a"), quote("b"), quote("c"))).text == "'it is ' + (a ? 'b' : 'c')"
    assert (code("a + b")).within(strings(["c"])).text == "(a + b) in ['c']"
    assert code("a + b").starts_with(quote("c")).text == "(a + b).startsWith('c')"
    assert code("%s in x").filled(code("a + b")).text == "(a + b) in x"


def test_the_empty_conjunction_is_true_and_the_empty_disjunction_false() -> None:
    assert all_of([]) == Cel("true", atomic=True)
    assert any_of([]) == Cel("false", atomic=True)
    assert any_of([code("a && b")]).text == "a && b"
    assert all_of([code("a || b"), code("c")]).text == "(a || b) && c"
    assert any_of(iter([code("a && b"), code("c")])).text == "(a && b) || c"


def test_calls() -> None:
    images = variable("images")
    assert images.every("i", code("i != ''")).text == "variables.images.all(i, i != '')"
    assert images.some("i", code("i == ''")).text == "variables.images.exists(i, i == '')"
    assert images.where("i", code("true")).each("i", code("i")).joined(", ").text == (
        "variables.images.filter(i, true).map(i, i).join(', ')"
    )
    assert images.matches("^a\\.b$").text == "variables.images.matches('^a\\u005c.b$')"


def test_variables_are_known_to_each_other_in_order_where_a_policy_has_none() -> None:
    variables = (("first", code("object.spec.a")), ("second", variable("first").equals(integer(1))))
    assert with_variables((), code("a || b")).text == "a || b"
    assert with_variables(variables, variable("second") & variable("first")).text == (
        "[{'first': dyn(object.spec.a)}].all(variables, "
        "[{'first': variables.first, 'second': dyn(variables.first == 1)}].all(variables, "
        "variables.second && variables.first))"
    )

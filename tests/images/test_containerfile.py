"""Reading and planning a Containerfile; nothing is carried out."""

from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.images import containerfile, context, recipes
from testbed.images.stages import Base, Planner
from testbed.images.steps import Plan

BASE = Base((), (), {"PATH": "/usr/bin"})


def plan(folder: Path, text: str, **arguments: str) -> list[Plan]:
    """The plans of this Containerfile in this folder."""
    file = folder / "Containerfile"
    file.write_text(text)
    (folder / "ignore").write_text("*\n!kept\n!one.lock\n**/__pycache__\n")
    read = containerfile.read(file, arguments)
    build_context = context.read(folder, folder / "ignore")
    return Planner(read, build_context, {"base": BASE}, arguments, Path).plans()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("HEALTHCHECK CMD true", "2: HEALTHCHECK is not read here; known are ARG, FROM"),
        ("ADD x /x", "2: ADD is not read here"),
        ("RUN --mount=type=cache,target=/x true", "without flags"),
        ('RUN ["true"]', "not in the exec form"),
        ("RUN <<EOF", "here-document"),
        ("COPY --chown=1:1 kept /x", "COPY [--from=STAGE] SOURCE... TARGET"),
        ("COPY --from=other /x /x", "no earlier stage"),
        ("COPY ke* /x", "not a plain path"),
        ("COPY ../x /x", "not a plain path"),
        ("COPY secret /x", "secret is not in"),
        ("ENTRYPOINT run", "exec form"),
        ("ENV A=${B:+c}", "of variables $NAME, ${NAME} and ${NAME:-default}"),
        ("ENV A b", "NAME=VALUE"),
        ("LABEL a='b'", "single quote"),
        ("# syntax=docker/dockerfile:1", "parser directives"),
        ("RUN true \\", "ends with a backslash"),
        ("USER 1:1\nRUN true", "3: RUN after USER"),
        ("FROM scratch", "2: FROM scratch: there is no stand-in"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "secret").write_text("x")
    with pytest.raises(TestbedError) as refused:
        plan(tmp_path, f"FROM base\n{line}\n")
    assert says in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_an_argument_that_is_not_declared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="has no ARG VERSOIN"):
        plan(tmp_path, "FROM base\nARG VERSION=1\n", VERSOIN="2")


def test_variables_are_replaced_as_builders_do(tmp_path: Path) -> None:
    text = """\
ARG BASE=base
ARG OUTER=outer
FROM ${BASE}
ARG VERSION=1
ARG OUTER
ARG INNER=${VERSION}-inner
ENV A=1 PATH=/opt:$PATH
ENV A=2 B=$A   # no comment: words
"""
    with pytest.raises(TestbedError, match="NAME=VALUE"):
        plan(tmp_path, text)
    text = text.replace("   # no comment: words", "") + 'LABEL l="$VERSION $OUTER ${INNER} ${UNSET:-default} \\$A"\n'
    (made,) = plan(tmp_path, text, VERSION="9")
    assert made.settings["Labels"] == {"l": "9 outer 9-inner default $A"}
    assert made.settings["Env"] == ["PATH=/opt:/usr/bin", "A=2", "B=1"]


def test_only_what_the_ignore_file_lets_through_is_part_of_a_step(tmp_path: Path) -> None:
    text = "FROM base\nCOPY kept /kept\n"
    for name in ("kept/a.py", "kept/deep/b.py", "kept/deep/__pycache__/b.pyc", "left"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert context.read(tmp_path, _ignore(tmp_path)).files("kept") == ["kept/a.py", "kept/deep/b.py"]
    before = plan(tmp_path, text)[0].key
    (tmp_path / "kept/deep/__pycache__/b.pyc").write_text("other")
    (tmp_path / "left").write_text("other")
    assert plan(tmp_path, text)[0].key == before
    (tmp_path / "kept/deep/b.py").write_text("other")
    assert plan(tmp_path, text)[0].key != before


def test_a_label_changes_no_step_and_a_command_all_that_follow(tmp_path: Path) -> None:
    text = "FROM base\nARG V=1\nLABEL v=$V\nRUN true\nWORKDIR /w\n"
    first, second = plan(tmp_path, text)[0], plan(tmp_path, text.replace("LABEL v=$V", "LABEL v=other"))[0]
    assert [step.key for step in first.steps] == [step.key for step in second.steps]
    other = plan(tmp_path, text.replace("true", "false"))[0]
    assert not {step.key for step in first.steps} & {step.key for step in other.steps}


def test_the_operators_containerfile_is_read_whole() -> None:
    source = containerfile.read(recipes.CONTAINERFILE, {})
    found = source.arguments["BASE"], len(source.stages), len(source.stages[0].instructions)
    assert found == (recipes.STANDS_FOR, 2, 7)


def _ignore(folder: Path) -> Path:
    path = folder / "ignore"
    path.write_text("*\n!kept\n**/__pycache__\n")
    return path

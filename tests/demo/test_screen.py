"""What the audience sees, where there is no terminal."""

import io

from rich.console import Console

from testbed.demo.screen import ROOT, Screen, typed


def shown(width: int = 60) -> tuple[Screen, io.StringIO]:
    output = io.StringIO()
    return Screen(Console(file=output, highlight=False, markup=False, width=width)), output


def test_a_command_is_one_line_that_can_be_typed_in_the_root_of_the_tree() -> None:
    screen, output = shown()
    selector = "jurisdiction in (DE,FR)"
    screen.command("kubectl", "label", "nodes", "-l", selector, "-f", ROOT / "manifests" / "a.yaml", "x" * 100)
    assert (
        output.getvalue() == f"   $ kubectl label nodes -l 'jurisdiction in (DE,FR)' -f manifests/a.yaml {'x' * 100}\n"
    )


def test_what_others_say_is_never_taken_for_markup() -> None:
    screen, output = shown()
    screen.refusal("policy eu: [bold]list[0][/bold] :smile:")
    screen.table(["what"], [["[red]x[/red]"]])
    assert "[bold]list[0][/bold] :smile:" in output.getvalue()
    assert "[red]x[/red]" in output.getvalue()


def test_plain_text_has_no_colours_and_no_spaces_at_the_ends() -> None:
    screen, output = shown()
    screen.heading("1. Nodes")
    screen.holds("seven nodes are approved")
    screen.table(("node", "where"), [("gpu-fr-1", "FR"), ("a", "FR")])
    with screen.waiting("the import"):
        pass
    assert "\x1b" not in output.getvalue()
    text = [line.rstrip() for line in output.getvalue().splitlines()]
    assert text[1] == "1. Nodes"
    assert "   ok: seven nodes are approved" in text
    assert "     gpu-fr-1  FR" in text
    assert "   waiting for the import" in text


def test_paths_of_this_machine_are_shown_as_they_are_in_the_tree() -> None:
    assert typed(["apply", "-f", ROOT / "testbed" / "x.yaml"]) == "apply -f testbed/x.yaml"
    screen, output = shown()
    screen.answer(f"error when creating {ROOT}/testbed/x.yaml")
    assert "creating testbed/x.yaml" in output.getvalue()

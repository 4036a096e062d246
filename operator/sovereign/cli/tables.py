"""Answers for people: short paragraphs and tables, in colour where the terminal has it (``NO_COLOR`` is obeyed)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from sovereign.cli.answers import (
    NOWHERE,
    REFUSED,
    UNKNOWN,
    WARNING,
    ModelAnswer,
    PlanAnswer,
    PolicyAnswer,
    PoolAnswer,
    Problem,
    Reference,
)

if TYPE_CHECKING:
    from sovereign.cli.doctor import DoctorAnswer
    from sovereign.cli.evidence import EvidenceAnswer
    from sovereign.cli.explain import Condition, NodeExplained, PolicyExplained, PoolExplained

Row = tuple[str, str]
"""What it is about, and what is to be said: both may hold rich's markup."""

_PIPE_WIDTH: Final = 200
_NAMES_SHOWN: Final = 8
_STYLES: Final = {REFUSED: "bold red", NOWHERE: "bold red", UNKNOWN: "yellow", WARNING: "yellow"}
_STATES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def show_plan(answer: PlanAnswer) -> None:
    """Print a plan."""
    console = _console()
    for policy in answer.policies:
        _section(console, *_policy(policy))
    for model in answer.models:
        _section(console, *_model(model))
    for pool in answer.pools:
        _section(console, *_pool(pool))
    for note in answer.notes:
        console.print(f"[yellow]note[/] {escape(note)}")
    console.print(_summary(answer))


def _summary(answer: PlanAnswer) -> str:
    if not (answer.policies or answer.models or answer.pools):
        return "[yellow]nothing of sovereignai.io is in these files[/]"
    words = {
        REFUSED: "refused",
        NOWHERE: "without a node to run on",
        UNKNOWN: "not judged for want of nodes",
        WARNING: "with a warning",
    }
    counts = [f"{answer.effects[effect]} {text}" for effect, text in words.items() if answer.effects[effect]]
    if answer.ok:
        return "[green]nothing is refused[/]" + (f"; {', '.join(counts)}" if counts else "")
    return f"[bold red]{', '.join(counts)}[/]"


# --- sections -------------------------------------------------------------------------------------------


def _section(console: Console, title: str, rows: Iterable[Row]) -> None:
    console.print(title)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console.print(Padding(grid, (0, 0, 1, 2), expand=False))


def _policy(answer: PolicyAnswer) -> tuple[str, list[Row]]:
    title = f"[bold]SovereigntyPolicy {escape(answer.name)}[/]  {answer.enforcement}"
    rows = [
        ("jurisdictions", ", ".join(answer.stated_jurisdictions)),
        ("governs", _names(answer.namespaces) or "no namespace"),
        ("approves", f"{_count(len(answer.approved_nodes), 'node')}  {_names(answer.approved_nodes)}".rstrip()),
    ]
    grouped: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for node in answer.rejected_nodes:
        grouped[node.rule, node.message].append(node.node)
    for (rule, message), nodes in sorted(grouped.items()):
        rows.append(("rejects", f"{_names(nodes)}  [dim]{escape(message)} ({rule})[/]"))
    return title, [*rows, *_makes(answer.children), *_problems(answer.problems)]


def _model(answer: ModelAnswer) -> tuple[str, list[Row]]:
    title = f"[bold]SovereignModel {escape(answer.namespace)}/{escape(answer.name)}[/]"
    state = "imported" if answer.imported else "to be imported"
    rows = [
        ("policies", ", ".join(answer.policies) or "none"),
        ("weights", f"{escape(answer.source)} on claim {escape(answer.claim)}, {state}"),
    ]
    return title, [*rows, *_makes(answer.children), *_problems(answer.problems)]


def _pool(answer: PoolAnswer) -> tuple[str, list[Row]]:
    title = f"[bold]InferencePool {escape(answer.namespace)}/{escape(answer.name)}[/]"
    rows = [
        ("policies", ", ".join(answer.policies) or "none"),
        ("serves", f"{escape(answer.model)} with {escape(answer.runtime)}, {_scale(answer)}"),
        ("sizing", escape(answer.sized)),
    ]
    if answer.lawful_nodes is not None:
        rows.append(("lawful", f"{_count(len(answer.lawful_nodes), 'node')}  {_names(answer.lawful_nodes)}".rstrip()))
    if answer.waits_for_model and answer.children:
        rows.append(("waits", f"for SovereignModel {escape(answer.model)} to be imported"))
    return title, [*rows, *_makes(answer.children), *_problems(answer.problems)]


def _scale(answer: PoolAnswer) -> str:
    replicas = "replicas as the autoscaler says" if answer.replicas is None else _count(answer.replicas, "replica")
    if answer.gpus is None:
        return replicas
    return f"{replicas} on " + (f"{answer.gpus} {answer.resource} each" if answer.gpus else "CPU")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _makes(children: Sequence[Reference]) -> Iterator[Row]:
    by_kind: defaultdict[str, list[str]] = defaultdict(list)
    for child in children:
        by_kind[child.kind].append(child.name)
    for kind, names in by_kind.items():
        yield "makes", f"{kind} {_names(names)}"


def _problems(problems: Sequence[Problem]) -> Iterator[Row]:
    for problem in problems:
        label = f"[{_STYLES[problem.effect]}]{problem.effect}[/]"
        yield label, f"{escape(problem.message)} [dim]({problem.reason}, {problem.rule})[/]"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return escape(", ".join(names[:_NAMES_SHOWN]) + more)


# --- tables ---------------------------------------------------------------------------------------------


def _table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(*columns, box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*row)
    if table.row_count:
        console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _mark(ok: bool, yes: str = "yes", no: str = "no") -> str:
    return f"[green]{yes}[/]" if ok else f"[red]{no}[/]"


def show_node(answer: "NodeExplained") -> None:
    """Print what is said of a node."""
    console = _console()
    cordoned = "  cordoned" if answer.unschedulable else ""
    facts = [
        (name, escape(value) if value else "[yellow]not known: no administrator has set the fact[/]")
        for name, value in (
            ("jurisdiction", answer.jurisdiction),
            ("region", answer.region),
            ("provider", answer.provider),
        )
    ]
    warnings = [("[yellow]warning[/]", escape(text)) for text in answer.warnings]
    _section(console, f"[bold]Node {escape(answer.node)}[/]{cordoned}", [*facts, *warnings])
    rules = [
        (policy.policy, _mark(rule.ok, "holds", "rejects"), rule.rule, "" if rule.ok else escape(rule.message))
        for policy in answer.policies
        for rule in policy.rules
    ]
    _table(console, ("POLICY", "VERDICT", "RULE", "WHY"), rules)
    pools = [
        (f"{pool.namespace}/{pool.name}", _mark(pool.ok), pool.rule, escape(pool.message)) for pool in answer.pools
    ]
    _table(console, ("POOL", "COULD RUN", "RULE", "WHY"), pools)


def show_policy(answer: "PolicyExplained") -> None:
    """Print what a policy comes to, node by node."""
    console = _console()
    _section(console, *_policy(answer.policy))
    rows = [(escape(node), _mark(True), "", "") for node in answer.policy.approved_nodes]
    rows += [(node.node, _mark(False), node.rule, escape(node.message)) for node in answer.policy.rejected_nodes]
    _table(console, ("NODE", "APPROVED", "RULE", "WHY"), sorted(rows))
    if answer.violations is None:
        console.print("[dim]pods were not read, so what breaks the policy is not shown[/]")
    broken = [
        (f"{one.kind} {one.namespace}/{one.name}", str(one.count), one.step, one.rule, escape(one.message))
        for one in answer.violations or ()
    ]
    _table(console, ("NOT ADMITTED", "PODS", "STEP", "RULE", "WHY"), broken)
    _conditions(console, answer.conditions)


def show_pool(answer: "PoolExplained") -> None:
    """Print which nodes could take a pool's replicas."""
    console = _console()
    _section(console, *_pool(answer.pool))
    rows = [
        (escape(node.node), node.jurisdiction, node.region, _mark(node.ok), node.rule, escape(node.message))
        for node in answer.nodes
    ]
    _table(console, ("NODE", "JURISDICTION", "REGION", "COULD RUN", "RULE", "WHY"), rows)
    _conditions(console, answer.conditions)


def _conditions(console: Console, conditions: Sequence["Condition"]) -> None:
    rows = [(entry.type, entry.status, entry.reason, escape(entry.message or entry.meaning)) for entry in conditions]
    _table(console, ("CONDITION", "STATUS", "REASON", "WHAT IT SAYS"), rows)


def show_checks(answer: "DoctorAnswer") -> None:
    """Print what the doctor found."""
    console = _console()
    rows = [
        (
            f"[{_STATES[check.state]}]{check.state}[/]",
            escape(check.check),
            escape(check.message) + (f"\n[dim]{escape(check.advice)}[/]" if check.advice else ""),
        )
        for check in answer.checks
    ]
    _table(console, ("STATE", "CHECK", "WHAT IT FOUND"), rows)
    failed = sum(check.state == "fail" for check in answer.checks)
    warned = sum(check.state == "warn" for check in answer.checks)
    text = f"{failed} failed, {warned} with a warning, {len(answer.checks) - failed - warned} ok"
    console.print(f"[{'green' if answer.ok else 'bold red'}]{text}[/]")


def show_evidence(answer: "EvidenceAnswer") -> None:
    """Print what a ledger is worth."""
    console = _console()
    rows = [
        (f"[{_STATES[finding.state]}]{finding.state}[/]", finding.what, escape(finding.message))
        for finding in answer.findings
    ]
    if rows:
        _table(console, ("STATE", "WHAT", "WHERE"), rows)
    console.print(
        f"{answer.entries} entries and {answer.seals} seals, from {answer.first or '-'} to {answer.last or '-'}"
    )
    if answer.head:
        console.print(f"head {answer.head}")
    if not answer.anchored:
        console.print("[yellow]note[/] without --anchor nothing shows that its end was not cut off")
    if not answer.signed:
        console.print("[yellow]note[/] without --key nothing shows who wrote it")
    console.print("[green]whole[/]" if answer.ok else "[bold red]not whole[/]")

"""All reference pages, by file name."""

from sovereign.api.kinds import KINDS
from sovereign.cli.reference import commands, kinds, labels, metrics, reasons, templates
from sovereign.cli.reference.markdown import HEADER


def pages() -> dict[str, str]:
    """File name and text of every page."""
    made = {f"{kind.singular}.md": kinds.page(kind) for kind in KINDS}
    made |= {
        "cli.md": commands.page(),
        "labels.md": labels.page(),
        "metrics.md": metrics.page(),
        "reasons.md": reasons.page(),
        "templates.md": templates.page(),
    }
    return {name: HEADER + text for name, text in made.items()}

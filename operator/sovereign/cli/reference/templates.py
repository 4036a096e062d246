"""The page of templates in an InferenceRuntime, from the module that renders them."""

from textwrap import dedent

from sovereign.plan import templates


def page() -> str:
    """What a template may hold, and its variables."""
    text = (templates.__doc__ or "").partition("\n")[2]
    introduction, _, rest = text.partition("Variables ")
    caption, _, block = rest.partition("::\n\n")
    variables, _, remarks = block.partition("\n\n")
    body = f"Variables {caption}:\n\n```text\n{dedent(variables)}\n```\n\n{remarks.strip()}"
    return f"# Templates of an InferenceRuntime\n\n{_quoted(introduction.strip())}\n\n{_quoted(body)}\n"


def _quoted(text: str) -> str:
    """reStructuredText's code marks as Markdown's, outside of fences."""
    parts = text.split("```")
    return "```".join(part if index % 2 else part.replace("``", "`") for index, part in enumerate(parts))

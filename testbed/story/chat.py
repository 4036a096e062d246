"""Asking a model, and reading its answer: the chat API that every engine has."""

import json
from typing import Any

PORT = 8080


def url(pool: str, namespace: str) -> str:
    """Where a pool answers."""
    return f"http://{pool}.{namespace}.svc.cluster.local:{PORT}"


def body(question: str, **more: Any) -> str:
    """A request with one question, to be answered in few words and always in the same."""
    return json.dumps({"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 24} | more)


def said(answer: str) -> str:
    """What the model said.

    Raises:
        ValueError, KeyError: that is no answer of a chat API.
    """
    return str(json.loads(answer)["choices"][0]["message"]["content"])

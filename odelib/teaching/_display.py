"""The one place where the teaching tools meet Jupyter."""

from __future__ import annotations

import re
import sys
from typing import Any

_RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def say(line: str) -> None:
    """Print a line; on a console of few characters (Windows' cp1252) 10⁻⁷ becomes 10^-7, other strangers ``?``."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda raised: "^" + raised[0].translate(_RAISED), line)
        line = line.encode(encoding, "replace").decode(encoding)
    print(line)


def in_notebook() -> bool:
    """True inside a Jupyter kernel (JupyterLab, Colab, a book build); False in scripts and terminals."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def emit(bundle: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
    """Send a bundle of MIME types to the notebook; outside one, print its text/plain form, if it has one.

    Args:
        bundle: MIME type -> content; binary content in base64.
        metadata: stored with the output.
    """
    if in_notebook():
        from IPython.display import display

        display(bundle, raw=True, metadata=metadata or {})  # type: ignore[no-untyped-call]
    elif "text/plain" in bundle:
        print(bundle["text/plain"])


_waiting: list[tuple[dict[str, str], dict[str, Any]]] = []


def emit_after_cell(bundle: dict[str, str], metadata: dict[str, Any]) -> None:
    """Send a bundle that nobody sees when the cell has run, so that it does not cut the printed lines apart."""
    if not in_notebook():
        return
    events = sys.modules["IPython"].get_ipython().events
    if _send_waiting not in events.callbacks["post_execute"]:
        events.register("post_execute", _send_waiting)
    _waiting.append((bundle, metadata))


def _send_waiting() -> None:
    while _waiting:
        emit(*_waiting.pop(0))

"""Work beside the drawing: started from a screen or the application, its errors said instead of ending the console."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

from textual.dom import DOMNode

from wfconsole.ports import WfconsoleError

Work = Callable[[], Coroutine[Any, Any, None]]


def in_background(
    node: DOMNode, work: Work, *, group: str, say: Callable[[str, str], None], exclusive: bool = True
) -> None:
    """Carry out `work` on this loop; with `exclusive` it takes the place of what goes on in `group`.

    A WfconsoleError is said by `say(text, role)`; any other one is a bug, and ends the console with its traceback.
    """

    async def guarded() -> None:
        try:
            await work()
        except WfconsoleError as error:
            say(told(error), "error")

    node.run_worker(cast("Any", guarded), group=group, exclusive=exclusive)


def told(error: BaseException) -> str:
    """An error on one line."""
    if isinstance(error, WfconsoleError):
        return f"{error.code}: {error.message}" + (f" - {error.hint}" if error.hint else "")
    return f"{type(error).__name__}: {error}"

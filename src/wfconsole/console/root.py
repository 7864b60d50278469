"""The application that a widget or screen belongs to, as what it is: Textual's own property knows no palette and no settings.

Owns the one place where that is claimed; and how much of a widget can be seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.scroll_view import ScrollView

    from wfconsole.console.app import Console


def room_of(view: ScrollView) -> int:
    """Cells of a line that can be seen: without those behind the scroll bar, if there is one now."""
    return view.scrollable_content_region.width


def console_of(node: DOMNode) -> Console:
    """The console; raises Textual's NoActiveAppError for a node outside of one."""
    return cast("Console", node.app)

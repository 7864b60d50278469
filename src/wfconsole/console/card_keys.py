"""The keys of a card and of what is signed on it, as entries of the one table of actions."""

from __future__ import annotations

from wfconsole.console.actions import act, bindings as bindings, register  # noqa: PLC0414 - asked for here, when the table has them
from wfconsole.views.decidable import ANSWER, APPROVE, REJECT

register(
    act("card.approve", "a", "approve", "Approve what this card shows", "approve", changes=True, refused_by=APPROVE),
    act("card.reject", "x", "reject", "Reject what this card shows", "reject", changes=True, refused_by=REJECT),
    act("card.answer", "enter", "answer", "Answer the question", "answer", changes=True, refused_by=ANSWER),
    act("card.unseen", "space", "next part", "Show the next part that was not shown yet", "unseen"),
    act("card.next_part", "right_square_bracket", "part", "Show the part to the right", "part(1)"),
    act("card.previous_part", "left_square_bracket", "part before", "Show the part to the left", "part(-1)", shown=False),
    act("card.diff", "d", "diff", "Show the diff", "show_part('diff')", shown=False),
    act("card.next_file", "n", "file", "Next file of the diff", "file(1)"),
    act("card.previous_file", "N", "file before", "File of the diff before this one", "file(-1)", shown=False),
    act("card.next_hunk", "right_curly_bracket", "hunk", "Next hunk of the file", "hunk(1)", shown=False),
    act("card.previous_hunk", "left_curly_bracket", "hunk before", "Hunk before this one", "hunk(-1)", shown=False),
    act("card.side", "v", "side", "Old and new beside each other, or one under another", "side"),
    act("card.pan_right", "right", "right", "Move the text of the diff", "pan(1)", shown=False, palette=False),
    act("card.pan_left", "left", "left", "Move the text of the diff back", "pan(-1)", shown=False, palette=False),
    act("card.run", "o", "run", "Open the run that asks", "open_run", shown=False),
)  # fmt: skip
register(
    act("decide.sign", "ctrl+s", "sign", "Sign this decision and send it to the run", "sign", changes=True),
    act("decide.enter", "enter", "sign", "Sign when no reason can be given", "sign", changes=True, shown=False, palette=False),
    act("decide.leave", "escape", "back", "Leave without deciding", "leave", shown=False, palette=False),
)  # fmt: skip

"""The keys of the run screen, as entries of the one table of actions."""

from __future__ import annotations

from wfconsole.console.actions import act, register

TABS = ("timeline", "steps", "artifacts", "events", "state", "lineage")

register(
    act("run.log", "l", "log", "Show the log of the step under the cursor", "log"),
    act("run.review", "a", "review", "Review the gate that is open", "review", refused_by="review"),
    act("run.retry", "r", "retry", "Retry the run", "retry", changes=True, refused_by="retry"),
    act("run.pause", "p", "pause", "Start nothing more; what runs ends first", "pause", changes=True, refused_by="pause"),
    act("run.resume", "R", "resume", "Let it go on", "resume", changes=True, shown=False, refused_by="resume"),
    act("run.cancel", "x", "cancel", "End the run; once more: at once", "cancel", changes=True, refused_by="cancel"),
    act("run.next_tab", "right_square_bracket,tab", "tabs", "Next tab", "tab(1)"),
    act("run.previous_tab", "left_square_bracket,shift+tab", "tab", "Tab before", "tab(-1)", shown=False),
    act("run.earlier", "comma", "back in time", "One event back", "scrub(-1)"),
    act("run.later", "full_stop", "later", "One event on", "scrub(1)", shown=False),
    act("run.first_event", "less_than_sign", "first", "To the first event", "scrub_to(1)", shown=False),
    act("run.live", "greater_than_sign", "live", "Back to how it is now", "scrub_to(0)", shown=False),
    act("run.zoom_in", "plus,equals_sign", "zoom", "Less time in a column", "zoom(1)"),
    act("run.zoom_out", "minus", "out", "More time in a column", "zoom(-1)", shown=False),
    act("run.pan_left", "left,h", "pan", "Look at earlier time", "pan(-1)", shown=False),
    act("run.pan_right", "right", "pan", "Look at later time", "pan(1)", shown=False),
    act("run.fit", "f", "fit", "All of the run in the window, following it", "fit", shown=False),
    act("run.failure", "e", "next failure", "Jump to the next failed step or child", "failure", shown=False),
    act("run.correlation", "c", "same cause", "Only events with the same cause; again: all", "correlation", shown=False),
    act("run.why", "w", "why", "Show or hide the failure panel", "why", shown=False),
    act("run.intervene", "i", "intervene", "Tell the run something", "intervene", changes=True, shown=False,
        refused_by="intervene"),
    act("run.leave", "escape,q", "back", "Close what is open, else go back", "leave", shown=False, palette=False),
)  # fmt: skip

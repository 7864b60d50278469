"""The console: a Textual application over the same door as the command line.

Owns what an operator sees and presses. Refuses to know the machinery: it reads frozen models that the engine's thread makes,
and sends commands. The decision that would surprise: the orchestrator never runs on the terminal's event loop, so a terminal
that stops reading cannot stop a run.
"""

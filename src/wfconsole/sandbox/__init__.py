"""Sandboxes: one attempt of a step in one locked-down Docker container.

Owns everything that knows Docker. Refuses to know recipes, journals and what an end means: it hands back evidence. What
would surprise: no byte of a command's output passes through Python, and no line here can run a command on the host.
"""

"""The scripts of the built-in recipe quality-gate: eight checks, a score, a fix and a comment.

Owns everything that the recipe runs inside its sandboxes; knows nothing of wfconsole beyond a few environment variables.
Standard library only: the sandbox image gives the tools (pytest, coverage, ruff, bandit, radon, mypy), not packages.
"""

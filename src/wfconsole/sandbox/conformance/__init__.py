"""Does this machine's engine keep what the sandboxes promise? Small checks, each an attempt of its own or a part of one.

Owns the checks and their words. Refuses to mend anything. What would surprise: the operator's engine, template and kernel are
what is tested, so the same suite is what the project's own tests run.
"""

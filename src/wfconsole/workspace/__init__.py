"""Copies of the operator's repository, what became of them, and what is taken out of them. Sees only ports and domain."""

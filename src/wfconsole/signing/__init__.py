"""Signatures by the operator's SSH key, and whose they are. Sees only ports and domain; knows nothing of gates or runs."""

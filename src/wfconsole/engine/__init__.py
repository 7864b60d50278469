"""The run loop and what drives it in one process. Sees the ports and the domain; adapters are handed in."""

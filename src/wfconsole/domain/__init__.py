"""The pure core: what was asked, what happened, what follows. Standard library only, no clock, no chance, no files."""

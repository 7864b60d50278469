"""The command line: Typer commands over the door, one module a command, imported when it is asked for."""

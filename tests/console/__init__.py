"""The console against fakes: a Pilot presses keys, a fake door answers."""

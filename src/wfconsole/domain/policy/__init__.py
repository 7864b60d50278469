"""What decides, without doing: policies as pure functions."""

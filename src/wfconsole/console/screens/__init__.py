"""One module a screen. Each takes frozen models, draws them, and asks the application for everything else."""

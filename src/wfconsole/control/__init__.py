"""The one door: both front ends start, watch, browse and command runs through this package and nothing else."""

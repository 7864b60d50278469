"""Pure read models: what both front ends show, computed from journals and rows alone."""

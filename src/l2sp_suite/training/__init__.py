"""One fit loop, its optimiser and its checkpoints; knows approaches only through their protocol."""

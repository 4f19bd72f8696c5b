"""The commands: a file each, with one async `run` that reads from top to bottom."""

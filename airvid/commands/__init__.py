"""The stories: one file and one async run() a command, to be read from top to bottom."""

"""The command line: Typer reads it, and each command calls its function in `commands/`."""

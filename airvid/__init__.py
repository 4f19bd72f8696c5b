"""airvid: generate video from the terminal, and never pay for a clip twice."""

# A literal: reading it from the installed metadata would cost several times the interpreter's own start.
__version__ = "0.1.0"

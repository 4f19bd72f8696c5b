"""Clips as video: whether an MP4 is whole, its frames, its contact sheet."""

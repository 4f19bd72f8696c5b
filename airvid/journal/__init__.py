"""What this machine knows of its clips, in SQLite."""

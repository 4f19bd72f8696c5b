"""What people and programs read: results on standard output, the rest on standard error."""

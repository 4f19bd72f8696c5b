"""What is done to a clip: request, submit, follow, download."""

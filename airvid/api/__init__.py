"""The hosted API: its endpoints, HTTP, and what its answers mean."""

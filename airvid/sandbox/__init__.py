"""The hosted video API, emulated on this machine: the same calls, real clips, no key, no network, no money.

It imports nothing of airvid: shared code would make the same mistakes on both sides, and hide them.
"""

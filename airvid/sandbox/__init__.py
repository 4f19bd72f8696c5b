"""The hosted video API, emulated on this machine: the same calls, real clips, no key, no network, no money.

It imports nothing of airvid, or it would repeat our mistakes and agree with them.
"""

"""`python -m airvid` is the same program as `airvid`."""

from airvid.cli.main import entry

if __name__ == "__main__":
    entry()

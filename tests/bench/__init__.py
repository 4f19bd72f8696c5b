"""Benchmarks: every figure is taken within one run, beside what it is set against."""

import sys
from pathlib import Path

# The instruments of the tests, which stand beside this package, serve here too.
sys.path.append(str(Path(__file__).parent.parent))

"""Benchmarks: every figure is taken within one run, beside what it is set against."""

import sys
from pathlib import Path

# The benchmarks use the helpers of the tests.
sys.path.append(str(Path(__file__).parents[1] / "helpers"))

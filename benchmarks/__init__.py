"""Benchmarks: each figure beside the floor that the same machine sets in the same run. See docs/benchmarks.md."""

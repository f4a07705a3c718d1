"""Benchmarks: programs that measure and print, each run by itself; never part of the tests."""

"""Benchmarks of MagicQueue: see README.md in this folder."""

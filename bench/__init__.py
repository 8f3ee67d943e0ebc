"""Measurements: ratios against a peer in the same run, on the same servers. Never part of the tests."""

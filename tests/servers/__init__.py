"""The real servers that the tests talk to: one file per server, started on free loopback ports in temporary places.

Apart from `tests/fakes`, which stand in for a port; these are the products themselves. Nothing starts on import,
everything dies with the test process, and a machine without the product skips with the package to install.
"""

"""Fuzzing of everything that reads what others write: `make fuzz SECONDS=…`, and a sample of it in the suite."""

from __future__ import annotations

#: The targets, each a module of this package with a `TARGET`; read by name, so that only what is run is imported.
TARGETS = ("stored", "messages", "archives", "texts", "web")

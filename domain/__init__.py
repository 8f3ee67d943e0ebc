"""The rules of Backstay as pure values and functions: no I/O, no environment, no wall clock."""

"""The command line: one file per group of commands, and what they share in files named after it.

Apart from the runtime because it only asks and shows. Whatever is slow to import (SQL, brokers, models)
is imported inside the command that needs it, so that `--help` and completion answer at once.
"""

"""The history of the schema, one file per revision, shipped with the program (see docs/migrations.md)."""

"""The release before this one, run beside it: on one database, one broker and one store, as during an upgrade."""

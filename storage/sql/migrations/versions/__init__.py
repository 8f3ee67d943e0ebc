"""Revisions; a released one is never edited again."""

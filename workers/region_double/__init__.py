"""A double of Rainbond's region: its state, its odd answers and, on request, its failures."""

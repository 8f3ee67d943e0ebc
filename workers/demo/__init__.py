"""The story that `backstay demo` tells: a stage, two acts, and the order in which they come."""

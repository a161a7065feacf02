"""A tenant, a network and a person, all made up, on a clock that jumps."""

"""How a sheet becomes activities: the mapping file, its fields, and the cells they read."""

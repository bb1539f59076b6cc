"""Libraries for other programs: read in parts, and written in the formats that they read."""

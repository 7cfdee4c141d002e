"""Both bridges in the plane, held against the truth."""

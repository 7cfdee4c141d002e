"""Networks for pictures and for points."""

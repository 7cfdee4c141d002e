"""Pictures, points and masks to learn from."""

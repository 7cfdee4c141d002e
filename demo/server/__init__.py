"""What stands between visitors and the page: turns, limits, the gate, logs, files."""

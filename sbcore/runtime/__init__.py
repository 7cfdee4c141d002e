"""What both engines stand on; it knows neither."""

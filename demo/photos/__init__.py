"""A visitor's photo: its face found, the square that the model sees cut out, the edit put back."""

"""The web page of Schrödinger Bridge Studio: everything gradio, nothing torch."""

"""Diffusion Schrödinger bridges between two sets (De Bortoli et al. 2021, Shi et al. 2023)."""

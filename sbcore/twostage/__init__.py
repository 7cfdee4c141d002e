"""Deep generative learning via Schrödinger bridges (Wang et al., ICML 2021), in two stages."""

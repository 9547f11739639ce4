"""How well tokens are estimated, and the weights that estimate them best."""

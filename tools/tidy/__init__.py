"""The rules of the source tree, as tests: layers, seams, names. `make lint` runs them."""

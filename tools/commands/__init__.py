"""One module per verb of the `ottla` command. `tools.__main__` has the table that names them."""

"""The command line and the instruments: what people run. The topmost layer, so it may import every layer below."""

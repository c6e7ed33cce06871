"""Looking at a broker while it runs: how long the event loop is held; metrics will stand here."""

"""Looking at a broker while it runs: how long the event loop is held, and by what; metrics will stand here."""

"""Tools to test storage engines with: the suite that defines them, and builders of logs to try them on."""

"""Reading the files of a data directory as they lie there, with no broker around them: for `dump-log`, `check-log`."""

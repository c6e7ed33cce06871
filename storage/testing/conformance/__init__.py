"""What the words of the engine contract mean, as suites of tests that every engine passes."""

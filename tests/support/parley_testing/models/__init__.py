"""Models that say what a test has them say, in process and over HTTP."""

"""The packaged functions, run as Lambda runs them."""

"""`make sam-local`: the built functions in Lambda's own containers, for whoever has Docker."""

"""The protocols that ready front ends speak: a turn, told in their words."""

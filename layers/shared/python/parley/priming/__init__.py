"""Priming: what a first request does is done before a snapshot is taken, and leads nowhere.

A function that Lambda SnapStart restores has all that its process had in memory. So each of them
answers requests of nobody's before: through its real routes, statements and clients, which end at
stand-ins where a connection would begin (`nowhere`). Nothing is connected, stored, counted as a
request or traced.
"""

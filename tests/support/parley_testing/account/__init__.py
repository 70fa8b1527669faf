"""An AWS account on loopback: its stores, its queue, its template."""

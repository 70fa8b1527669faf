"""A project of somebody who uses Parley: read, checked, and made known to what runs it.

None of this is deployed.
"""

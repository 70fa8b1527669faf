"""How a run of tests goes: plugins of pytest, and how often what is done many times is done."""

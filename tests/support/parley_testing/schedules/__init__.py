"""Random schedules of everything that can happen to sessions, against a plain model of promises."""

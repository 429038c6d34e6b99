"""Settings files that come with earmark; each holds only what differs from the defaults."""

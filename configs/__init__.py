"""Settings files that come with earmark; each has only the settings that differ from the defaults."""

"""Quick learners for replay: a corpus as numbers, and what a few labels of it teach, in well under a second a round."""

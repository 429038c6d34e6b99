"""Learners for replay: a labelled corpus as features, and models that predict it from some of its labels."""

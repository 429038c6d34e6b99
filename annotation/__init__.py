"""Annotation: task files, answer files, agreement and consensus. Works on records alone, without the database."""

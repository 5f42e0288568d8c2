"""Readers of the kinds of input that a job takes. Each is imported when it is needed."""

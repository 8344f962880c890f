"""Answers of earlier evaluations, and what each was computed from: see docs/design/evaluation-cache.md."""

"""Golden models for wire formats as tables."""

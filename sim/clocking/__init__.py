"""Golden models for what crosses from one clock to another."""

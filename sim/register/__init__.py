"""Golden models for register tables and their bus."""

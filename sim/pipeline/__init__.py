"""Golden models for the programmable packet pipeline."""

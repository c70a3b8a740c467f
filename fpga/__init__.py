"""Board targets, synthesis, budgets and bitstreams; imports nothing but hdl."""

"""Power and energy sources: one interface, one file for each source, and their discovery."""

"""Model files: what they hold, where they come from, and twins that stand in for them."""

"""What is to be measured and what was measured, as types: configs, plans, records, the study."""
